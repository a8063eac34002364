package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// ErrGo says that no usable Go toolchain was found.
var ErrGo = errors.New("no usable Go")

// MinGo is the oldest Go release that builds every module of the repository.
const MinGo = "go1.26.4"

// goEnv is what of Go's environment decides on the outcome of a build.
type goEnv struct {
	Version    string `json:"GOVERSION"`
	OS         string `json:"GOOS"`
	Arch       string `json:"GOARCH"`
	AMD64      string `json:"GOAMD64"`
	ARM64      string `json:"GOARM64"`
	Experiment string `json:"GOEXPERIMENT"`
	Flags      string `json:"GOFLAGS"`
}

// compilerFlags leave out what only a debugger reads, up to a third of the work on
// large packages; stack traces do not need it. Nothing is gained by inlining the thousands of
// small methods of Pulumi's Kubernetes SDK, the largest packages of all.
const compilerFlags = "-gcflags=all=-dwarf=false '-gcflags=github.com/pulumi/pulumi-kubernetes/sdk/...=-dwarf=false -l'"

// GoFlags are the user's GOFLAGS, from the environment or from Go's own settings,
// with those of every build of the project; the Makefile sets the same.
func GoFlags() string {
	return once("GOFLAGS", func() string {
		// Where there is no Go, findGo says so.
		out, _ := exec.Command("go", "env", "GOFLAGS").Output()
		flags := strings.TrimSpace(string(out))
		if strings.Contains(flags, compilerFlags) {
			return flags
		}
		return strings.TrimSpace(flags + " " + compilerFlags)
	})
}

// answers are what Go has said of itself: it is asked once for each question and
// environment, since every question starts a process.
var answers sync.Map

// once returns what ask answers, or has answered in the same environment.
func once[T any](question string, ask func() T) T {
	key := strings.Join(append(os.Environ(), question), "\x00")
	answer, _ := answers.LoadOrStore(key, sync.OnceValue(ask))
	return answer.(func() T)()
}

// environ is the caller's environment with what every build of the project
// sets, so that all of them share compiled packages.
func environ() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GO111MODULE=on", "GOFLAGS="+GoFlags())
}

// findGo asks the Go that would build the module in dir for its version and
// settings.
func findGo(ctx context.Context, dir string) (goEnv, error) {
	type found struct {
		goEnv
		error
	}
	// Of a module, only the Go that it demands makes a difference.
	f := once("env for "+demands(filepath.Join(dir, "go.mod")), func() found {
		// The answer outlives the caller.
		g, err := askGo(context.WithoutCancel(ctx), dir)
		return found{g, err}
	})
	return f.goEnv, f.error
}

// demands returns the lines of a go.mod that choose the Go for it.
func demands(mod string) string {
	raw, err := os.ReadFile(mod)
	if err != nil {
		return mod // it has no other like it
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if word, _, _ := strings.Cut(line, " "); word == "go" || word == "toolchain" {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, ", ")
}

func askGo(ctx context.Context, dir string) (goEnv, error) {
	bin, err := exec.LookPath("go")
	if err != nil {
		return goEnv{}, fmt.Errorf("%w: there is no go on PATH: install %s or newer from https://go.dev/dl and put it on PATH", ErrGo, MinGo)
	}
	cmd := exec.CommandContext(ctx, bin, "env", "-json")
	cmd.Dir, cmd.Env = dir, environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		// This is how an older Go answers when it may not fetch a newer one.
		return goEnv{}, fmt.Errorf("%w: %s: %s: %s or newer is needed: install it from https://go.dev/dl", ErrGo, bin, strings.TrimSpace(errs.String()), MinGo)
	}
	var g goEnv
	if err := json.Unmarshal(out.Bytes(), &g); err != nil {
		return goEnv{}, fmt.Errorf("%w: %s env: %w", ErrGo, bin, err)
	}
	return g, checkGo(bin, g.Version)
}

func checkGo(bin, have string) error {
	// Distributions add a suffix after a blank: "go1.26.8 X:nocoverageredesign".
	have, _, _ = strings.Cut(have, " ")
	if strings.HasPrefix(have, "devel") {
		return nil
	}
	if !version.IsValid(have) || version.Compare(have, MinGo) < 0 {
		return fmt.Errorf("%w: %s is %s, but %s or newer is needed: install it from https://go.dev/dl, or unset GOTOOLCHAIN so that Go fetches it", ErrGo, bin, have, MinGo)
	}
	return nil
}
