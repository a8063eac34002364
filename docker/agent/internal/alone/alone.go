// Package alone starts the members' server where there is nobody to fail over to, and no
// Patroni: on a Docker host.
package alone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
)

// Server is one that is about to start.
type Server struct {
	// Bin has PostgreSQL's programs, and Data is the folder of the data, whose parent is the
	// root of the volume.
	Bin, Data string
	// Run runs a program to its end, Become replaces this process by one.
	Run    func(ctx context.Context, program string, args ...string) error
	Become func(program string, args []string) error
	Log    *slog.Logger
}

// initdb makes a new database, as for the members: checksums on every page; text sorted by
// PostgreSQL's own C.UTF-8, so that no C library ever changes the order under an index.
var initdb = []string{
	"--username=postgres", "--data-checksums", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
	"--auth-local=peer", "--auth-host=scram-sha-256",
}

// begun lies beside data that a restore has not completed.
const begun = "restoring"

// Start becomes the server, with a new database on a volume that has none. What a restore
// has left halfway, and what holds anything that is no database, is left as it is.
func (s *Server) Start(ctx context.Context, args []string) error {
	volume := filepath.Dir(s.Data)
	if _, err := os.Stat(filepath.Join(volume, begun)); err == nil {
		return errors.New("the volume holds a restore that did not end: set databaseRestore again, or delete the volume")
	}
	switch _, err := os.Stat(filepath.Join(s.Data, "PG_VERSION")); {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.create(ctx, volume); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	// Whoever made the folder may have let the group in, which the server refuses.
	if err := os.Chmod(s.Data, 0o700); err != nil {
		return err
	}
	return s.Become(filepath.Join(s.Bin, "postgres"), append([]string{"postgres", "-D", s.Data}, args...))
}

// create makes a database in a folder beside, which takes its place only when it is
// complete: a start that was killed begins again.
func (s *Server) create(ctx context.Context, volume string) error {
	half := filepath.Join(volume, "new")
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	// The image brings it empty; anything in it is somebody's.
	if err := os.Remove(s.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds something that is no database, and is left as it is: %w", s.Data, err)
	}
	s.Log.Info("the volume is empty: a new database is made")
	if err := s.Run(ctx, filepath.Join(s.Bin, "initdb"), append(initdb, "--pgdata="+half)...); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return os.Rename(half, s.Data)
}

// Command is a program with its output in the container's log.
func Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// Run runs one to its end.
func Run(ctx context.Context, program string, args ...string) error {
	return Command(ctx, program, args...).Run()
}
