package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// unlimited is how long a group may take where no budget bounds it: it ends one
	// that hangs.
	unlimited = 90 * time.Minute
	// least is what a group that runs whatever is left may take.
	least = 15 * time.Minute
	// reserve is what of a budget is kept for ending a cluster.
	reserve = 3 * time.Minute
	// stopGrace is what an interrupted command gets to end what it has begun.
	stopGrace = 2 * time.Minute
)

// A runner runs steps and keeps what came of them.
type runner struct {
	root  string // of the clone
	local string // the program behind make
	logs  string // folder for the output of each step
	keep  bool   // use a running cluster and leave it
	// deadline is when everything must have ended; zero for none.
	deadline time.Time
	// start runs a command; tests replace it.
	start func(ctx context.Context, dir string, env []string, w io.Writer, args ...string) error

	mu      sync.Mutex // of out and results
	out     io.Writer
	results []result

	running bool   // the shared cluster, with the stack on it
	spoilt  bool   // a group has left it such that no other can follow
	broken  string // why no further group can use it
}

// A result is what came of a step.
type result struct {
	name string
	took time.Duration
	err  error
	// missing says why it did not run; empty if it did.
	missing string
	log     string
}

func (r *runner) printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// left is what remains of the budget for groups.
func (r *runner) left() time.Duration {
	if r.deadline.IsZero() {
		return time.Duration(1<<63 - 1)
	}
	return time.Until(r.deadline) - reserve
}

// step runs a command with its output on the terminal and in a log.
func (r *runner) step(ctx context.Context, name, prefix string, env []string, args ...string) error {
	begun := time.Now()
	log := filepath.Join(r.logs, strings.ReplaceAll(name, " ", "-")+".log")
	err := func() error {
		if err := os.MkdirAll(r.logs, 0o755); err != nil {
			return err
		}
		f, err := os.Create(log)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		w := &lines{r: r, prefix: prefix}
		defer w.flush()
		return r.start(ctx, r.root, env, io.MultiWriter(f, w), args...)
	}()
	took := time.Since(begun).Round(time.Second)
	r.mu.Lock()
	r.results = append(r.results, result{name: name, took: took, err: err, log: log})
	r.mu.Unlock()
	if err != nil {
		r.printf("== %s failed after %s: %v", name, took, err)
		return err
	}
	r.printf("== %s took %s", name, took)
	return nil
}

// run runs the groups, given by priority, while there is time, and ends the shared
// cluster.
func (r *runner) run(ctx context.Context, waiting []group) {
	for len(waiting) > 0 && ctx.Err() == nil {
		left := r.left()
		now := next(waiting, left, r.running)
		if len(now) == 0 {
			break
		}
		waiting = without(waiting, now)
		r.begin(ctx, now, left)
	}
	for _, g := range waiting {
		why := "interrupted"
		if ctx.Err() == nil {
			why = fmt.Sprintf("it takes about %s, and %s are left", minutes(g.need), minutes(r.left()))
		}
		r.results = append(r.results, result{name: "group " + g.name, missing: why})
	}
	r.endCluster(ctx)
}

// begin runs groups at once.
func (r *runner) begin(ctx context.Context, now []group, left time.Duration) {
	first := now[0]
	if first.endsCluster() || first.shares && r.spoilt {
		r.endCluster(ctx)
	}
	if first.shares {
		if !r.running && r.broken == "" {
			r.running = true
			if err := r.step(ctx, "deploy", "", nil, r.local, "deploy"); err != nil {
				r.broken = "the stack could not be deployed"
			}
		}
		if r.broken != "" {
			r.results = append(r.results, result{name: "group " + first.name, missing: r.broken, err: errors.New(r.broken)})
			return
		}
		r.spoilt = first.last
	}
	var wg sync.WaitGroup
	for _, g := range now {
		prefix := ""
		if len(now) > 1 {
			prefix = g.name + " | "
		}
		wg.Go(func() {
			r.printf("== group %s: %s", g.name, g.about)
			env, args := g.command(min(max(left, least), unlimited))
			if err := r.step(ctx, "group "+g.name, prefix, env, args...); err != nil && g.shares && !r.ready(ctx) {
				r.broken = fmt.Sprintf("group %s has left no cluster that is ready", g.name)
			}
		})
	}
	wg.Wait()
}

// command returns how a group is run.
func (g group) command(limit time.Duration) (env, args []string) {
	args = []string{"go", "test", "-C", g.dir, "-tags", g.tags, "-count=1", "-v", "-timeout", limit.Round(time.Second).String()}
	if g.race {
		// The race detector needs cgo.
		env, args = append(env, "CGO_ENABLED=1"), append(args, "-race")
	}
	if g.run != "" {
		args = append(args, "-run", "^"+g.run+"$")
	}
	return env, append(args, g.pkg)
}

// ready tells whether the local cluster is up and answers.
func (r *runner) ready(ctx context.Context) bool {
	return r.start(ctx, r.root, nil, io.Discard, r.local, "status") == nil
}

// endCluster destroys the stack on the shared cluster, which must leave nothing, and
// ends the cluster. A kept one stays. One that broke is not used again.
func (r *runner) endCluster(ctx context.Context) {
	if !r.running || r.keep || ctx.Err() != nil {
		return
	}
	if r.broken == "" {
		_, args := group{dir: ".", pkg: "./tests/e2e", tags: "e2e", run: destroyTest}.command(unlimited)
		_ = r.step(ctx, "destroy", "", nil, args...)
	}
	_ = r.step(ctx, "down", "", nil, r.local, "down")
	if r.ready(ctx) {
		r.results = append(r.results, result{name: "down", err: errors.New("the cluster still answers after local down")})
	}
	r.running, r.spoilt = false, false
}

// destroyTest is the test that ends the stack of a shared cluster.
const destroyTest = "TestDestroy"

// startCommand runs a command to its end. An interrupt reaches it too, so that it can
// end what it has begun.
func startCommand(ctx context.Context, dir string, env []string, w io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	return cmd.Run()
}

// lines prints whole lines, each behind a prefix, as steps that run at once need it.
type lines struct {
	r      *runner
	prefix string
	part   []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	if i := strings.LastIndexByte(string(l.part), '\n'); i >= 0 {
		for line := range strings.Lines(string(l.part[:i+1])) {
			l.r.printf("%s%s", l.prefix, strings.TrimSuffix(line, "\n"))
		}
		l.part = append([]byte(nil), l.part[i+1:]...)
	}
	return len(p), nil
}

func (l *lines) flush() {
	if len(l.part) > 0 {
		l.r.printf("%s%s", l.prefix, l.part)
	}
}

// told are the lines of a log in which the test runners say what came out.
var told = regexp.MustCompile(`^ *(ok|FAIL|PASS|\?|--- (PASS|FAIL|SKIP)|panic:|make: \*\*\*)`)

// report prints, together at the end, what the test runners said if details are
// wanted, then what failed and what did not run. It returns an error if anything
// failed.
func (r *runner) report(details bool) error {
	var failed, missing []string
	for _, res := range r.results {
		if details && res.log != "" {
			r.printf("\n== results of %s, which took %s", res.name, res.took)
			if raw, err := os.ReadFile(res.log); err == nil {
				for line := range strings.Lines(string(raw)) {
					if told.MatchString(line) {
						r.printf("%s", strings.TrimSuffix(line, "\n"))
					}
				}
			}
		}
		if res.missing != "" {
			missing = append(missing, fmt.Sprintf("%s: %s", res.name, res.missing))
		}
		if res.err != nil {
			failed = append(failed, res.name)
		}
	}
	if len(missing) > 0 {
		r.printf("\n######## NOT RUN ########\n%s\nRun what is missing with `make e2e GROUP=…`.\n#########################", strings.Join(missing, "\n"))
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.0f min", max(d, 0).Minutes()) }
