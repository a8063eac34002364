package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// A generator makes files that a module embeds and git does not hold. They
// never appear in the module's folder: the compiler sees them through an overlay.
type generator struct {
	// id is part of the cache key: it changes when run makes something else of
	// the same module.
	id string
	// run writes files below out, with their paths relative to the module in dir.
	run func(ctx context.Context, dir, out string, step *progress.Step) error
}

// kubernetesProviderSchema makes what the Kubernetes provider embeds from the
// files that its module ships: the schema with the version put in, and the
// mapping from Terraform's names.
var kubernetesProviderSchema = generator{
	id: "1 " + KubernetesProviderVersion,
	run: func(ctx context.Context, dir, out string, step *progress.Step) error {
		const module = "github.com/pulumi/pulumi-kubernetes/provider/v4"
		var stdout bytes.Buffer
		if err := runGoTo(ctx, dir, step, &stdout, "list", "-m", "-f={{.Dir}}", module); err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		from := filepath.Join(lines[len(lines)-1], "cmd", "pulumi-resource-kubernetes")
		for _, name := range []string{"schema", "terraform-mapping"} {
			raw, err := os.ReadFile(filepath.Join(from, name+".json"))
			if err != nil {
				return err
			}
			var doc map[string]json.RawMessage
			if err := json.Unmarshal(raw, &doc); err != nil {
				return fmt.Errorf("%s.json of %s: %w", name, module, err)
			}
			if name == "schema" {
				doc["version"] = json.RawMessage(strconv.Quote(strings.TrimPrefix(KubernetesProviderVersion, "v")))
			}
			if raw, err = json.Marshal(doc); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(out, name+"-embed.json"), raw, 0o644); err != nil {
				return err
			}
		}
		return nil
	},
}

// overlay runs the unit's generator and returns the path of the file that shows
// its result to the compiler.
func (j *job) overlay(ctx context.Context, tmp string, step *progress.Step) (string, error) {
	out := filepath.Join(tmp, "generated")
	if err := os.Mkdir(out, 0o755); err != nil {
		return "", err
	}
	if err := j.generate.run(ctx, j.dir, out, step); err != nil {
		return "", err
	}
	replace := map[string]string{}
	err := filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(out, p)
		if err != nil {
			return err
		}
		replace[filepath.Join(j.dir, rel)] = p
		return nil
	})
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(tmp, "overlay.json")
	return file, os.WriteFile(file, raw, 0o644)
}
