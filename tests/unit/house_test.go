package unit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestRoomsKeepToThemselves: an edit of a room is one in its own files. In the package
// stacks a room's component is imported by its own file, by the lists and by the targets,
// where outputs flow; in components by nobody but itself.
func TestRoomsKeepToThemselves(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	const module = "github.com/alphapulse/alphapulse-infra/"
	rooms := []string{"backend", "backup", "cache", "database", "frontend", "ingress", "monitoring", "telemetry"}
	common := []string{"room", "workload"}
	builtOn := map[string]string{"backup": "database"} // it runs that server's own tools on its files
	// What a file says beyond its own room, and why.
	allowed := map[string][]string{
		"rooms.go": {}, "links.go": rooms, "kubernetes.go": rooms, "docker.go": rooms,
		"settings.go":   rooms,                                              // what a Stack holds: one field and one default a room
		"edge.go":       {"ingress", "frontend", "monitoring", "telemetry"}, // the edge leads to ports of theirs
		"backend.go":    {"backend", "database", "cache"},                   // it logs in to them
		"frontend.go":   {"frontend", "backend"},                            // joins variables
		"encryption.go": {"backend", "cache", "ingress"},                    // how one reaches the other
		"backup.go":     {"backup", "database"},                             // it copies what the other stores
		"variables.go":  {"backend"}, "receivers.go": {"monitoring"}, "outputs.go": {"database"},
	}
	imports := func(file string) []string {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		var paths []string
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			if own, ours := strings.CutPrefix(path, module); ours {
				paths = append(paths, own)
			}
		}
		return paths
	}
	files, err := filepath.Glob(filepath.Join(root, "stacks", "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, path := range imports(file) {
			component, below := strings.CutPrefix(path, "components/")
			component, _, _ = strings.Cut(component, "/")
			if !below || !slices.Contains(rooms, component) {
				continue
			}
			// A room's further files begin with its own: edge_balancer.go.
			mine, _, _ := strings.Cut(strings.TrimSuffix(name, ".go"), "_")
			assert.True(t, mine == component || slices.Contains(allowed[mine+".go"], component), "stacks/%s knows the room %s: say it in %s.go, or in the lists", name, component, component)
		}
	}
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "components"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			assert.NotEqual(t, "internal", d.Name(), "%s: somebody else's program could not name what is in it", path)
		}
		return err
	}))
	for _, r := range rooms {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, "components", r), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, i := range imports(path) {
				component, below := strings.CutPrefix(i, "components/")
				component, _, _ = strings.Cut(component, "/")
				assert.True(t, below, "%s imports %s: components know nothing of stacks or tests", path, i)
				assert.True(t, component == r || component == builtOn[r] || slices.Contains(common, component), "%s imports components/%s: rooms do not know each other", path, component)
			}
			return nil
		}))
	}
}

// TestASettingIsDeclaredInOneFile: its key stands in one file of stacks/, except where a
// message tells a user to change it.
func TestASettingIsDeclaredInOneFile(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	declared := map[string][]string{}
	packages, err := filepath.Glob(filepath.Join(root, "stacks", "*.go"))
	require.NoError(t, err)
	for _, file := range packages {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			to, isField := call.Args[0].(*ast.UnaryExpr)
			key, isKey := call.Args[1].(*ast.BasicLit)
			if isField && isKey && to.Op == token.AND && key.Kind == token.STRING {
				name, err := strconv.Unquote(key.Value)
				require.NoError(t, err)
				declared[name] = append(declared[name], filepath.Base(file))
			}
			return true
		})
	}
	assert.Greater(t, len(declared), 60)
	for key, files := range declared {
		assert.Len(t, files, 1, "the setting %s is declared in %v", key, files)
	}
}

// TestOneTransformationAddsOptions: the SDK gives each transformation of a stack a
// resource's own options, so that of two that add some only the last one's count, and
// what the other would have asked before a change is never asked.
func TestOneTransformationAddsOptions(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	var in []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			if err == nil && d.IsDir() && (d.Name() == ".local" || d.Name() == "node_modules" || path == filepath.Join(root, "local")) {
				return filepath.SkipDir
			}
			return err
		}
		raw, err := os.ReadFile(path)
		for range strings.Count(string(raw), "ResourceTransformationResult{") {
			in = append(in, filepath.Base(path))
		}
		return err
	}))
	assert.Equal(t, []string{"owner.go"}, in)
}
