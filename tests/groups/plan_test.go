package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// toy is a table in which every kind of group occurs.
var toy = []group{
	{name: core, shares: true, need: 10 * time.Minute},
	{name: "data", shares: true, need: 10 * time.Minute, paths: []string{"components/database"}},
	{name: "nodes", shares: true, last: true, need: 12 * time.Minute, paths: []string{"local/internal/node"}},
	{name: "single", need: 8 * time.Minute, paths: []string{"stacks/docker.go", "docker"}},
	{name: "backend", need: 5 * time.Minute, waits: true, paths: []string{"docker/backend"}},
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		names string
		keep  bool
		want  string
	}{
		{"", false, "core data nodes single backend"},
		{"", true, "core data nodes backend"},
		{"single,core", false, "core single"},
		{" data, core ", true, "core data"},
	} {
		got, err := choose(toy, c.names, c.keep)
		if err != nil || strings.Join(namesOf(got), " ") != c.want {
			t.Errorf("choose %q, keep %v: %v, %v; want %s", c.names, c.keep, namesOf(got), err, c.want)
		}
	}
	for _, c := range []struct {
		names string
		keep  bool
		want  []string
	}{
		{"cor,data,sinlge", false, []string{"GROUP=cor,data,sinlge", "cor, sinlge", "core, data, nodes, single, backend"}},
		{"core,single", true, []string{"single", "KEEP=1"}},
	} {
		got, err := choose(toy, c.names, c.keep)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("choose %q, keep %v: %v, %v; want one line of error", c.names, c.keep, namesOf(got), err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("choose %q: %v does not tell %s", c.names, err, want)
			}
		}
	}
}

func TestPrioritise(t *testing.T) {
	for _, c := range []struct {
		changed []string
		turn    int
		want    string
	}{
		{nil, 0, "data nodes single backend"},
		{nil, 1, "nodes single backend data"},
		{nil, 7, "backend data nodes single"},
		{[]string{"docker/backend/main.go"}, 1, "single backend nodes data"},
		{[]string{"stacks/docker.go"}, 0, "single data nodes backend"},
		// A name that only begins alike is another file.
		{[]string{"stacks/docker.go.orig", "dockerfile"}, 0, "data nodes single backend"},
	} {
		if got := strings.Join(namesOf(prioritise(toy, c.changed, c.turn)), " "); got != c.want {
			t.Errorf("changed %v, turn %d: %s; want %s", c.changed, c.turn, got, c.want)
		}
	}
	if got := prioritise(toy[:1], nil, 3); len(got) != 0 {
		t.Errorf("core alone: %v; want none besides", namesOf(got))
	}
}

// Every group comes first once in as many commits as there are groups.
func TestEveryGroupHasItsTurn(t *testing.T) {
	first := map[string]bool{}
	for turn := range len(toy) - 1 {
		first[prioritise(toy, nil, 100+turn)[0].name] = true
	}
	if len(first) != len(toy)-1 {
		t.Errorf("first were %v; want each of %v", first, namesOf(toy[1:]))
	}
}

func TestNext(t *testing.T) {
	pick := func(names ...string) []group {
		var some []group
		for _, n := range names {
			some = append(some, toy[slices.IndexFunc(toy, func(g group) bool { return g.name == n })])
		}
		return some
	}
	always := pick(core)
	always[0].need = 0
	for what, c := range map[string]struct {
		waiting []group
		left    time.Duration
		running bool
		want    string
	}{
		"by priority":                        {pick("single", "data"), time.Hour, false, "single"},
		"one that needs no other cluster":    {pick("single", "data"), time.Hour, true, "data"},
		"but not for time that is not left":  {pick("single", "data"), 15 * time.Minute, true, "single"},
		"a smaller one that fits":            {pick("data", "single"), 9 * time.Minute, false, "single"},
		"nothing fits":                       {pick("nodes", "data"), 9 * time.Minute, false, ""},
		"what spoils the cluster goes last":  {pick("nodes", "single", "data"), time.Hour, true, "data"},
		"and then before what needs it gone": {pick("single", "nodes"), time.Hour, true, "nodes"},
		"what waits runs beside":             {pick("single", "backend"), time.Hour, false, "single backend"},
		"in either order":                    {pick("backend", "single", "nodes"), time.Hour, false, "backend single"},
		"but not if it does not fit":         {pick("single", "backend"), 9 * time.Minute, false, "single"},
		"nor beside a shared cluster":        {pick("data", "backend"), time.Hour, false, "data"},
		"core runs whatever is left":         {append(always, pick("data")...), -time.Minute, false, "core"},
	} {
		if got := strings.Join(namesOf(next(c.waiting, c.left, c.running)), " "); got != c.want {
			t.Errorf("%s: %q; want %q", what, got, c.want)
		}
	}
}

// The table: what it names is there, and each test of tests/e2e is in one group.
func TestTable(t *testing.T) {
	root := filepath.Join("..", "..")
	owned := map[string]bool{destroyTest: true, "TestMain": true}
	for _, g := range groups {
		if g.about == "" || g.need <= 0 {
			t.Errorf("%s: what it is about and what it takes is missing", g.name)
		}
		for _, p := range append(slices.Clone(g.paths), filepath.Join(g.dir, strings.TrimSuffix(g.pkg, "/..."))) {
			if _, err := os.Stat(filepath.Join(root, p)); err != nil {
				t.Errorf("%s: %v", g.name, err)
			}
		}
		if g.pkg == "./tests/e2e" {
			owned[g.run] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "tests", "e2e", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in tests/e2e: %v", err)
	}
	found := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				found[fn.Name.Name] = true
				if !owned[fn.Name.Name] {
					t.Errorf("%s of tests/e2e is in no group: add one to tests/groups/groups.go", fn.Name.Name)
				}
			}
		}
	}
	for name := range owned {
		if !found[name] {
			t.Errorf("tests/e2e has no %s, which a group runs", name)
		}
	}
}
