package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/fits"
)

// fitting needs no server: it comes before one.
func fitting(ctx context.Context, _ *slog.Logger, args []string) error {
	c := fits.Check{Programs: []string{"patroni"}}
	flags := flag.NewFlagSet("fits", flag.ContinueOnError)
	flags.StringVar(&c.Bin, "bin", "", "folder of PostgreSQL's programs")
	flags.StringVar(&c.Major, "major", "", "the version of PostgreSQL that is needed")
	flags.StringVar(&c.Data, "data", "", "folder of the data, which need not be there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.Bin == "" || c.Major == "" {
		return errors.New("-bin and -major are needed")
	}
	return c.Run(ctx)
}
