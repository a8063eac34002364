// Package build compiles the pinned tools of the project from Go modules into
// the user's cache folder. What is there already, by the content of what it is
// built from, is not built again.
package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

const (
	// compilers is how many builds run at once: each uses every core, but has
	// long stretches (one large package, a link) that use only one.
	compilers = 2
	// downloads is how many modules' dependencies are fetched at once.
	downloads = 2
	// lockPoll is how often a lock that another process holds is tried again.
	lockPoll = 250 * time.Millisecond
	// stopGrace is what an interrupted compiler gets to end by itself.
	stopGrace = 10 * time.Second
)

// The limits hold for the whole process, whoever asks for tools.
var limits = sync.OnceValue(func() (l struct{ compile, download *limiter }) {
	l.compile = newLimiter(max(compilers, runtime.NumCPU()/2), availableMemory()*8/10)
	l.download = newLimiter(downloads, 0)
	return l
})

// Ensure builds those of the named tools that the cache does not hold and
// returns the absolute path of each. Calls may overlap, in one process and
// between processes: nothing is built twice at the same time.
//
// A tool that cannot be built does not stop the others: the map then holds what
// there is, and the error names each tool that is missing. Errors wrap ErrGo
// when Go itself is missing or too old.
func Ensure(ctx context.Context, r *progress.Reporter, names ...string) (map[string]string, error) {
	root, err := paths.Root()
	if err != nil {
		return nil, err
	}
	cache, err := paths.CacheDir()
	if err != nil {
		return nil, err
	}
	return ensure(ctx, r, table, root, cache, names)
}

// Missing returns those of the named tools that Ensure would have to build. It
// builds nothing; without a usable Go every tool is missing.
func Missing(ctx context.Context, names ...string) []string {
	root, err := paths.Root()
	if err != nil {
		return names
	}
	cache, err := paths.Cache()
	if err != nil {
		return names
	}
	return missing(ctx, table, root, cache, names)
}

// BuiltBefore tells whether the cache holds some build of each named tool: then Go's
// own caches hold most of what the next one takes.
func BuiltBefore(names ...string) bool {
	cache, err := paths.Cache()
	return err == nil && builtBefore(cache, names)
}

func builtBefore(cache string, names []string) bool {
	for _, name := range names {
		// A broken link is one to an older build.
		if found, err := filepath.Glob(filepath.Join(cache, name, "*", name)); err != nil || len(found) == 0 {
			return false
		}
	}
	return true
}

func missing(ctx context.Context, table []unit, root, cache string, names []string) []string {
	var absent []string
	for _, u := range table {
		tools := slices.DeleteFunc(u.names(), func(t string) bool { return !slices.Contains(names, t) })
		if len(tools) == 0 {
			continue
		}
		j := job{unit: u, dir: filepath.Join(root, filepath.FromSlash(u.folder())), cache: cache}
		if err := j.identify(ctx); err != nil {
			absent = append(absent, tools...)
			continue
		}
		absent = append(absent, j.missing(tools)...)
	}
	return absent
}

func ensure(ctx context.Context, r *progress.Reporter, table []unit, root, cache string, names []string) (map[string]string, error) {
	wanted := make([][]string, len(table))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		i := slices.IndexFunc(table, func(u unit) bool { return slices.Contains(u.names(), name) })
		if i < 0 {
			return nil, fmt.Errorf("no tool is named %q", name)
		}
		wanted[i] = append(wanted[i], name)
	}

	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		found = map[string]string{}
		errs  = make([]error, len(table))
	)
	for rank, tools := range wanted {
		if len(tools) == 0 {
			continue
		}
		wg.Go(func() {
			j := job{unit: table[rank], rank: rank, dir: filepath.Join(root, filepath.FromSlash(table[rank].folder())), cache: cache, reporter: r}
			have, err := j.run(ctx, tools)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(found, have)
			errs[rank] = err
		})
	}
	wg.Wait()
	return found, errors.Join(errs...)
}

// Warm compiles the program in dir into Go's cache, within the limits that hold
// for tools, so that the language host only has to link it. The result is not
// kept.
func Warm(ctx context.Context, r *progress.Reporter, dir string) error {
	if _, err := findGo(ctx, dir); err != nil {
		return err
	}
	l := limits()
	place := need{rank: warmRank, memory: warmMemory, family: pulumiSDK}
	if err := l.compile.acquire(ctx, place); err != nil {
		return err
	}
	defer l.compile.release(place)
	s := r.Step("compile the program")
	return s.Done(runGo(ctx, dir, s, "list", "-export", "-deps", "-f={{/* only the compiling counts */}}", "."))
}

const (
	warmRank   = 4 // before the CLI, which then finds the packages that both have
	warmMemory = 2800 * mib
)
