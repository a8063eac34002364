// Command vulncheck looks for known vulnerabilities in what the given modules import:
//
//	vulncheck DIR...
//
// It is govulncheck with the database that the module beside it pins, so that the same
// tree gives the same answer and nothing but the module proxy is asked. What is found
// and not excepted in exceptions.txt is an error, and so is an exception of which
// nothing is found.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/vuln/scan"
)

//go:embed exceptions.txt
var exceptionsFile string

func main() {
	if err := run(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, dirs []string) error {
	if len(dirs) == 0 {
		return errors.New("name the folders of the modules to look at")
	}
	excepted, err := readExceptions(exceptionsFile)
	if err != nil {
		return err
	}
	db, err := os.MkdirTemp("", "vulndb-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(db) }()
	entries, err := entriesDir(ctx, filepath.Join("local", "modules", "vulndb"))
	if err != nil {
		return err
	}
	if err := writeDatabase(entries, db); err != nil {
		return fmt.Errorf("database of vulnerabilities: %w", err)
	}
	var found []finding
	for _, dir := range dirs {
		f, err := check(ctx, dir, db)
		if err != nil {
			return err
		}
		found = append(found, f...)
	}
	return judge(out, found, excepted)
}

// A finding is a vulnerability in a package that a module of ours imports.
type finding struct {
	id, fixed, in    string // in: the folder of our module
	module, version  string // of what is vulnerable
	pkg, description string
}

// check returns what is known of the packages that the module in dir imports, once per
// vulnerability and vulnerable module.
func check(ctx context.Context, dir, db string) ([]finding, error) {
	var out, errs bytes.Buffer
	cmd := scan.Command(ctx, "-C", dir, "-db", "file://"+filepath.ToSlash(db), "-scan", "package", "-format", "json", "./...")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", dir, err, errs.Bytes())
	}
	return parse(dir, &out)
}

// parse reads govulncheck's messages.
func parse(dir string, messages io.Reader) ([]finding, error) {
	var found []finding
	summaries := map[string]string{}
	for d := json.NewDecoder(messages); ; {
		var m struct {
			OSV *struct {
				ID      string   `json:"id"`
				Aliases []string `json:"aliases"`
				Summary string   `json:"summary"`
			} `json:"osv"`
			Finding *struct {
				OSV   string `json:"osv"`
				Fixed string `json:"fixed_version"`
				Trace []struct {
					Module, Version, Package string
				} `json:"trace"`
			} `json:"finding"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if m.OSV != nil {
			summaries[m.OSV.ID] = strings.Join(append(m.OSV.Aliases, m.OSV.Summary), " ")
		}
		// One without a package is of a module of which nothing vulnerable is imported.
		if f := m.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Package != "" {
			at := f.Trace[0]
			found = append(found, finding{id: f.OSV, fixed: f.Fixed, in: dir, module: at.Module, version: at.Version, pkg: at.Package})
		}
	}
	for i := range found {
		found[i].description = summaries[found[i].id]
	}
	slices.SortFunc(found, func(a, b finding) int {
		return strings.Compare(a.module+" "+a.id+" "+a.pkg, b.module+" "+b.id+" "+b.pkg)
	})
	return slices.CompactFunc(found, func(a, b finding) bool { return a.id == b.id && a.module == b.module }), nil
}

// judge prints what is not excepted and returns an error if there is any, or if an
// exception has become needless.
func judge(out io.Writer, found []finding, excepted []exception) error {
	bad := 0
	used := map[exception]bool{}
	for _, f := range found {
		i := slices.IndexFunc(excepted, func(e exception) bool { return e.id == f.id && e.module == f.module })
		if i >= 0 {
			used[excepted[i]] = true
			continue
		}
		bad++
		remedy := "there is no fixed version"
		if f.fixed != "" {
			remedy = "fixed in " + f.fixed
		}
		_, _ = fmt.Fprintf(out, "%s: %s in %s %s, which %s has: %s; %s\n", f.id, f.pkg, f.module, f.version, f.in, remedy, f.description)
	}
	for _, e := range excepted {
		// Whether the standard library is affected depends on whose Go it is.
		if !used[e] && e.module != stdlib {
			bad++
			_, _ = fmt.Fprintf(out, "%s: %s is excepted and no longer found: remove its line from exceptions.txt\n", e.id, e.module)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d problem(s): raise the module with `go get`, or except the id with a reason in local/modules/vulncheck/exceptions.txt", bad)
	}
	return nil
}
