// Package serve is what the node of a Docker engine serves: a registry, and the
// modules and packages that image builds fetch.
package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
)

// LockedFile lists, beside the packages themselves, what the node serves of npm's
// registry.
const LockedFile = "locked.json"

// A Package of npm is one that a lock file names.
type Package struct {
	Name      string
	Version   string
	Integrity string
}

// File returns the name that `npm pack` gives the package: @a/b of version 1 is
// a-b-1.tgz.
func (p Package) File() string {
	return strings.NewReplacer("@", "", "/", "-").Replace(p.Name) + "-" + p.Version + ".tgz"
}

// LockedPackages returns the packages of a lock file that npm installs on this
// kind of machine.
func LockedPackages(lock []byte) ([]Package, error) {
	var l struct {
		Packages map[string]struct {
			Version, Integrity string
			OS, CPU, Libc      []string
			Link               bool
		} `json:"packages"`
	}
	if err := json.Unmarshal(lock, &l); err != nil {
		return nil, err
	}
	suits := func(have []string, want string) bool { return len(have) == 0 || slices.Contains(have, want) }
	var all []Package
	for where, p := range l.Packages {
		_, name, ok := cutLast(where, "node_modules/")
		if !ok || p.Link || !suits(p.OS, "linux") || !suits(p.CPU, "x64") || !suits(p.Libc, "glibc") {
			continue
		}
		if p.Version == "" || p.Integrity == "" {
			return nil, fmt.Errorf("%s has no version or no checksum", where)
		}
		all = append(all, Package{name, p.Version, p.Integrity})
	}
	slices.SortFunc(all, func(a, b Package) int {
		return strings.Compare(a.Name+"@"+a.Version, b.Name+"@"+b.Version)
	})
	return slices.Compact(all), nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// npmRegistry answers what `npm ci` asks of a registry, from the packages and the
// list of them in dir: GET /NAME for the versions, GET /NAME/-/FILE for one.
func npmRegistry(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var locked []Package
		raw, err := os.ReadFile(filepath.Join(dir, LockedFile))
		if err == nil {
			err = json.Unmarshal(raw, &locked)
		}
		if err != nil {
			http.Error(w, "no packages were fetched for builds: `local engine up --builds`", http.StatusNotFound)
			return
		}
		name, file, one := strings.Cut(strings.Trim(r.URL.Path, "/"), "/-/")
		versions := map[string]any{}
		for _, p := range locked {
			tarball := path.Base(p.Name) + "-" + p.Version + ".tgz"
			switch {
			case p.Name != name:
			case one && tarball == file:
				http.ServeFile(w, r, filepath.Join(dir, p.File()))
				return
			case !one:
				versions[p.Version] = map[string]any{
					"name": p.Name, "version": p.Version,
					"dist": map[string]string{
						"integrity": p.Integrity,
						"tarball":   "http://" + r.Host + plan.NPMPath + p.Name + "/-/" + tarball,
					},
				}
			}
		}
		if len(versions) == 0 {
			http.Error(w, "no lock file of the image builds names it", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// A client that goes away is no concern.
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "dist-tags": map[string]string{}, "versions": versions})
	})
}

// services returns what the port of the registry answers: pushes and pulls of images, and, to
// read only, the Go modules in the folder modules and the npm packages in packages.
func services(registry http.Handler, modules, packages string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v2/", registry)
	files := http.StripPrefix(strings.TrimSuffix(plan.GoPath, "/"), http.FileServer(http.Dir(modules)))
	mux.HandleFunc("GET "+plan.GoPath, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no lists of folders
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
	mux.Handle("GET "+plan.NPMPath, http.StripPrefix(strings.TrimSuffix(plan.NPMPath, "/"), npmRegistry(packages)))
	return mux
}
