package nginxtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/ingress/certs"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// Seed of the certificates and the password file that tests use.
const Seed = "a seed of at least thirty-two bytes, for tests only"

// Password of Prometheus in tests.
const Password = "a password for tests"

// Files puts a certificate for c's hosts and the password file into a directory of
// their own and points c to them. It returns the development CA's certificate.
func Files(t *testing.T, c *nginx.Config) *x509.CertPool {
	t.Helper()
	// Not t.TempDir: the workers of an nginx that root started run as nobody.
	dir, err := os.MkdirTemp("", "edge")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o755))
	pair, err := certs.Development(Seed, nginx.HostsOf(c.Domain).All(), time.Now())
	check(t, err)
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	c.CertificateFile, c.KeyFile = write("tls.crt", pair.Certificate), write("tls.key", pair.Key)
	if c.PasswordFile != "" {
		line, err := nginx.PasswordLine(Seed, Password)
		check(t, err)
		c.PasswordFile = write("htpasswd", line)
	}
	c.TempDir = filepath.Join(dir, "tmp")
	check(t, os.Mkdir(c.TempDir, 0o777))
	check(t, os.Chmod(c.TempDir, 0o777))
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pair.Root)) {
		t.Fatal("the development CA's certificate does not parse")
	}
	return roots
}

// Check has nginx read the configuration without starting, and returns what it says.
func Check(t *testing.T, text string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nginx.conf")
	check(t, os.WriteFile(path, []byte(text), 0o644))
	out, err := command(t, path, "-t").CombinedOutput()
	return string(out), err
}

// Server is a running edge.
type Server struct {
	Config nginx.Config
	roots  *x509.CertPool
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan error
}

// Start runs nginx with c, whose ports and files it chooses.
func Start(t *testing.T, c nginx.Config) *Server {
	t.Helper()
	s := &Server{Config: c, log: &lockedBuffer{}, exited: make(chan error, 1)}
	s.roots = Files(t, &s.Config)
	s.Config.HTTPPort, s.Config.HTTPSPort, s.Config.StatusPort = FreePort(t), FreePort(t), FreePort(t)
	text, err := s.Config.Render()
	check(t, err)
	path := filepath.Join(t.TempDir(), "nginx.conf")
	check(t, os.WriteFile(path, []byte(text), 0o644))
	s.cmd = command(t, path)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	check(t, s.cmd.Start())
	go func() { s.exited <- s.cmd.Wait() }()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Signal(syscall.SIGTERM)
			if err := <-s.exited; err != nil {
				t.Logf("nginx ended: %v", err)
			}
		}
		if t.Failed() {
			t.Logf("nginx said:\n%s", s.Log())
		}
	})
	Eventually(t, "nginx serves", func() bool {
		select {
		case err := <-s.exited:
			t.Fatalf("nginx exited (%v):\n%s", err, s.Log())
		default:
		}
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(s.Config.HTTPPort) + nginx.HealthPath)
		if err != nil {
			return false
		}
		check(t, response.Body.Close())
		return response.StatusCode == http.StatusOK
	})
	return s
}

// Quit asks nginx to stop once everything under way is done.
func (s *Server) Quit(t *testing.T) {
	t.Helper()
	check(t, s.cmd.Process.Signal(syscall.SIGQUIT))
}

// Exited waits for nginx to have stopped.
func (s *Server) Exited() error {
	err := <-s.exited
	s.exited <- err
	return err
}

// Log is what nginx has written so far.
func (s *Server) Log() string { return s.log.String() }

// Client connects to the edge whatever the URL's host and port, from the given
// loopback address ("" for the usual one). It neither follows redirects nor retries.
func (s *Server) Client(t *testing.T, from string) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			to := s.Config.HTTPPort
			if port == "443" {
				to = s.Config.HTTPSPort
			}
			d := net.Dialer{}
			if from != "" {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
			}
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(to)))
		},
		TLSClientConfig: &tls.Config{RootCAs: s.roots},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// FreePort finds a TCP port that nobody listens on.
func FreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	check(t, err)
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().(*net.TCPAddr).Port
}

// Eventually polls until what holds; it fails the test after a generous while.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func command(t *testing.T, config string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := Command()
	if err != nil {
		t.Fatal(err)
	}
	all := append(append([]string{}, program[1:]...), "-e", "stderr", "-c", config)
	c := exec.Command(program[0], append(all, args...)...)
	// A test that is killed takes its nginx with it.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Clone(l.b.String())
}
