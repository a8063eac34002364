package ingress

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// agent is the project's, once for all runs.
var agent = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "alphapulse-infra", "test-agent", "agent")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = filepath.Join("..", "..", "docker", "agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w\n%s", err, out)
	}
	return path, nil
})

// free is an address of this host that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	return c.LocalAddr().String()
}

// TestFailedHandshakesAreCounted from the real nginx's log, by the real agent and the real
// counter, by their reasons; what is no handshake is not.
func TestFailedHandshakesAreCounted(t *testing.T) {
	t.Parallel()
	program, err := agent()
	require.NoError(t, err)
	a := valid()
	adapt := strings.NewReplacer(countAddress, free(t), handshakesAddress, free(t), fmt.Sprintf(":%d", handshakesPort), fmt.Sprintf("127.0.0.1:%d", nginxtest.FreePort(t)))
	metrics := startCounter(t, a, room.Kubernetes, adapt)
	var args []string
	for _, arg := range a.withDefaults().handshakes("edge").Args.(pulumi.StringArray) {
		args = append(args, adapt.Replace(string(arg.(pulumi.String))))
	}
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, c.Wait(), "the agent ends when it is told to")
	})

	config := configOf(a)
	config.Resolver, config.PasswordFile = "127.0.0.1", "password"
	config.ErrorAddress = adapt.Replace(a.onCluster("edge", "n").Handshakes)
	server := nginxtest.Start(t, *config)
	address := fmt.Sprintf("127.0.0.1:%d", server.Config.HTTPSPort)
	name := "alphapulse." + a.Domain
	fail := func(with *tls.Config) {
		with.ServerName = name
		conn, err := tls.Dial("tcp", address, with)
		if err == nil {
			_ = conn.Close()
		}
		assert.Error(t, err)
	}
	count := func(reason string) func() bool {
		return func() bool {
			return strings.Contains(metrics(), fmt.Sprintf("edge_tls_failures_total{reason=%q} ", reason))
		}
	}
	// A first one, until the agent listens.
	nginxtest.Eventually(t, "a handshake that was refused by the server is counted", func() bool {
		fail(&tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}) //nolint:gosec // which nginx refuses
		return count("protocol")()
	})
	before := metrics()
	assert.NotContains(t, before, `reason="certificate"`)
	assert.NotContains(t, before, `reason="closed"`)
	fail(&tls.Config{}) // which does not trust it
	nginxtest.Eventually(t, "one that the client refused is counted", count("certificate"))
	// The begin of a greeting, and no more.
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	_, err = conn.Write([]byte{22, 3, 1, 1, 0, 1, 0, 0, 252})
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	nginxtest.Eventually(t, "one that the client broke off is counted", count("closed"))

	// Requests, and connections without any, are none.
	was := failures(metrics())
	response, err := server.Client(t, "").Get("https://" + name + "/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	conn, err = net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	nginxtest.Eventually(t, "what has failed then is counted last", func() bool {
		fail(&tls.Config{})
		return failures(metrics()) != was
	})
	assert.NotContains(t, metrics(), `reason="other"`)
}

// failures are the lines about handshakes.
func failures(metrics string) string {
	var all []string
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "edge_tls_failures_total{") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// TestWhoCountsHandshakes: pods do, and a Docker host does not, so that no alert waits there.
func TestWhoCountsHandshakes(t *testing.T) {
	a := valid()
	for on, want := range map[room.Target]bool{room.Kubernetes: true, room.DockerHost: false} {
		alert := false
		for _, g := range a.Facts("edge", on).Rules {
			for _, r := range g.Rules {
				alert = alert || r.Alert == "EdgeTlsFailures"
			}
		}
		assert.Equal(t, want, alert, on)
	}
	assert.NotEmpty(t, a.withDefaults().onCluster("edge", "n").Handshakes)
	assert.Empty(t, placeOf("edge").Handshakes)
}
