// Package custom reads what users watch beside what the rooms do: a folder of rules,
// dashboards, scrape configurations and routes in the file formats of Prometheus, Grafana
// and Alertmanager. Everything that is wrong is found before any of it is deployed, by
// Prometheus' and Alertmanager's own parsers where these are small. Plain Go without
// Pulumi types.
package custom

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"
)

// The folders within a user's folder.
const (
	// RulesFolder holds rule files of Prometheus, *.yaml.
	RulesFolder = "rules"
	// DashboardsFolder holds dashboards as Grafana exports them, *.json.
	DashboardsFolder = "dashboards"
	// ScrapeFolder holds scrape configurations as Prometheus' scrape_config_files has
	// them, *.yaml.
	ScrapeFolder = "scrape"
	// RoutesFolder holds routes, time intervals and inhibit rules of Alertmanager, *.yaml.
	RoutesFolder = "routes"
	// MetricsFolder holds what a target answered, *.prom, in Prometheus' text format: the
	// names of series that rules and dashboards may ask for.
	MetricsFolder = "metrics"
)

// extensions of each folder's files.
var extensions = map[string][]string{
	RulesFolder: {".yaml", ".yml"}, DashboardsFolder: {".json"}, ScrapeFolder: {".yaml", ".yml"},
	RoutesFolder: {".yaml", ".yml"}, MetricsFolder: {".prom", ".txt"},
}

// maxBytes is how much the files that one process reads may hold: a ConfigMap has room for
// 1 MiB, with the stack's own files in it.
const maxBytes = 700 << 10

// Problem is what is wrong with a file.
type Problem struct {
	// File below the user's folder; "" for the folder itself.
	File string
	// Line in it, from 1; 0 for none.
	Line int
	// Text says what is wrong and what to do.
	Text string
}

// String begins with where it is, as compilers do.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Folder is what a user's folder holds, read and checked for itself.
type Folder struct {
	// Rules, Dashboards and Scrapes are the files by their names, as Prometheus and Grafana
	// read them.
	Rules, Dashboards, Scrapes map[string]string
	// Routes, TimeIntervals and InhibitRules are in Alertmanager's notation.
	Routes, TimeIntervals, InhibitRules []any
	// Targets are what Prometheus has to reach for Scrapes, each once.
	Targets []Target

	groups      []group
	pages       []page
	jobs        []located
	credentials []located
	receivers   []located
	lines       []located // the panels that ask for log lines
	intervals   []located // that there are, and named ones
	named       []located
	// served are the names of series that users' targets are known to have.
	served map[string]bool
}

// located is a name and where it stands.
type located struct {
	name, file string
	line       int
}

// group is a group of rules and where it stands.
type group struct {
	located
	rules []placedRule
}

// placedRule is a rule and where it and its expression stand.
type placedRule struct {
	rulefmt.Rule
	line, exprLine int
}

// reader collects what is wrong.
type reader struct {
	*Folder
	problems []Problem
	// bytes are how much the files of each folder hold.
	bytes map[string]int
}

func (r *reader) problem(file string, line int, format string, v ...any) {
	r.problems = append(r.problems, Problem{file, line, fmt.Sprintf(format, v...)})
}

// fileName is one that a ConfigMap can have as a key.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Read reads a user's folder. It returns what is wrong with the files themselves, all of
// it; Check finds what is wrong with them beside others.
func Read(fsys fs.FS) (*Folder, []Problem) {
	r := &reader{Folder: &Folder{
		Rules: map[string]string{}, Dashboards: map[string]string{}, Scrapes: map[string]string{}, served: map[string]bool{},
	}, bytes: map[string]int{}}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		r.problem("", 0, "the folder cannot be read: %v", unwrapped(err))
		return r.Folder, r.problems
	}
	known := r.root(entries)
	for _, f := range []struct {
		folder string
		read   func(file string, content []byte)
	}{
		{MetricsFolder, r.metrics}, {RulesFolder, r.rules}, {DashboardsFolder, r.dashboard}, {ScrapeFolder, r.scrapes}, {RoutesFolder, r.routes},
	} {
		if known[f.folder] {
			r.files(fsys, f.folder, f.read)
		}
	}
	r.sizes()
	return r.Folder, r.problems
}

// root checks what lies in the folder itself, and returns which of our folders do.
func (r *reader) root(entries []fs.DirEntry) map[string]bool {
	known, folders := map[string]bool{}, strings.Join(slices.Sorted(maps.Keys(extensions)), ", ")
	for _, e := range entries {
		name := e.Name()
		switch {
		case extensions[name] != nil:
			known[name] = true
		case strings.HasPrefix(name, "."):
		case e.IsDir():
			r.problem(name, 0, "no such folder: the folders are %s", folders)
		case path.Ext(name) == ".md" || strings.HasPrefix(name, "README"):
		default:
			r.problem(name, 0, "nobody reads it here: move it into one of the folders %s, or out", folders)
		}
	}
	if len(known) == 0 {
		r.problem("", 0, "it has none of the folders %s: create one", folders)
	}
	return known
}

// unwrapped is an error without the path that the message names itself.
func unwrapped(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// files reads each file of a folder, in the order of their names.
func (r *reader) files(fsys fs.FS, folder string, read func(file string, content []byte)) {
	entries, err := fs.ReadDir(fsys, folder)
	if err != nil {
		r.problem(folder, 0, "it cannot be read: %v", unwrapped(err))
	}
	for _, e := range entries {
		file, extension := path.Join(folder, e.Name()), path.Ext(e.Name())
		switch {
		case extension == ".md" || strings.HasPrefix(e.Name(), "."):
			continue
		case e.IsDir() || !slices.Contains(extensions[folder], extension):
			r.problem(file, 0, "nobody reads it: files here end with %s; those that end with .md are left alone", strings.Join(extensions[folder], " or "))
			continue
		case !fileName.MatchString(e.Name()):
			r.problem(file, 0, "the name cannot be that of a file in a ConfigMap: use letters, digits, dots, hyphens and underscores")
			continue
		}
		content, err := fs.ReadFile(fsys, file)
		if err != nil {
			r.problem(file, 0, "it cannot be read: %v", unwrapped(err))
			continue
		}
		content = bytes.TrimPrefix(content, []byte("\ufeff"))
		if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
			r.problem(file, 0, "it is no text in UTF-8: save it as UTF-8; > of Windows PowerShell writes UTF-16, and Out-File -Encoding utf8 does not")
			continue
		}
		r.bytes[folder] += len(content)
		if slices.Contains(extensions[folder], ".yaml") && r.gaps(file, content) {
			continue
		}
		read(file, content)
	}
}

// gaps reports empty entries of lists, which whoever reads YAML leaves out without a word.
func (r *reader) gaps(file string, content []byte) (found bool) {
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for _, below := range n.Content {
			if n.Kind == yaml.SequenceNode && below.ShortTag() == "!!null" {
				r.problem(file, below.Line, "this entry of a list is empty: fill it or take it away")
				found = true
			}
			look(below)
		}
	}
	var n yaml.Node
	if yaml.Unmarshal(content, &n) == nil { // what cannot be read is said by who reads it
		look(&n)
	}
	return found
}

// sizes reports more than fits into a ConfigMap.
func (r *reader) sizes() {
	for _, c := range []struct {
		what string
		sum  int
	}{
		{RulesFolder + " and " + ScrapeFolder, r.bytes[RulesFolder] + r.bytes[ScrapeFolder]}, {DashboardsFolder, r.bytes[DashboardsFolder]},
		{RoutesFolder, r.bytes[RoutesFolder]},
	} {
		if c.sum > maxBytes {
			r.problem("", 0, "the files of %s hold %d KiB together, and a ConfigMap has room for %d: leave some out", c.what, c.sum>>10, maxBytes>>10)
		}
	}
}

// yamlLine is how the YAML library begins a message.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)

// inType is what the library says about Go's own types.
var inType = regexp.MustCompile(` (?:in type|into) \S+$`)

// yamlProblems are those of a file that cannot be decoded.
func (r *reader) yamlProblems(file string, err error) {
	lines := []string{err.Error()}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		lines = typed.Errors
	}
	for _, l := range lines {
		line, text := 0, l
		if m := yamlLine.FindStringSubmatch(l); m != nil {
			line, text = number(m[1]), m[2]
		}
		r.problem(file, line, "%s", inType.ReplaceAllString(text, ""))
	}
}
