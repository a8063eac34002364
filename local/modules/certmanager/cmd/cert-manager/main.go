// Command cert-manager is the programs of cert-manager in one binary, since the mains
// upstream are modules that their repository alone can build. It is the one by whose name
// it is called.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/cert-manager/cert-manager/internal/webhook"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
)

// programs are what the binary can be, by name; each reads its arguments and runs until
// the context ends.
var programs = map[string]func(ctx context.Context, flags *pflag.FlagSet, args []string) error{
	"controller": runController,
	"webhook":    runWebhook,
	"cainjector": runInjector,
}

func main() {
	name := filepath.Base(os.Args[0])
	program, ok := programs[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "cert-manager: call it as one of %s\n", strings.Join(slices.Sorted(maps.Keys(programs)), ", "))
		os.Exit(2)
	}
	logf.InitLogs()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := program(ctx, pflag.NewFlagSet(name, pflag.ContinueOnError), os.Args[1:])
	stop()
	logf.FlushLogs()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// parse reads the arguments, and sets the logs up as they say.
func parse(flags *pflag.FlagSet, args []string, logging *logsapi.LoggingConfiguration) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	return logf.ValidateAndApply(logging)
}

// runWebhook checks and completes objects of cert-manager for the API server.
func runWebhook(ctx context.Context, flags *pflag.FlagSet, args []string) error {
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		return err
	}
	options.AddConfigFlags(flags, config)
	if err := parse(flags, args, &config.Logging); err != nil {
		return err
	}
	server, err := webhook.NewCertManagerWebhookServer(logf.FromContext(ctx, "webhook"), *config)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
