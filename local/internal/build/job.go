package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

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
		if j.there(t) {
			have[t] = j.path(t)
		}
	}
	return have, err
}

// identify finds out under which key the unit's tools lie in the cache.
func (j *job) identify(ctx context.Context) (err error) {
	if j.pages != nil {
		j.key, err = j.pages.key(j.dir)
		return err
	}
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
	return slices.DeleteFunc(slices.Clone(tools), j.there)
}

// there tells whether the cache has it.
func (j *job) there(tool string) bool {
	if j.pages != nil {
		return isFolder(j.path(tool))
	}
	return executable(j.path(tool))
}

func executable(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

func (j *job) make(ctx context.Context, tools []string) error {
	l := limits()
	place := need{rank: j.rank}
	if err := l.download.acquire(ctx, place); err != nil {
		return err
	}
	err := j.download(ctx, tools)
	l.download.release(place)
	if err != nil {
		return err
	}

	// First the place, then the lock: whoever holds a lock can go on, so two
	// processes cannot wait for each other.
	place = need{rank: j.rank, memory: j.memory, family: j.family}
	if err := l.compile.acquire(ctx, place); err != nil {
		return err
	}
	defer l.compile.release(place)
	unlock, err := j.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if programs := j.missing(j.programs(tools)); len(programs) > 0 { // else another process built them
		name := path.Base(j.folder())
		switch n := len(programs); {
		case n > 3:
			name += fmt.Sprintf(" (%d programs)", n)
		case n > 1 || programs[0] != name:
			name += " (" + strings.Join(programs, ", ") + ")"
		}
		step := j.reporter.Step("build " + name)
		err = step.Done(j.compile(ctx, programs, step))
		compiled.Add(int64(len(programs) - len(j.missing(programs))))
	}
	return errors.Join(err, j.link(tools))
}

// programs returns what must be built for the named tools to be there.
func (j *job) programs(tools []string) []string {
	var programs []string
	for _, t := range tools {
		programs = append(programs, j.tool(t))
	}
	slices.Sort(programs)
	return slices.Compact(programs)
}

// link gives the programs that are there their further names.
func (j *job) link(tools []string) error {
	for _, t := range tools {
		if j.tool(t) == t || executable(j.path(t)) || !executable(j.path(j.tool(t))) {
			continue
		}
		to := j.path(t)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("cache folder: %w", err)
		}
		target, err := filepath.Rel(filepath.Dir(to), j.path(j.tool(t)))
		if err != nil {
			return err
		}
		// One that leads nowhere may be there.
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("install %s: %w", t, err)
		}
		if err := os.Symlink(target, to); err != nil {
			return fmt.Errorf("install %s: %w", t, err)
		}
	}
	return nil
}

// download fetches exactly the modules whose packages the tools import. What
// cannot be loaded is left for the compiler to report: files that the module
// embeds are not generated yet, and a failed download is tried once more.
func (j *job) download(ctx context.Context, tools []string) error {
	step := j.reporter.Step("download the modules of " + path.Base(j.folder()))
	if j.pages != nil {
		_, err := j.pages.fetch(ctx, j.dir, step)
		return step.Done(err)
	}
	args := append([]string{"list", "-deps", "-e", "-f={{/* only the download counts */}}"}, j.tagArgs()...)
	return step.Done(runGo(ctx, j.dir, step, append(args, j.packagesOf(tools)...)...))
}

func (j *job) tagArgs() []string {
	if j.tags == "" {
		return nil
	}
	return []string{"-tags=" + j.tags}
}

func (j *job) packagesOf(tools []string) []string {
	var p []string
	for _, t := range j.programs(tools) {
		p = append(p, j.tools[t])
	}
	return p
}

// compile builds the tools and moves each into its place. If one cannot be
// built, the others still are.
func (j *job) compile(ctx context.Context, tools []string, step *progress.Step) error {
	tmp, err := os.MkdirTemp(j.cache, ".build-")
	if err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if j.pages != nil {
		made, err := j.pages.make(ctx, j.dir, tmp, step)
		if err != nil {
			return err
		}
		return j.install(made, tools[0]) // it has no other
	}
	args := j.args()
	if j.generate.run != nil {
		overlay, err := j.overlay(ctx, tmp, step)
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
		return j.compileOne(ctx, tools[0], args, bin, step)
	}
	err = runGo(ctx, j.dir, step, slices.Concat([]string{"build", "-o", bin + string(filepath.Separator)}, args, j.packagesOf(tools))...)
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
	_, _ = fmt.Fprintf(step.Writer(), "one of %s fails: building each alone\n", strings.Join(tools, ", "))
	var errs []error
	for _, t := range tools {
		if err := j.compileOne(ctx, t, args, bin, step); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

func (j *job) compileOne(ctx context.Context, tool string, args []string, bin string, step *progress.Step) error {
	out := filepath.Join(bin, tool)
	if err := runGo(ctx, j.dir, step, slices.Concat([]string{"build", "-o", out}, args, j.packagesOf([]string{tool}))...); err != nil {
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
