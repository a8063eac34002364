// Package processes runs programs of this repository's modules and the nginx of a whole
// recorded stack, for tests.
package processes

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// Built gives a program of a module of this repository, which Go compiles once and then
// finds up to date.
func Built(module, name, pkg string, flags ...string) (string, error) {
	root, err := recorder.Root()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "alphapulse-infra", "test-"+name, name)
	args := append(append([]string{"build", "-C", filepath.Join(root, module)}, flags...), "-o", path, pkg)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// Start runs a program until the test ends, which kills it if it is killed itself, and says
// what it said when the test failed.
func Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
		if t.Failed() {
			said := log.String()
			t.Logf("%s said last:\n%s", filepath.Base(cmd.Path), said[max(0, len(said)-4000):])
		}
	})
}

// Answers waits until an address answers 200.
func Answers(t testing.TB, what, address string) {
	t.Helper()
	nginxtest.Eventually(t, what, func() bool {
		r, err := http.Get(address)
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// Edge is the nginx of a recorded stack.
type Edge struct {
	// Domain and Namespace of the stack, and its nginx.conf.
	Domain, Namespace, Text string
	// Services are where those are that the configuration names, by name and port as in
	// "frontend-pods:3000". Those that are only named are found, and nobody answers.
	Services map[string]netip.AddrPort
	Named    []string
	// Files are written in place of those that the configuration names, by their paths there.
	Files map[string]string
}

// Start runs it.
func (e Edge) Start(t testing.TB) *nginxtest.Server {
	t.Helper()
	dns := nginxtest.StartDNS(t)
	cluster := ".svc.cluster.local"
	var replace []string
	for service, to := range e.Services {
		name, port, _ := strings.Cut(service, ":")
		dns.Set(name+"."+e.Namespace+cluster, to.Addr().String())
		from := name + "." + e.Namespace + ".svc@domain@:"
		if !strings.Contains(e.Text, from+port) {
			t.Fatalf("nginx.conf does not name %s", from+port)
		}
		replace = append(replace, from+port, from+itoa(int(to.Port())))
	}
	for _, name := range e.Named {
		dns.Set(name+"."+e.Namespace+cluster, "127.0.0.1")
	}
	for path, content := range e.Files {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil { // nginx' workers are nobody
				t.Fatal(err)
			}
		}
		replace = append(replace, path, file)
	}
	address := netip.MustParseAddrPort(dns.Address)
	in := nginxtest.Container{
		ResolvConf: "search " + e.Namespace + cluster + " svc.cluster.local cluster.local\nnameserver 127.0.0.1\n",
		DNSPort:    int(address.Port()),
	}
	c := nginx.Config{Domain: e.Domain, PasswordFile: "is given"}
	return nginxtest.StartText(t, c, in, func(c *nginx.Config) string {
		listen := func(port, to int) []string {
			return []string{"listen " + itoa(port), "listen " + itoa(to), "listen [::]:" + itoa(port), "listen [::]:" + itoa(to)}
		}
		return strings.NewReplacer(slices.Concat(replace,
			listen(ingress.HTTPPort, c.HTTPPort), listen(ingress.HTTPSPort, c.HTTPSPort),
			[]string{
				"listen 127.0.0.1:" + itoa(ingress.StatusPort), "listen 127.0.0.1:" + itoa(c.StatusPort),
				ingress.TLSDir + "/" + ingress.CertificateKey, c.CertificateFile,
				ingress.TLSDir + "/" + ingress.PrivateKey, c.KeyFile,
				ingress.PasswordDir + "/" + ingress.PasswordKey, c.PasswordFile,
				" /tmp/", " " + c.TempDir + "/",
			})...).Replace(e.Text)
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
