package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
)

// CertManagerChart makes cert-manager's Helm chart in the folder to, from the template in
// its module: as upstream's release does, the version is filled in, and what is for
// developers is left out. What is in the folder is replaced.
func CertManagerChart(ctx context.Context, to string, w io.Writer) error {
	dir, err := moduleDir(ctx, "certmanager", "github.com/cert-manager/cert-manager", w)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("chart of cert-manager: %w", err)
	}
	if err := copyChart(os.DirFS(filepath.Join(dir, "deploy", "charts", "cert-manager")), to, "v"+CertManagerVersion); err != nil {
		return fmt.Errorf("chart of cert-manager: %w", err)
	}
	return nil
}

// TraefikChart writes a Helm chart of Traefik into the folder to. Upstream's is in no module,
// so that it is the project's own: it takes the values that the add-on sets, and refuses
// any other. What is in the folder is replaced.
func TraefikChart(to string) error {
	from, err := fs.Sub(files, "files/traefik-chart")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("chart of Traefik: %w", err)
	}
	if err := copyChart(from, to, build.TraefikVersion); err != nil {
		return fmt.Errorf("chart of Traefik: %w", err)
	}
	return nil
}

// GatewayDefinitions writes the definitions of the Gateway API's standard channel into one
// file, from its module, as upstream's release does.
func GatewayDefinitions(ctx context.Context, to string, w io.Writer) error {
	dir, err := moduleDir(ctx, "traefik", "sigs.k8s.io/gateway-api", w)
	if err != nil {
		return err
	}
	if err := joinManifests(os.DirFS(filepath.Join(dir, "config", "crd", "standard")), to); err != nil {
		return fmt.Errorf("definitions of the Gateway API: %w", err)
	}
	return nil
}

// joinManifests makes one file of those that a folder has.
func joinManifests(from fs.FS, to string) error {
	names, err := fs.Glob(from, "*.yaml")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("the module has none")
	}
	var all []string
	for _, name := range names {
		raw, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		all = append(all, strings.TrimSuffix(strings.TrimPrefix(string(raw), "---\n"), "\n"))
	}
	return os.WriteFile(to, []byte(strings.Join(all, "\n---\n")+"\n"), 0o644)
}

// unversioned is what Chart.yaml has in the place of the two versions.
const unversioned = "ersion: v0.0.0\n"

// copyChart copies a chart's template and gives it a version.
func copyChart(from fs.FS, to, version string) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == "tests" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		if slices.Contains([]string{"README.template.md", "signkey_annotation.txt", "values.linter.exceptions"}, name) {
			return nil
		}
		raw, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if name == "Chart.yaml" {
			if n := strings.Count(string(raw), unversioned); n != 2 {
				return fmt.Errorf("%s has %d versions to fill in, where two were expected", name, n)
			}
			raw = []byte(strings.ReplaceAll(string(raw), unversioned, "ersion: "+version+"\n"))
		}
		return os.WriteFile(filepath.Join(to, name), raw, 0o644)
	})
}
