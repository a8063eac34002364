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

	"github.com/alphapulse/alphapulse-infra/local/internal/cli"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cli.New().ExecuteContext(ctx)
	stop()
	if err == nil {
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
