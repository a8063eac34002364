package nginxtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
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

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// Seed of the certificates and the password file that tests use.
const Seed = "a seed of at least thirty-two bytes, for tests only"

// Password of Prometheus in tests.
const Password = "a password for tests"

// Users of the edge's login in tests: ada's password is UserPassword.
const (
	Users        = "ada:$apr1$8sFt66rZ$32NPfbZ3dyKt9ifnAMouy.\nbob:{SSHA}Hpbl7FqJSsW12zKDYydLlP6vFvRzYWx0c2FsdA==\n"
	UserPassword = "right horse"
)

// Files puts a certificate for c's hosts and the password file into a directory of
// their own and points c to them. It returns the development CA's certificate.
func Files(t testing.TB, c *nginx.Config) *x509.CertPool {
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
	mounted := filepath.Join(dir, "tls")
	check(t, os.Mkdir(mounted, 0o755))
	mount(t, mounted, pair)
	c.CertificateFile, c.KeyFile = filepath.Join(mounted, "tls.crt"), filepath.Join(mounted, "tls.key")
	if c.Login.UsersFile != "" {
		c.Login.UsersFile = write("users", Users)
	}
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

// mount puts a pair where the kubelet would: behind a link that changes at once for
// all files of a Secret.
func mount(t testing.TB, dir string, pair *certs.Pair) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "..version")
	check(t, err)
	check(t, os.Chmod(version, 0o755))
	for name, content := range map[string]string{"tls.crt": pair.Certificate, "tls.key": pair.Key} {
		check(t, os.WriteFile(filepath.Join(version, name), []byte(content), 0o644))
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err != nil {
			check(t, os.Symlink(filepath.Join("..data", name), link))
		}
	}
	fresh := filepath.Join(dir, "..data_tmp")
	check(t, os.Symlink(filepath.Base(version), fresh))
	check(t, os.Rename(fresh, filepath.Join(dir, "..data")))
}

// Trust has clients trust the CA of a pair, too.
func (s *Server) Trust(t testing.TB, pair *certs.Pair) {
	t.Helper()
	if !s.roots.AppendCertsFromPEM([]byte(pair.Root)) {
		t.Fatal("the CA's certificate does not parse")
	}
}

// Renew replaces the mounted certificate and key.
func (s *Server) Renew(t testing.TB, pair *certs.Pair) {
	t.Helper()
	mount(t, filepath.Dir(s.Config.CertificateFile), pair)
}

// Workers are the process ids of nginx' workers.
func (s *Server) Workers(t testing.TB) []string {
	t.Helper()
	pid := strconv.Itoa(s.PID())
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	check(t, err)
	return strings.Fields(string(children))
}

// Check has nginx read the configuration, completed by the start script, without
// starting, and returns what it says.
func Check(t testing.TB, text string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	c := command(t, dir, text, filepath.Join(dir, "completed.conf"), Container{})
	c.Env = append(c.Env, "NGINXTEST_ARGUMENTS=-t")
	out, err := c.CombinedOutput()
	return string(out), err
}

// Container is what a configuration depends on that does not stand in it.
type Container struct {
	// ResolvConf is the text of /etc/resolv.conf; "" is the machine's.
	ResolvConf string
	// DNSPort of the name servers, which the file cannot tell; 0 is the usual one.
	DNSPort int
	// WithoutIPv6 hides that the kernel has it.
	WithoutIPv6 bool
}

// Server is a running edge.
type Server struct {
	Config nginx.Config
	// Text is the configuration that nginx runs with.
	Text   string
	roots  *x509.CertPool
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan error
}

// Start runs nginx with c, whose ports and files it chooses.
func Start(t testing.TB, c nginx.Config) *Server {
	t.Helper()
	return StartIn(t, c, Container{})
}

// StartIn runs nginx with c, whose ports and files it chooses, in a container.
func StartIn(t testing.TB, c nginx.Config, in Container) *Server {
	t.Helper()
	return StartText(t, c, in, func(c *nginx.Config) string {
		text, err := c.Render()
		check(t, err)
		return text
	})
}

// StartText runs nginx with a text that may have been rendered elsewhere, as by a whole
// stack: adapted has the ports and files of its argument in it, which are the test's.
func StartText(t testing.TB, c nginx.Config, in Container, adapted func(c *nginx.Config) string) *Server {
	t.Helper()
	s := &Server{Config: c, log: &lockedBuffer{}, exited: make(chan error, 1)}
	s.roots = Files(t, &s.Config)
	s.Config.HTTPPort, s.Config.HTTPSPort, s.Config.StatusPort = FreePort(t), FreePort(t), FreePort(t)
	probed := s.Config.HTTPPort
	if s.Config.ProxyProtocol {
		s.Config.HealthPort, s.Config.HandshakePort = FreePort(t), FreePort(t)
		probed = s.Config.HealthPort
	}
	text := adapted(&s.Config)
	completed := s.Config.Command("/nginx.conf")[3]
	s.cmd = command(t, t.TempDir(), text, completed, in)
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
			said := s.Log()
			t.Logf("nginx said last:\n%s", said[max(0, len(said)-2000):])
		}
	})
	Eventually(t, "nginx serves", func() bool {
		select {
		case err := <-s.exited:
			t.Fatalf("nginx exited (%v):\n%s", err, s.Log())
		default:
		}
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(probed) + nginx.HealthPath)
		if err != nil {
			return false
		}
		check(t, response.Body.Close())
		return response.StatusCode == http.StatusOK
	})
	made, err := os.ReadFile(completed)
	check(t, err)
	s.Text = string(made)
	return s
}

// Quit asks nginx to stop once everything under way is done.
func (s *Server) Quit(t testing.TB) {
	t.Helper()
	check(t, s.cmd.Process.Signal(syscall.SIGQUIT))
}

// Exited waits for nginx to have stopped.
func (s *Server) Exited() error {
	err := <-s.exited
	s.exited <- err
	return err
}

// PID is the process id of nginx' master.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is what nginx has written so far.
func (s *Server) Log() string { return s.log.String() }

// Client connects to the edge whatever the URL's host and port, from the given
// loopback address ("" for the usual one, "::1" by IPv6). It neither follows redirects
// nor retries.
func (s *Server) Client(t testing.TB, from string) *http.Client {
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
			d, host := net.Dialer{}, "127.0.0.1"
			if from != "" {
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
			}
			if from == "::1" {
				host = from
			}
			c, err := d.DialContext(ctx, network, net.JoinHostPort(host, strconv.Itoa(to)))
			if err == nil && s.Config.ProxyProtocol {
				_, err = io.WriteString(c, "PROXY UNKNOWN\r\n") // a balancer that speaks for itself
			}
			return c, err
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
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	check(t, err)
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().(*net.TCPAddr).Port
}

// Eventually polls until what holds; it fails the test after a generous while.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// wrapper is what the start script finds as nginx. The port of name servers is put in
// by it: resolv.conf has no place for one, and the usual port is root's.
const wrapper = `#!/bin/sh
[ -z "$NGINXTEST_DNS_PORT" ] || sed -i "s/^\( *resolver [0-9.]*\)/\1:$NGINXTEST_DNS_PORT/" "$4"
exec %s "$@" $NGINXTEST_ARGUMENTS
`

// command runs the start script with the configuration, in a folder for both.
func command(t testing.TB, dir, text, completed string, in Container) *exec.Cmd {
	t.Helper()
	program, err := Command()
	check(t, err)
	for name, content := range map[string]string{
		"nginx.conf": text, nginx.StartFile: nginx.StartScript, "resolv.conf": in.ResolvConf,
		"nginx": fmt.Sprintf(wrapper, strings.Join(program, " ")),
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
	}
	resolvConf, inet6 := "/etc/resolv.conf", "/proc/net/if_inet6"
	if in.ResolvConf != "" {
		resolvConf = filepath.Join(dir, "resolv.conf")
	}
	if in.WithoutIPv6 {
		inet6 = filepath.Join(dir, "none")
	}
	c := exec.Command("/bin/sh", filepath.Join(dir, nginx.StartFile), filepath.Join(dir, "nginx.conf"), completed, resolvConf, inet6)
	c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if in.DNSPort != 0 {
		c.Env = append(c.Env, "NGINXTEST_DNS_PORT="+strconv.Itoa(in.DNSPort))
	}
	// A test that is killed takes its nginx with it.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// IPv6 is whether the machine has it.
func IPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func check(t testing.TB, err error) {
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
