package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// databaseModule has an entry for each vulnerability that is known of a Go module.
const databaseModule = "golang.org/x/vulndb"

// entriesDir returns the folder of the entries in the database that the module in dir
// pins, which is downloaded if it is not there.
func entriesDir(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", databaseModule)
	var errs bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &errs
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if json.Unmarshal(out, &m) == nil && m.Error != "" {
		return "", fmt.Errorf("go mod download %s: %s", databaseModule, m.Error)
	}
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", databaseModule, err, bytes.TrimSpace(errs.Bytes()))
	}
	return filepath.Join(m.Dir, "data", "osv"), nil
}

// writeDatabase lays out the entries as govulncheck wants a database to be
// (https://go.dev/doc/security/vuln/database#api): each below ID, and the indexes by
// which it finds those of a module.
func writeDatabase(entries, to string) error {
	type vuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
	}
	type module struct {
		Path  string `json:"path"`
		Vulns []vuln `json:"vulns"`
	}
	modules := map[string]*module{}
	var newest time.Time
	files, err := filepath.Glob(filepath.Join(entries, "*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no entries", entries)
	}
	for _, d := range []string{"ID", "index"} {
		if err := os.MkdirAll(filepath.Join(to, d), 0o755); err != nil {
			return err
		}
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var entry struct {
			ID       string    `json:"id"`
			Modified time.Time `json:"modified"`
			Affected []struct {
				Package struct {
					Name string `json:"name"`
				} `json:"package"`
			} `json:"affected"`
		}
		if err := json.Unmarshal(raw, &entry); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if entry.ID != strings.TrimSuffix(filepath.Base(file), ".json") {
			return fmt.Errorf("%s is the entry %s", file, entry.ID)
		}
		if err := os.Symlink(file, filepath.Join(to, "ID", entry.ID+".json")); err != nil {
			return err
		}
		if entry.Modified.After(newest) {
			newest = entry.Modified
		}
		for _, a := range entry.Affected {
			m := modules[a.Package.Name]
			if m == nil {
				m = &module{Path: a.Package.Name}
				modules[m.Path] = m
			}
			m.Vulns = append(m.Vulns, vuln{ID: entry.ID, Modified: entry.Modified})
		}
	}
	list := make([]*module, 0, len(modules))
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		list = append(list, modules[path])
	}
	for name, v := range map[string]any{"db": map[string]time.Time{"modified": newest}, "modules": list} {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "index", name+".json"), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}
