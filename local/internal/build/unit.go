package build

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// A unit is what one `go build` makes: programs of one module that share their
// flags. One that has pages is a folder of them instead.
type unit struct {
	module   string            // folder below local/modules; dir overrides it
	dir      string            // folder relative to the repository, for modules elsewhere
	tools    map[string]string // name → package, or the folder of what becomes pages
	calls    map[string]string // further names → the tool that is what it is called by
	family   string            // of units that share large packages
	stamp    map[string]string // -X variables
	tags     string
	memory   int64     // peak of compiler and linker together, in bytes, measured on 2 cores
	generate generator // files that the module embeds and git does not hold
	pages    *pages
}

func (u unit) folder() string {
	if u.dir != "" {
		return u.dir
	}
	return path.Join("local", "modules", u.module)
}

// names are those under which the unit's programs can be asked for.
func (u unit) names() []string {
	return slices.Sorted(maps.Keys(u.packages()))
}

// packages gives the package of each name.
func (u unit) packages() map[string]string {
	all := maps.Clone(u.tools)
	for name, tool := range u.calls {
		all[name] = u.tools[tool]
	}
	return all
}

// tool returns the program that a name stands for.
func (u unit) tool(name string) string {
	if tool, ok := u.calls[name]; ok {
		return tool
	}
	return name
}

// args are the flags of `go build` that belong to the unit.
func (u unit) args() []string {
	// Without symbol tables the link is faster and the binary a third smaller;
	// compiled packages in Go's cache do not depend on it.
	ld := []string{"-s", "-w"}
	for _, k := range slices.Sorted(maps.Keys(u.stamp)) {
		ld = append(ld, "-X", k+"="+u.stamp[k])
	}
	args := []string{"-ldflags=" + strings.Join(ld, " ")}
	if u.tags != "" {
		args = append(args, "-tags="+u.tags)
	}
	return args
}
