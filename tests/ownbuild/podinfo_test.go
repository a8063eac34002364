package ownbuild

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

func portOf(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

var podinfoPath = sync.OnceValues(func() (string, error) {
	return processes.Built("local/modules/podinfo", "podinfo", "github.com/stefanprodan/podinfo/cmd/podinfo")
})

// podinfoSays runs podinfo to its end.
func podinfoSays(t *testing.T, args ...string) string {
	t.Helper()
	path, err := podinfoPath()
	require.NoError(t, err)
	out, _ := exec.Command(path, args...).CombinedOutput() // --help ends as an error
	return string(out)
}

// startPodinfo runs podinfo with the environment of a pod, on a port of the test: many
// pods listen on one number, and tests on one machine do not.
func startPodinfo(t *testing.T, environment []string) netip.AddrPort {
	t.Helper()
	path, err := podinfoPath()
	require.NoError(t, err)
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(nginxtest.FreePort(t)))
	cmd := exec.Command(path)
	cmd.Dir = t.TempDir()
	cmd.Env = append(environment, "PODINFO_PORT="+portOf(address))
	processes.Start(t, cmd)
	nginxtest.Eventually(t, "podinfo is ready", func() bool {
		r, err := http.Get("http://" + address.String() + "/readyz")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return address
}

// serve runs a handler.
func serve(t *testing.T, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

// get reads an answer.
func get(t *testing.T, c *http.Client, url string) (status int, body string) {
	t.Helper()
	r, err := c.Get(url)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(raw)
}
