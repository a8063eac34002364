package ingress

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// startProber runs the real one with the rendered file, and returns what it says of a
// TLS port of this machine.
func startProber(t *testing.T, a *Args) func(port int) map[string]string {
	t.Helper()
	command, err := nginxtest.Prober()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), proberKey)
	require.NoError(t, os.WriteFile(file, []byte(a.proberFile()), 0o600))
	port := nginxtest.FreePort(t)
	c := exec.Command(command[0], append(command[1:], "--config.file="+file, fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port), "--log.level=warn")...)
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait() // it ends by the signal
	})
	ask := func(path string) (string, error) {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return "", err
		}
		defer response.Body.Close() //nolint:errcheck // it is read to its end
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", response.Status, body)
		}
		return string(body), err
	}
	nginxtest.Eventually(t, "the prober answers", func() bool {
		_, err := ask("/-/healthy")
		return err == nil
	})
	line := regexp.MustCompile(`(?m)^(probe_\w+) (\S+)$`)
	return func(port int) map[string]string {
		probe := a.probe("127.0.0.1")
		query := url.Values{"target": {fmt.Sprintf("127.0.0.1:%d", port)}, "module": {probe.Params["module"]}}
		said, err := ask(probe.Path + "?" + query.Encode())
		require.NoError(t, err)
		values := map[string]string{}
		for _, m := range line.FindAllStringSubmatch(said, -1) {
			values[m[1]] = m[2]
		}
		return values
	}
}

// TestTheProberTellsTheEndOfWhatIsServed by the real nginx: of a renewed certificate as
// soon as clients are shown it, and with the PROXY protocol, too.
func TestTheProberTellsTheEndOfWhatIsServed(t *testing.T) {
	for name, proxied := range map[string]bool{"as a client": false, "beside the PROXY protocol": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := valid()
			a.Balancer.ProxyProtocol = proxied
			c := configOf(a)
			c.Resolver, c.PasswordFile = "127.0.0.1", "password"
			server := nginxtest.Start(t, *c)
			port := server.Config.HTTPSPort
			if proxied {
				port = server.Config.HandshakePort
			}
			look := startProber(t, a.withDefaults())
			ends := func(now time.Time) (string, *certs.Pair) {
				pair, err := certs.Development(nginxtest.Seed, nginx.HostsOf("example.test").All(), now)
				require.NoError(t, err)
				return strconv.FormatInt(pair.NotAfter.Unix(), 10), pair
			}
			end := func() string {
				said := look(port)
				if said["probe_success"] != "1" {
					return "nothing: " + fmt.Sprint(said)
				}
				seconds, err := strconv.ParseFloat(said["probe_ssl_earliest_cert_expiry"], 64)
				require.NoError(t, err)
				return strconv.FormatInt(int64(seconds), 10)
			}
			given, _ := ends(time.Now())
			assert.Equal(t, given, end())
			later, pair := ends(time.Now().AddDate(2, 0, 0))
			require.NotEqual(t, given, later)
			server.Renew(t, pair)
			nginxtest.Eventually(t, "the renewed one's end is told", func() bool { return end() == later })
			if !proxied {
				assert.Equal(t, "0", look(server.Config.HTTPPort)["probe_success"], "plain HTTP is no handshake")
			}
		})
	}
}

func TestWhereTheProberLooks(t *testing.T) {
	a := valid()
	assert.Equal(t, map[string]string{"module": "certificate", "target": "127.0.0.1:8443"},
		a.Facts("edge", room.Kubernetes).Workloads[0].Scrape.Beside.Params)
	a.Balancer.ProxyProtocol = true
	assert.Equal(t, "127.0.0.1:8444", a.Facts("edge", room.Kubernetes).Workloads[0].Scrape.Beside.Params["target"])
	assert.Equal(t, "edge:8443", valid().Facts("edge", room.DockerHost).Workloads[2].Scrape.Params["target"])
}
