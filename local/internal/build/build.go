// Package build compiles the pinned tools of the project from Go modules into
// the user's cache folder. What is there already, by the content of what it is
// built from, is not built again.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
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
		i := slices.IndexFunc(table, func(u unit) bool { _, ok := u.tools[name]; return ok })
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
	if err := l.compile.acquire(ctx, warmRank, warmMemory); err != nil {
		return err
	}
	defer l.compile.release(warmMemory)
	s := r.Step("compile the program")
	return s.Done(runGo(ctx, dir, s.Writer(), "list", "-export", "-deps", "-f={{/* only the compiling counts */}}", "."))
}

const (
	warmRank   = 4 // before the CLI, which then finds the packages that both have
	warmMemory = 2800 * mib
)

func (u unit) names() []string { return slices.Sorted(maps.Keys(u.tools)) }

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

// A job brings some tools of one unit into the cache.
type job struct {
	unit
	rank     int
	dir      string
	cache    string
	reporter *progress.Reporter
	key      string
}

func (j *job) run(ctx context.Context, tools []string) (map[string]string, error) {
	if err := j.identify(ctx); err != nil {
		return nil, fmt.Errorf("build %s: %w", strings.Join(tools, ", "), err)
	}
	var err error
	if len(j.missing(tools)) > 0 {
		if err = j.make(ctx, tools); err != nil {
			err = fmt.Errorf("build %s: %w", strings.Join(j.missing(tools), ", "), err)
		}
	}
	have := map[string]string{}
	for _, t := range tools {
		if p := j.path(t); executable(p) {
			have[t] = p
		}
	}
	return have, err
}

// identify finds out under which key the unit's tools lie in the cache.
func (j *job) identify(ctx context.Context) error {
	g, err := findGo(ctx, j.dir)
	if err != nil {
		return err
	}
	j.key, err = j.unit.key(j.dir, g)
	return err
}

// path is where a tool of the unit lies in the cache.
func (j *job) path(tool string) string { return filepath.Join(j.cache, tool, j.key, tool) }

func (j *job) missing(tools []string) []string {
	return slices.DeleteFunc(slices.Clone(tools), func(t string) bool { return executable(j.path(t)) })
}

func executable(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

func (j *job) make(ctx context.Context, tools []string) error {
	l := limits()
	if err := l.download.acquire(ctx, j.rank, 0); err != nil {
		return err
	}
	err := j.download(ctx, tools)
	l.download.release(0)
	if err != nil {
		return err
	}

	// First the place, then the lock: whoever holds a lock can go on, so two
	// processes cannot wait for each other.
	if err := l.compile.acquire(ctx, j.rank, j.memory); err != nil {
		return err
	}
	defer l.compile.release(j.memory)
	unlock, err := j.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if tools = j.missing(tools); len(tools) == 0 {
		return nil // another process built them
	}

	name := path.Base(j.folder())
	switch n := len(tools); {
	case n > 3:
		name += fmt.Sprintf(" (%d programs)", n)
	case n > 1 || tools[0] != name:
		name += " (" + strings.Join(tools, ", ") + ")"
	}
	step := j.reporter.Step("build " + name)
	return step.Done(j.compile(ctx, tools, step.Writer()))
}

// download fetches exactly the modules whose packages the tools import. What
// cannot be loaded is left for the compiler to report: files that the module
// embeds are not generated yet, and a failed download is tried once more.
func (j *job) download(ctx context.Context, tools []string) error {
	step := j.reporter.Step("download the modules of " + path.Base(j.folder()))
	args := append([]string{"list", "-deps", "-e", "-f={{/* only the download counts */}}"}, j.tagArgs()...)
	return step.Done(j.goCommand(ctx, step.Writer(), append(args, j.packages(tools)...)...))
}

func (j *job) tagArgs() []string {
	if j.tags == "" {
		return nil
	}
	return []string{"-tags=" + j.tags}
}

func (j *job) packages(tools []string) []string {
	var p []string
	for _, t := range tools {
		p = append(p, j.tools[t])
	}
	return p
}

// compile builds the tools and moves each into its place. If one cannot be
// built, the others still are.
func (j *job) compile(ctx context.Context, tools []string, w io.Writer) error {
	tmp, err := os.MkdirTemp(j.cache, ".build-")
	if err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	args := j.args()
	if j.generate.run != nil {
		overlay, err := j.overlay(ctx, tmp, w)
		if err != nil {
			return fmt.Errorf("generate what %s embeds: %w", j.folder(), err)
		}
		args = append(args, "-overlay="+overlay)
	}
	bin := filepath.Join(tmp, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if len(tools) == 1 {
		return j.compileOne(ctx, tools[0], args, bin, w)
	}
	err = j.goCommand(ctx, w, slices.Concat([]string{"build", "-o", bin + string(filepath.Separator)}, args, j.packages(tools))...)
	if err == nil {
		for _, t := range tools {
			if err := j.install(filepath.Join(bin, t), t); err != nil {
				return err
			}
		}
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// One by one, what compiled is taken from Go's cache and the culprit shows.
	_, _ = fmt.Fprintf(w, "one of %s fails: building each alone\n", strings.Join(tools, ", "))
	var errs []error
	for _, t := range tools {
		if err := j.compileOne(ctx, t, args, bin, w); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

func (j *job) compileOne(ctx context.Context, tool string, args []string, bin string, w io.Writer) error {
	out := filepath.Join(bin, tool)
	if err := j.goCommand(ctx, w, slices.Concat([]string{"build", "-o", out}, args, j.packages([]string{tool}))...); err != nil {
		return err
	}
	return j.install(out, tool)
}

func (j *job) install(from, tool string) error {
	to := j.path(tool)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("install %s: %w", tool, err)
	}
	return nil
}

// lock waits for the unit's lock, which other processes respect.
func (j *job) lock(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Join(j.cache, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, strings.ReplaceAll(j.folder(), "/", "-")+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if !told {
			j.reporter.Infof("waiting for another process that builds %s", path.Base(j.folder()))
			told = true
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// goCommand runs go in the unit's module. On failure the error carries what to
// do where the output tells.
func (j *job) goCommand(ctx context.Context, w io.Writer, args ...string) error {
	return runGo(ctx, j.dir, w, args...)
}

func runGo(ctx context.Context, dir string, w io.Writer, args ...string) error {
	_, _ = fmt.Fprintf(w, "%s: go %s\n", dir, strings.Join(args, " "))
	var tail tail
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, environ()
	cmd.Stdout = io.MultiWriter(w, &tail)
	cmd.Stderr = cmd.Stdout
	// A group of its own, so that an interrupt reaches the compilers too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopGrace
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return progress.Explain(fmt.Errorf("go %s: %w", args[0], err), "", hint(tail.String()))
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - tailSize; extra > 0 {
		t.b = t.b[extra:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// hint tells what a person can do about a failed go command, by its output.
func hint(output string) string {
	for _, h := range []struct{ sign, advice string }{
		{"no space left on device", "The disk is full: building everything from nothing takes about 20 GB in Go's caches and /tmp. Free some, then run it again; what is built is kept."},
		{"signal: killed", "The compiler was killed, most likely for want of memory: about 5 GB must be free. Stop other programs, then run it again; what is built is kept."},
		{"cannot allocate memory", "The compiler ran out of memory: about 5 GB must be free. Stop other programs, then run it again; what is built is kept."},
		{"checksum mismatch", "A downloaded module is not the one that go.sum names. Do not go on: find out which proxy served it (go env GOPROXY)."},
		{"no such host", "The Go module proxy cannot be reached: check the network, or name a reachable proxy in GOPROXY (go env GOPROXY shows the present one)."},
		{"connection refused", "The Go module proxy cannot be reached: check the network, or name a reachable proxy in GOPROXY (go env GOPROXY shows the present one)."},
		{"i/o timeout", "The Go module proxy does not answer: check the network, or name a reachable proxy in GOPROXY (go env GOPROXY shows the present one)."},
		{"module lookup disabled", "GOPROXY=off or GOFLAGS=-mod=vendor forbids downloads: unset it for this command."},
	} {
		if strings.Contains(output, h.sign) {
			return h.advice
		}
	}
	return ""
}
