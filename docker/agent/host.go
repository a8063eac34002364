package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/alone"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/fits"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/scheduled"
)

// start becomes the server of a Docker host.
func start(ctx context.Context, log *slog.Logger, args []string) error {
	s := &alone.Server{Run: alone.Run, Log: log, Become: func(program string, args []string) error {
		return syscall.Exec(program, args, os.Environ())
	}}
	check := fits.Check{Programs: []string{"pgbackrest"}}
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	flags.StringVar(&s.Bin, "bin", "", "folder of PostgreSQL's programs")
	flags.StringVar(&check.Major, "major", "", "the version of PostgreSQL that is needed")
	flags.StringVar(&s.Data, "data", os.Getenv("PGDATA"), "folder of the data, below the volume's root")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.Bin == "" || check.Major == "" || s.Data == "" {
		return errors.New("-bin, -major and -data are needed")
	}
	check.Bin, check.Data = s.Bin, s.Data
	if err := check.Run(ctx); err != nil {
		return err
	}
	return s.Start(ctx, flags.Args())
}

// backups takes backups by schedule.
func backups(ctx context.Context, log *slog.Logger, args []string) error {
	t := &scheduled.Taker{Begun: time.Now(), Do: func(ctx context.Context, args ...string) error {
		return stopping(alone.Command(ctx, "pgbackrest", args...)).Run()
	}}
	t.Output = func(ctx context.Context, args ...string) ([]byte, error) {
		return stopping(exec.CommandContext(ctx, "pgbackrest", args...)).Output()
	}
	flags := flag.NewFlagSet("backups", flag.ContinueOnError)
	flags.StringVar(&t.Stanza, "stanza", os.Getenv("PGBACKREST_STANZA"), "what pgBackRest calls the database")
	socket := flags.String("socket", "/var/run/postgresql", "folder of the server's socket")
	listen := flags.String("listen", ":8011", "address to answer /metrics and /alive on")
	kinds := []struct {
		of       string
		schedule *string
	}{
		{"full", flags.String("full", "", "when a full backup is taken")},
		{"diff", flags.String("differential", "", "when a differential one is")},
		{"incr", flags.String("incremental", "", "when an incremental one is")},
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, k := range kinds {
		schedule, err := scheduled.Schedule(*k.schedule)
		if err != nil {
			return err
		}
		t.Kinds = append(t.Kinds, scheduled.Kind{Type: k.of, Schedule: schedule})
	}
	t.Timeline = func(ctx context.Context) (timeline string, err error) {
		conn, err := connect(ctx, *socket, "postgres", nil)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		var server scheduled.Control
		if err := conn.QueryRow(ctx, "SELECT system_identifier::text, timeline_id FROM pg_control_system(), pg_control_checkpoint()").Scan(&server.System, &server.Timeline); err != nil {
			return "", err
		}
		printed, err := exec.CommandContext(ctx, "pg_controldata", "-D", os.Getenv("PGDATA")).Output()
		if err != nil {
			return "", fmt.Errorf("pg_controldata: %w", err)
		}
		files, err := scheduled.ParseControl(string(printed))
		if err != nil {
			return "", err
		}
		return files.Same(server)
	}
	return scheduledLoop(ctx, scheduled.New(t, 6, log), *listen)
}

// proofs proves the newest backup by schedule.
func proofs(ctx context.Context, log *slog.Logger, args []string) error {
	p := &scheduled.Prover{Begun: time.Now(), Now: time.Now}
	var schedule, listen string
	flags := flag.NewFlagSet("proofs", flag.ContinueOnError)
	flags.StringVar(&schedule, "schedule", "", "when a backup is proven")
	flags.StringVar(&p.Data, "data", os.Getenv("PGDATA"), "folder that it is restored into, below the volume's root")
	flags.StringVar(&listen, "listen", ":8011", "address to answer /metrics and /alive on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.Data == "" {
		return errors.New("-data is needed")
	}
	var err error
	if p.Schedule, err = scheduled.Schedule(schedule); err != nil {
		return err
	}
	p.Prove = func(ctx context.Context) (string, error) { return proveNewest(ctx, log, []string{"-data", p.Data}) }
	return scheduledLoop(ctx, scheduled.New(p, 2, log), listen)
}

// scheduledLoop runs a loop and answers for it.
func scheduledLoop(ctx context.Context, loop *scheduled.Loop, listen string) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { loop.Go(ctx) })
	return serve(ctx, listen, loop.Handler(), "")
}

// stopping lets a command end in good order when the container stops.
func stopping(cmd *exec.Cmd) *exec.Cmd {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// ask is a container's health check, in images without a client of HTTP.
func ask(ctx context.Context, _ *slog.Logger, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: agent ask URL")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", args[0], response.Status)
	}
	return nil
}
