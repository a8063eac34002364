//go:build integration

package integration

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds what a test waits for; it is no promise of speed.
const patience = 90 * time.Second

// The servers of this run.
var (
	database *server
	cache    *server
)

const (
	databaseUser = 70 // as in the image
	cacheUser    = 999
	password     = "p/w:@1" // needs escaping in a URL
)

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
	dir, err := os.MkdirTemp("", "alphapulse-integration-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	if database, err = startDatabase(filepath.Join(dir, "timescaledb")); err != nil {
		return 0, fmt.Errorf("TimescaleDB: %w", err)
	}
	defer database.kill()
	if cache, err = startCache(filepath.Join(dir, "redis")); err != nil {
		return 0, fmt.Errorf("Redis: %w", err)
	}
	defer cache.kill()
	return m.Run(), nil
}

// archive finds an image by its name in the table of the local images.
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
	var newest string
	var at time.Time
	for _, path := range found {
		if fi, err := os.Stat(path); err == nil && fi.ModTime().After(at) {
			newest, at = path, fi.ModTime()
		}
	}
	if newest == "" {
		return "", fmt.Errorf("there is no image %s in %s: make it with `local images`, or name an archive with %s", name, dir, variable)
	}
	return newest, nil
}

// unpack makes a root file system of an archive.
func unpack(path, root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	open := func(name string, use func(io.Reader) error) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", path, name, err)
			}
			if h.Name == name {
				return use(r)
			}
		}
	}
	var manifest []struct{ Layers []string }
	if err := open("manifest.json", func(r io.Reader) error { return json.NewDecoder(r).Decode(&manifest) }); err != nil {
		return err
	}
	for _, layer := range manifest[0].Layers {
		err := open(layer, func(r io.Reader) error {
			cmd := exec.Command("tar", "-x", "--numeric-owner", "-C", root)
			cmd.Stdin = r
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("unpack %s: %w: %s", layer, err, out)
			}
			return nil
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
		if err := syscall.Mknod(device, syscall.S_IFCHR|0o666, 1<<8|minor); err != nil && !errors.Is(err, os.ErrExist) {
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

// server is a process in a root file system of its own.
type server struct {
	root string
	uid  int
	args []string
	// Port on loopback.
	port int
	// ready says whether the server answers.
	ready func() error

	cmd *exec.Cmd
	log *os.File
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// isolate keeps a command in a root and a PID namespace: when its first process
// ends, all of them do, and it ends with the test at the latest.
func isolate(cmd *exec.Cmd, root string, uid int) *exec.Cmd {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)},
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL, Setsid: true,
	}
	return cmd
}

func (s *server) start() error {
	var err error
	if s.log, err = os.OpenFile(s.root+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	s.cmd = isolate(exec.Command(s.args[0], s.args[1:]...), s.root, s.uid)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := s.ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			log, _ := os.ReadFile(s.root + ".log")
			s.kill()
			return fmt.Errorf("%s does not answer: %w; its log:\n%s", s.args[0], err, log)
		}
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // with the signal
	_ = s.log.Close()
	s.cmd = nil
}

const postgresBin = "/usr/lib/postgresql/17/bin/"

func startDatabase(root string) (*server, error) {
	path, err := archive("timescaledb", "TIMESCALEDB_ARCHIVE")
	if err != nil {
		return nil, err
	}
	if err := unpack(path, root); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(root, "test"), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chown(filepath.Join(root, "test"), databaseUser, databaseUser); err != nil {
		return nil, err
	}
	return startCluster(root, "data")
}

// startCluster makes a folder of databases in a root file system and starts a server
// on it, with settings beside the usual ones.
func startCluster(root, folder string, settings ...string) (*server, error) {
	initdb := isolate(exec.Command(postgresBin+"initdb", "-D", "/test/"+folder, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"), root, databaseUser)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	s, err := startPostgres(root, folder, settings...)
	if err != nil {
		return nil, err
	}
	// As the platform makes it: the application's role owns its database, no more.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = asSuperuser(ctx, s, "postgres", "CREATE ROLE alphapulse_user LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '"+password+"'")
	if err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func startPostgres(root, folder string, settings ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{root: root, uid: databaseUser, port: port}
	s.args = []string{
		postgresBin + "postgres", "-D", "/test/" + folder, "-p", fmt.Sprint(port), "-h", "127.0.0.1", "-k", "/test",
		"-c", "shared_preload_libraries=timescaledb", "-c", "timescaledb.telemetry_level=off", "-c", "max_connections=60", "-c", "log_statement=none",
	}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	s.ready = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return asSuperuser(ctx, s, "postgres", "SELECT 1")
	}
	return s, s.start()
}

// asSuperuser runs statements through the socket.
func asSuperuser(ctx context.Context, s *server, name string, statements ...string) error {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s/test port=%d user=postgres dbname=%s", s.root, s.port, name))
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func startCache(root string) (*server, error) {
	path, err := archive("redis", "REDIS_ARCHIVE")
	if err != nil {
		return nil, err
	}
	if err := unpack(path, root); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// As the platform makes it: the default user may do all but administrate.
	acl := "user default on >" + password + " ~* &* +@all -@admin\nuser app on >" + password + "2 ~alphapulse:* &alphapulse:* +@all -@admin\n"
	if err := os.WriteFile(filepath.Join(root, "users.acl"), []byte(acl), 0o644); err != nil {
		return nil, err
	}
	s := &server{root: root, uid: cacheUser, port: port}
	s.args = []string{"/usr/bin/redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp", "--aclfile", "/users.acl"}
	s.ready = listens(port)
	return s, s.start()
}

// listens says whether something accepts connections.
func listens(port int) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
}

var databases int

// newDatabase makes an empty database with the extension, and returns its name.
func newDatabase(t testing.TB) string {
	t.Helper()
	databases++
	name := fmt.Sprintf("test%d", databases)
	createDatabase(t, name)
	superuser(t, name, "CREATE EXTENSION timescaledb SCHEMA public")
	return name
}

func createDatabase(t testing.TB, name string) {
	t.Helper()
	superuser(t, "postgres", "CREATE DATABASE "+name+" OWNER alphapulse_user TEMPLATE template0", "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC")
	t.Cleanup(func() {
		if !t.Failed() {
			superuserContext(context.Background(), t, "postgres", "DROP DATABASE "+name+" WITH (FORCE)")
		}
	})
}

func superuser(t testing.TB, name string, statements ...string) {
	t.Helper()
	superuserContext(t.Context(), t, name, statements...)
}

func superuserContext(ctx context.Context, t testing.TB, name string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := asSuperuser(ctx, database, name, statements...); err != nil {
		t.Fatal(err)
	}
}

// query returns one value of a database.
func query[T any](t testing.TB, name, sql string, args ...any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s/test port=%d user=postgres dbname=%s", database.root, database.port, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var v T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// proxy stands between the application and a server, and can break the connection.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	mode   mode
	conns  map[net.Conn]chan struct{}
	// thaw is closed when a frozen proxy passes again. A connection's own one, of
	// passNew, stays.
	thaw chan struct{}
}

type mode int

const (
	pass   mode = iota
	refuse      // connections end at once, as those to a process that is gone
	freeze      // nothing comes through and nothing ends, as over a cut cable
)

func newProxy(t testing.TB, s *server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: fmt.Sprintf("127.0.0.1:%d", s.port), conns: map[net.Conn]chan struct{}{}}
	go p.accept()
	t.Cleanup(func() {
		p.set(refuse)
		_ = l.Close()
	})
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	if p.thaw != nil && m != freeze {
		close(p.thaw)
		p.thaw = nil
	}
	switch m {
	case freeze:
		if p.thaw == nil {
			p.thaw = make(chan struct{})
		}
	case refuse:
		for c := range p.conns {
			p.end(c)
		}
	}
}

// end breaks a connection. The lock is held.
func (p *proxy) end(c net.Conn) {
	if stuck := p.conns[c]; stuck != nil {
		close(stuck)
		p.conns[c] = nil
	}
	_ = c.Close()
}

// passNew lets new connections through; those of before stay frozen.
func (p *proxy) passNew() {
	p.mu.Lock()
	for c := range p.conns {
		p.conns[c] = make(chan struct{})
	}
	p.mu.Unlock()
	p.set(pass)
}

// lead makes the proxy stand before another server, as a Service does after a failover.
func (p *proxy) lead(s *server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = fmt.Sprintf("127.0.0.1:%d", s.port)
}

// gate waits while the proxy or the connection is frozen.
func (p *proxy) gate(c net.Conn) {
	p.mu.Lock()
	thaw := p.thaw
	p.mu.Unlock()
	if thaw != nil {
		<-thaw
	}
	p.mu.Lock()
	stuck := p.conns[c]
	p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(c)
	}
}

func (p *proxy) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	p.gate(c)
	p.mu.Lock()
	if p.mode == refuse {
		p.mu.Unlock()
		return
	}
	p.conns[c] = nil
	target := p.target
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	up, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	done := make(chan struct{}, 2)
	copyTo := func(to, from net.Conn) {
		defer func() { done <- struct{}{} }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			p.gate(c)
			if n > 0 {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go copyTo(up, c)
	go copyTo(c, up)
	<-done
}

// eventually waits until a condition holds; it says what was seen last if it never does.
func eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never saw %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func mustContain(text string, parts ...string) error {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return fmt.Errorf("no %q in %s", p, text)
		}
	}
	return nil
}
