package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// Run runs pulumi in dir on the given streams until it ends and leaves the stack
// files as they were, but for what the command was asked to change in them.
//
// An interrupt reaches Pulumi once: the first lets it finish the step in hand and
// save its state, a second ends it at once. Run returns only when it has ended,
// with an *exec.ExitError if it failed.
func (t *Toolchain) Run(ctx context.Context, dir string, streams Streams, args ...string) (err error) {
	if t.state != "" {
		if err := t.clearStaleLocks(streams); err != nil {
			return err
		}
	}
	if t.home != "" {
		endOrphans(t.home)
	}
	if t.own {
		all, err := paths.StateDir("stackfiles")
		if err != nil {
			return err
		}
		keep, err := keepStackFiles(dir, all)
		if err != nil {
			return err
		}
		defer func() {
			// Alone, the exit code of pulumi stays what callers see.
			if failed := keep.restore(dir); failed != nil {
				err = errors.Join(err, failed)
			}
		}()
	}

	all, err := paths.StateDir("tmp")
	if err != nil {
		return err
	}
	temporary, remove, err := scratch(all)
	if err != nil {
		return err
	}
	defer func() {
		if failed := remove(); failed != nil {
			err = errors.Join(err, failed)
		}
	}()

	cmd := exec.Command(t.Path, args...)
	cmd.Dir = dir
	cmd.Env = append(t.environ(dir), "TMPDIR="+temporary)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	// On a terminal Pulumi must stay in the foreground group to ask questions,
	// and gets the interrupt key from the terminal itself. Elsewhere it gets a
	// group of its own, so that it hears of each interrupt once, from here.
	in, ok := streams.In.(*os.File)
	terminal := ok && term.IsTerminal(int(in.Fd()))
	if !terminal {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", t.Path, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == os.Interrupt && terminal {
				continue
			}
			// It may have ended meanwhile, which done tells.
			_ = cmd.Process.Signal(os.Interrupt)
		case err := <-done:
			return err
		}
	}
}

// Quiet is Run for commands that ask nothing: their output goes to w.
func (t *Toolchain) Quiet(ctx context.Context, dir string, w io.Writer, args ...string) error {
	return t.Run(ctx, dir, Streams{Out: w, Err: w}, append(args, "--non-interactive")...)
}

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader // nil: nothing to read
	Out, Err io.Writer
}

// Std returns this process's own streams.
func Std() Streams { return Streams{os.Stdin, os.Stdout, os.Stderr} }
