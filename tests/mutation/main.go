// Command mutation puts one fault after the other into the code and tells which of them
// the tests notice. A fault is a patch in tests/mutation/<part>/ that begins with two
// comments: what a user would suffer from, and the tests that have to notice it:
//
//	# Two engines trade at once.
//	# Seen by: go test ./components/backend -run '^TestOneEngine$'
//
// The tree stays as it is: the compiler reads the changed files by -overlay, so that all
// else comes from its cache.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// least is the share of faults that has to be noticed in every part, in percent.
const least = 85

func main() {
	at := flag.Int("j", 2, "how many faults are tried at once")
	part := flag.String("part", "", "one part, e.g. components; all by default")
	only := flag.String("run", "", "faults whose name contains this")
	flag.Parse()
	if err := run(*at, *part, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(at int, part, only string) error {
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join("tests", "mutation", "*", "*.patch"))
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		return part != "" && filepath.Base(filepath.Dir(f)) != part || !strings.Contains(filepath.Base(f), only)
	})
	if len(files) == 0 {
		return errors.New("no such fault below tests/mutation: run it in the clone's folder, with the name of a part")
	}
	results := make([]result, len(files))
	queue := make(chan int)
	var wg sync.WaitGroup
	for range max(1, at) {
		wg.Go(func() {
			for i := range queue {
				results[i] = try(root, files[i])
				fmt.Println(results[i])
			}
		})
	}
	for i := range files {
		queue <- i
	}
	close(queue)
	wg.Wait()
	return report(results)
}

// outcome of a fault.
type outcome string

const (
	killed   outcome = "killed"
	survived outcome = "SURVIVED"
	broken   outcome = "BROKEN" // the patch does not apply, or what it makes does not compile
)

type result struct {
	fault
	outcome
	detail string
	took   time.Duration
}

func (r result) String() string {
	line := fmt.Sprintf("%-8s %s/%s: %s (%.0f s)", r.outcome, r.part, r.name, r.what, r.took.Seconds())
	if r.detail != "" {
		line += "\n         " + r.detail
	}
	return line
}

// report prints the share of each part, and fails where it is too small.
func report(results []result) error {
	total, dead := map[string]int{}, map[string]int{}
	var problems []error
	for _, r := range results {
		total[r.part]++
		switch r.outcome {
		case killed:
			dead[r.part]++
		case survived:
			fmt.Printf("survivor: %s/%s: %s\n", r.part, r.name, r.what)
		case broken:
			problems = append(problems, fmt.Errorf("%s/%s: mend the patch: %s", r.part, r.name, r.detail))
		}
	}
	for _, part := range slices.Sorted(maps.Keys(total)) {
		share := 100 * dead[part] / total[part]
		fmt.Printf("%-12s %3d of %3d faults noticed: %d %%\n", part, dead[part], total[part], share)
		if share < least {
			problems = append(problems, fmt.Errorf("%s: the tests notice %d %% of the faults, and %d %% are asked for", part, share, least))
		}
	}
	return errors.Join(problems...)
}

// fault is a patch.
type fault struct {
	part, name, what string
	// command is that of go test, without "go test".
	command []string
	path    string
	// files that it changes, relative to the root.
	files []string
}

// parse reads the head of a patch, and what it changes.
func parse(path string, raw []byte) (fault, error) {
	f := fault{part: filepath.Base(filepath.Dir(path)), name: strings.TrimSuffix(filepath.Base(path), ".patch"), path: path}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if command, ok := strings.CutPrefix(line, "# Seen by: go test "); ok {
			f.command = words(command)
		} else if what, ok := strings.CutPrefix(line, "# "); ok && f.what == "" {
			f.what = what
		} else if file, ok := strings.CutPrefix(line, "+++ b/"); ok {
			f.files = append(f.files, file)
		}
	}
	if f.what == "" || len(f.command) == 0 || len(f.files) == 0 {
		return f, errors.New("it lacks what a user suffers from, `# Seen by: go test …`, or a change")
	}
	return f, nil
}

// words splits a command line; single quotes keep one together.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// try puts one fault in and runs the tests that have to notice it.
func try(root, path string) result {
	started := time.Now()
	raw, err := os.ReadFile(path)
	if err != nil {
		return result{outcome: broken, detail: err.Error()}
	}
	f, err := parse(path, raw)
	if err != nil {
		return result{fault: f, outcome: broken, detail: err.Error()}
	}
	r := result{fault: f}
	r.outcome, r.detail = f.try(root)
	r.took = time.Since(started)
	return r
}

func (f fault) try(root string) (outcome, string) {
	scratch, err := os.MkdirTemp("", "mutation-")
	if err != nil {
		return broken, err.Error()
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	overlay, err := f.overlay(root, scratch)
	if err != nil {
		return broken, err.Error()
	}
	// go test wants -C first.
	var args []string
	rest := f.command
	if rest[0] == "-C" {
		args, rest = append(args, rest[:2]...), rest[2:]
	}
	args = append(args, "-vet=off", "-count=1", "-failfast")
	ctx, stop := context.WithTimeout(context.Background(), 15*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"test"}, args...), rest...)...)
	cmd.Dir = root
	// A test that builds a program has to build the changed one.
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	out, err := cmd.CombinedOutput()
	for _, mark := range []string{"[build failed]", "[setup failed]", "no tests to run", "cannot find module"} {
		if bytes.Contains(out, []byte(mark)) {
			return broken, mark + ": " + lastLines(out)
		}
	}
	if err == nil {
		return survived, ""
	}
	if !bytes.Contains(out, []byte("FAIL")) {
		return broken, lastLines(out)
	}
	return killed, ""
}

func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], " / ")
}

// overlay applies the patch to copies, and writes the file that tells the compiler so.
func (f fault) overlay(root, scratch string) (string, error) {
	replace := map[string]string{}
	for _, file := range f.files {
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		to := filepath.Join(scratch, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, raw, 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = to
	}
	patch, err := filepath.Abs(f.path)
	if err != nil {
		return "", err
	}
	apply := exec.Command("git", "apply", "--recount", "-C1", patch) // neighbours may change
	apply.Dir = scratch
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(scratch))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not apply: %s", strings.TrimSpace(string(out)))
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "overlay.json")
	return path, os.WriteFile(path, raw, 0o644)
}
