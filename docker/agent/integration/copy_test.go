//go:build integration

package integration

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/restore"
)

// other is the user of an old image.
const other = 65534

// as is a command of the image under a user.
func as(ctx context.Context, uid uint32, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, bin+name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	return cmd
}

// volume makes a folder that belongs to a user.
func volume(t *testing.T, uid int) string {
	t.Helper()
	host, err := os.MkdirTemp(image, "v")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(host, uid, uid); err != nil {
		t.Fatal(err)
	}
	return "/" + filepath.Base(host)
}

func TestAnOldVolumeOfAnotherUserIsCopied(t *testing.T) {
	ctx := t.Context()
	old, fresh, shared := volume(t, other), volume(t, user), volume(t, other)
	if err := os.Chmod(image+shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if out, err := as(ctx, other, "initdb", "-D", old+"/data", "-U", "postgres", "--auth-local=trust", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	with := func(uid uint32, data, run string) *restore.Restore {
		return &restore.Restore{
			Stanza: "none", Data: data, Run: run, Root: image, Log: slog.New(slog.DiscardHandler),
			Command: func(ctx context.Context, name string, args ...string) *exec.Cmd { return as(ctx, uid, name, args...) },
			Connect: func(ctx context.Context, folder, database string) (*pgx.Conn, error) {
				config, err := pgx.ParseConfig("host=" + image + folder + " user=postgres sslmode=disable")
				if err != nil {
					return nil, err
				}
				config.Database = database
				config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
				return pgx.ConnectConfig(ctx, config)
			},
		}
	}
	ask := func(r *restore.Restore, sql string) (answer string, err error) {
		conn, err := r.Connect(ctx, r.Run, "postgres")
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close(ctx) }()
		err = conn.QueryRow(ctx, sql).Scan(&answer)
		return answer, err
	}
	lender := with(other, old+"/data", shared)
	copier := with(user, fresh+"/data", fresh+"/run")
	if err := os.Mkdir(image+fresh+"/run", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(image+fresh+"/run", user, user); err != nil {
		t.Fatal(err)
	}
	lent := make(chan error, 1)
	go func() { lent <- lender.Lend(ctx) }()
	eventually(t, "the old server", func() bool { _, err := ask(lender, "SELECT '1'"); return err == nil })
	conn, err := lender.Connect(ctx, lender.Run, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	// An index in the order of a C library is right only with that library.
	if _, err := conn.Exec(ctx, "CREATE ROLE app_user LOGIN; CREATE TABLE kept AS SELECT n::text COLLATE \"C.utf8\" AS n FROM generate_series(1, 1000) n; CREATE INDEX sorted ON kept (n)"); err != nil {
		t.Fatal(err)
	}
	node, err := ask(lender, "SELECT pg_relation_filenode('sorted')::text")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(ctx)

	if err := copier.Copy(ctx, shared); err != nil {
		t.Fatal(err)
	}
	if err := <-lent; err != nil {
		t.Errorf("the old server: %v", err)
	}
	info, err := os.Stat(image + fresh + "/data/PG_VERSION")
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != user {
		t.Errorf("the copy belongs to %+v, %v", info, err)
	}
	if info, err := os.Stat(image + old + "/data/PG_VERSION"); err != nil || info.Sys().(*syscall.Stat_t).Uid != other {
		t.Errorf("the old volume was changed: %v", err)
	}
	server := as(ctx, user, "postgres", "-D", fresh+"/data", "-c", "listen_addresses=", "-c", "unix_socket_directories="+fresh+"/run", "-c", "hba_file="+fresh+"/run/hba.conf")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Signal(syscall.SIGINT); _ = server.Wait() }()
	eventually(t, "the new server", func() bool { _, err := ask(copier, "SELECT '1'"); return err == nil })
	if got, err := ask(copier, "SELECT count(*)::text FROM kept"); err != nil || got != "1000" {
		t.Errorf("%s rows, %v", got, err)
	}
	if got, err := ask(copier, "SELECT pg_relation_filenode('sorted')::text"); err != nil || got == node {
		t.Errorf("the index was not built anew: %s, %v", got, err)
	}

	// It is not done twice, and nothing is overwritten.
	if err := copier.Copy(ctx, shared); err != nil {
		t.Errorf("a second time: %v", err)
	}
	fill := *copier
	if err := fill.Fill(ctx); !errors.Is(err, restore.ErrOccupied) {
		t.Errorf("a restore into the copy: %v", err)
	}
	empty := with(other, volume(t, other)+"/data", shared)
	if err := empty.Lend(ctx); err == nil {
		t.Error("an empty volume was lent")
	}
}
