package build

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// runGo runs go in dir as a part of the step. On failure the error carries what to do
// where the output tells.
func runGo(ctx context.Context, dir string, step *progress.Step, args ...string) error {
	return runGoTo(ctx, dir, step, io.Discard, args...)
}

// runGoTo is runGo whose output goes to out, too.
func runGoTo(ctx context.Context, dir string, step *progress.Step, out io.Writer, args ...string) error {
	w := step.Writer()
	_, _ = fmt.Fprintf(w, "%s: go %s\n", dir, strings.Join(args, " "))
	var tail tail
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, environ()
	cmd.Stdout = io.MultiWriter(w, out, &tail)
	cmd.Stderr = cmd.Stdout
	// A group of its own, so that an interrupt reaches the compilers too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopGrace
	err := cmd.Run()
	step.Used(cpuOf(cmd))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return progress.Explain(fmt.Errorf("go %s: %w", args[0], err), "", hint(tail.String()))
	}
	return nil
}

// cpuOf returns the CPU time of a command that has ended and of what it waited for; 0 if
// it did not start.
func cpuOf(cmd *exec.Cmd) time.Duration {
	if cmd.ProcessState == nil {
		return 0
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
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
