package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// messages are govulncheck's for a module that has a at v1.0.0, in which a/bad, which it
// imports, and a/worse, which it does not, are vulnerable.
const messages = `
{"config": {"protocol_version": "v1.0.0"}}
{"osv": {"id": "GO-2026-0001", "aliases": ["CVE-2026-1"], "summary": "Bad in a"}}
{"osv": {"id": "GO-2026-0002", "summary": "Worse in a"}}
{"osv": {"id": "GO-2026-0003", "summary": "Bad in Go"}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/a", "version": "v1.0.0"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/a", "version": "v1.0.0", "package": "example.com/a/bad"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/a", "version": "v1.0.0", "package": "example.com/a/bad/sub"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.com/a", "version": "v1.0.0"}]}}
{"finding": {"osv": "GO-2026-0003", "trace": [{"module": "stdlib", "version": "v1.26.8", "package": "net/http"}]}}
`

func TestParse(t *testing.T) {
	found, err := parse("docker/x", strings.NewReader(messages))
	if err != nil {
		t.Fatal(err)
	}
	want := []finding{
		{id: "GO-2026-0001", fixed: "v1.2.0", in: "docker/x", module: "example.com/a", version: "v1.0.0", pkg: "example.com/a/bad", description: "CVE-2026-1 Bad in a"},
		{id: "GO-2026-0003", in: "docker/x", module: "stdlib", version: "v1.26.8", pkg: "net/http", description: "Bad in Go"},
	}
	if len(found) != len(want) {
		t.Fatalf("found %+v; want %+v", found, want)
	}
	for i := range want {
		if found[i] != want[i] {
			t.Errorf("found %+v; want %+v", found[i], want[i])
		}
	}
	if _, err := parse("x", strings.NewReader("{")); err == nil {
		t.Error("broken messages: no error")
	}
}

func TestJudge(t *testing.T) {
	found, err := parse("docker/x", strings.NewReader(messages))
	if err != nil {
		t.Fatal(err)
	}
	all := []exception{{"GO-2026-0001", "example.com/a", "r"}, {"GO-2026-0003", stdlib, "r"}}
	for what, c := range map[string]struct {
		excepted []exception
		want     []string // empty: nothing is wrong
	}{
		"nothing is excepted":                   {nil, []string{"GO-2026-0001", "example.com/a v1.0.0", "docker/x", "fixed in v1.2.0", "GO-2026-0003", "no fixed version"}},
		"everything is":                         {all, nil},
		"of another module":                     {[]exception{{"GO-2026-0001", "example.com/b", "r"}, all[1]}, []string{"GO-2026-0001: example.com/a/bad", "example.com/b is excepted and no longer found"}},
		"one that is needless":                  {append([]exception{{"GO-2020-0009", "example.com/a", "r"}}, all...), []string{"GO-2020-0009: example.com/a is excepted and no longer found"}},
		"one that another Go would not need":    {append([]exception{{"GO-2020-0009", stdlib, "r"}}, all...), nil},
		"a module of which nothing is imported": {append([]exception{{"GO-2026-0002", "example.com/a", "r"}}, all...), []string{"GO-2026-0002"}},
	} {
		var out bytes.Buffer
		err := judge(&out, found, c.excepted)
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: error %v\n%s", what, err, &out)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in\n%s", what, want, &out)
			}
		}
		if len(c.want) == 0 && out.Len() > 0 {
			t.Errorf("%s: printed %s", what, &out)
		}
	}
}

func TestReadExceptions(t *testing.T) {
	got, err := readExceptions("# why\n\nGO-2026-0001 example.com/a  is only used  at start\n")
	if err != nil || len(got) != 1 || got[0] != (exception{"GO-2026-0001", "example.com/a", "is only used  at start"}) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"CVE-2026-1 example.com/a reason": "exceptions.txt:1",
		"# x\nGO-2026-0001 example.com/a": "exceptions.txt:2",
		"GO-2026-0001":                    "reason",
		"GO-2026-0001 example.com/a one\nGO-2026-0001 example.com/a another": "twice",
	} {
		if _, err := readExceptions(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %s", text, err, want)
		}
	}
	if _, err := readExceptions(exceptionsFile); err != nil {
		t.Error(err)
	}
}

// TestItFinds lets govulncheck itself read a database that is laid out here, for a
// module that imports something vulnerable of the standard library.
func TestItFinds(t *testing.T) {
	entries, db, module := t.TempDir(), t.TempDir(), t.TempDir()
	put := func(file string, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entry := func(id, pkg string) {
		t.Helper()
		raw, err := json.Marshal(map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": "2026-01-02T03:04:05Z", "summary": "Bad in " + pkg,
			"affected": []any{map[string]any{
				"package":            map[string]string{"name": stdlib, "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]string{"introduced": "0"}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": pkg}}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		put(filepath.Join(entries, id+".json"), string(raw))
	}
	entry("GO-2026-9001", "archive/tar")
	entry("GO-2026-9002", "archive/zip")
	if err := writeDatabase(entries, db); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(module, "go.mod"), "module example.com/m\n\ngo 1.26\n")
	put(filepath.Join(module, "m.go"), "package m\n\nimport _ \"archive/tar\"\n")
	found, err := check(t.Context(), module, db)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].id != "GO-2026-9001" || found[0].pkg != "archive/tar" {
		t.Errorf("found %+v; want GO-2026-9001 alone, of the package that is imported", found)
	}
	if _, err := check(t.Context(), filepath.Join(module, "none"), db); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestWriteDatabaseRefuses(t *testing.T) {
	for what, files := range map[string]map[string]string{
		"no entries":               {},
		"an entry of another name": {"GO-2026-0001.json": `{"id": "GO-2026-0002"}`},
		"an entry that is broken":  {"GO-2026-0001.json": `{`},
	} {
		dir := t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeDatabase(dir, t.TempDir()); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
