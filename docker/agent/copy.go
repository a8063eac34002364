package main

import (
	"context"
	"flag"
	"log/slog"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/restore"
)

// lend needs no pgBackRest: the old image has none.
func lend(ctx context.Context, log *slog.Logger, args []string) error {
	r, err := restoring("lend", log, append([]string{"-stanza=none"}, args...), nil)
	if err != nil {
		return err
	}
	return r.Lend(ctx)
}

func copyVolume(ctx context.Context, log *slog.Logger, args []string) error {
	var from string
	r, err := restoring("copy", log, append([]string{"-stanza=none"}, args...), func(flags *flag.FlagSet, _ *restore.Restore) {
		flags.StringVar(&from, "from", "/run/lend", "folder of the socket of the server that lends")
	})
	if err != nil {
		return err
	}
	return r.Copy(ctx, from)
}
