// Command local runs a real Kubernetes on this machine, built from
// source, and the pinned Pulumi toolchain that deploys to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/cli"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	begun := time.Now()
	err := cli.New().ExecuteContext(ctx)
	stop()
	if err == nil {
		if line := build.Floor(time.Since(begun)); line != "" {
			fmt.Fprintln(os.Stderr, line)
		}
		return
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		os.Exit(exit.ExitCode()) // of pulumi, which has told why
	}
	if !progress.Told(err) {
		fmt.Fprintln(os.Stderr, "local:", err)
	}
	os.Exit(1)
}
