// Alphapulse is a small AlphaPulse that fulfils the contract of the real one: an
// API, a dashboard and an engine on TimescaleDB and Redis. Its market is simulated.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/app"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
)

// version is set when an image is built.
var version = "dev"

const usage = `usage: alphapulse [MODE]

Without MODE it runs in that of ALPHAPULSE_MODE, and without that one, too, as api.

modes:
  api          REST and WebSockets on API_PORT (8000)
  dashboard    the live page on DASHBOARD_PORT (8050)
  engine       simulated market, signals and positions; health and metrics on METRICS_PORT (9090)
  healthcheck [MODE]
               exit 0 if the process of that mode on this host answers; without
               MODE, any of them
  version      print the version

Settings are read from the environment; docker/README.md lists them.`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "alphapulse:", err)
		var u usageError
		if errors.As(err, &u) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

type usageError string

func (u usageError) Error() string { return string(u) + "\n" + usage }

func run(args []string) error {
	args = withMode(args, os.Getenv("ALPHAPULSE_MODE"))
	switch args[0] {
	case "version":
		fmt.Println(version)
		return nil
	case "-h", "--help", "help":
		fmt.Println(usage)
		return nil
	case "healthcheck":
		return healthcheck(args[1:])
	}
	start, ok := app.Modes[args[0]]
	if !ok || len(args) > 1 {
		return usageError(fmt.Sprintf("there is no mode %q", args))
	}
	c, err := config.FromEnvironment(os.LookupEnv)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return start(ctx, c, app.Process{Version: buildVersion(), Log: os.Stdout})
}

// withMode are the arguments with the mode of the environment where they name none. A
// platform names it there, since an argument would mean nothing to other images.
func withMode(args []string, fromEnvironment string) []string {
	if len(args) > 0 {
		return args
	}
	return []string{cmp.Or(fromEnvironment, "api")}
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); version == "dev" && ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

func healthcheck(args []string) error {
	if len(args) > 1 {
		return usageError("healthcheck takes one mode at most")
	}
	return app.Healthcheck(context.Background(), os.LookupEnv, args)
}
