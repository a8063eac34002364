//go:build integration

package integration

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// user is that of the image.
	user = 1000
	bin  = "/usr/lib/postgresql/17/bin/"
	// patience bounds what a test waits for; it is no promise of speed.
	patience = 90 * time.Second
)

// image is the root file system that every server of the run is started in.
var image string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration tests cannot run:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("they start servers in root file systems of their own, so they need root")
	}
	archive, err := archive("timescaledb-ha", "TIMESCALEDB_HA_ARCHIVE")
	if err != nil {
		return 0, err
	}
	if image, err = os.MkdirTemp("", "alphapulse-agent-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(image)) }()
	if err := os.Chmod(image, 0o755); err != nil {
		return 0, err
	}
	if err := unpack(archive, image); err != nil {
		return 0, fmt.Errorf("unpack %s: %w", archive, err)
	}
	return m.Run(), nil
}

// archive finds the newest image of a name that was made, or the one that a variable names.
func archive(name, variable string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "alphapulse-infra", "images")
	found, err := filepath.Glob(filepath.Join(dir, name+"-????????????????.tar"))
	if err != nil {
		return "", err
	}
	newest, at := "", time.Time{}
	for _, path := range found {
		if fi, err := os.Stat(path); err == nil && fi.ModTime().After(at) {
			newest, at = path, fi.ModTime()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("there is no image %[1]s in %[2]s: make it with `local images %[1]s`, or name an archive with %[3]s", name, dir, variable)
	}
	return newest, nil
}

// unpack makes a root file system of an archive.
func unpack(path, root string) error {
	part := func(name string, use func(io.Reader) error) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if h.Name == name {
				return use(r)
			}
		}
	}
	var manifest []struct{ Layers []string }
	if err := part("manifest.json", func(r io.Reader) error { return json.NewDecoder(r).Decode(&manifest) }); err != nil {
		return err
	}
	for _, layer := range manifest[0].Layers {
		err := part(layer, func(r io.Reader) error {
			cmd := exec.Command("tar", "-x", "--numeric-owner", "-C", root)
			cmd.Stdin = r
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	// What a container runtime would mount.
	for name, minor := range map[string]int{"null": 3, "urandom": 9} {
		device := filepath.Join(root, "dev", name)
		if err := os.MkdirAll(filepath.Dir(device), 0o755); err != nil {
			return err
		}
		if err := syscall.Mknod(device, syscall.S_IFCHR|0o666, 1<<8|minor); err != nil {
			return fmt.Errorf("make %s: %w", device, err)
		}
		if err := os.Chmod(device, 0o666); err != nil {
			return err
		}
	}
	shm := filepath.Join(root, "dev", "shm")
	if err := os.MkdirAll(shm, 0o777); err != nil {
		return err
	}
	return os.Chmod(shm, 0o777)
}

// inside keeps a command in the image and a PID namespace: when its first process ends,
// all of them do, and it ends with the test at the latest.
func inside(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: image, Credential: &syscall.Credential{Uid: user, Gid: user},
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL, Setsid: true,
	}
	return cmd
}

// server is a PostgreSQL server of the image.
type server struct {
	t   *testing.T
	dir string // as the server sees it
	cmd *exec.Cmd
}

// start makes a new database in a folder of its own and starts its server.
func start(t *testing.T, settings ...string) *server {
	t.Helper()
	host, err := os.MkdirTemp(image, "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(host, user, user); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: "/" + filepath.Base(host)}
	if out, err := inside(bin+"initdb", "-D", s.dir+"/data", "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	args := []string{"-D", s.dir + "/data", "-k", s.dir, "-h", ""}
	for _, v := range append([]string{"shared_preload_libraries=timescaledb", "timescaledb.telemetry_level=off", "fsync=off", "password_encryption=scram-sha-256"}, settings...) {
		args = append(args, "-c", v)
	}
	s.cmd = inside(bin+"postgres", args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			raw, _ := os.ReadFile(log.Name())
			t.Logf("the server's log:\n%s", raw)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := s.connect(t.Context(), "postgres", "postgres", nil)
		if err == nil {
			_ = conn.Close(t.Context())
			return s
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func (s *server) connect(ctx context.Context, role, database string, parameters map[string]string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=" + image + s.dir + " user=" + role + " sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Database = database
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for k, v := range parameters {
		config.RuntimeParams[k] = v
	}
	return pgx.ConnectConfig(ctx, config)
}

// ask runs one query that gives one text.
func (s *server) ask(role, database, sql string) (answer string, err error) {
	conn, err := s.connect(s.t.Context(), role, database, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	err = conn.QueryRow(s.t.Context(), sql).Scan(&answer)
	return answer, err
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not after %s", what, patience)
		}
	}
}
