package ingress

import (
	"fmt"
	"io"
	"net"
	"net/http"
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

// statsdExporter is built of the module that its image is built of, once for all runs.
var statsdExporter = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "alphapulse-infra", "test-statsd", "statsd_exporter")
	cmd := exec.Command("go", "build", "-o", path, "github.com/prometheus/statsd_exporter")
	cmd.Dir = filepath.Join("..", "..", "local", "modules", "exporters")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building statsd_exporter: %w\n%s", err, out)
	}
	return path, nil
})

// startCounter runs the real one with the rendered file and the arguments of the target,
// but for paths and ports, and returns what it serves.
func startCounter(t *testing.T, a *Args, on room.Target, adapt *strings.Replacer) (metrics func() string) {
	t.Helper()
	program, err := statsdExporter()
	require.NoError(t, err)
	process, _, err := a.withDefaults().counter("edge", on)
	require.NoError(t, err)
	file, err := a.withDefaults().counterConfig()
	require.NoError(t, err)
	mapping := filepath.Join(t.TempDir(), counterFile)
	require.NoError(t, os.WriteFile(mapping, []byte(file), 0o600))
	port := nginxtest.FreePort(t)
	var args []string
	for _, arg := range process.Args.(pulumi.StringArray) {
		arg := adapt.Replace(string(arg.(pulumi.String)))
		args = append(args, strings.NewReplacer(counterDir+"/"+counterFile, mapping, fmt.Sprintf(":%d", CountsPort), fmt.Sprintf("127.0.0.1:%d", port)).Replace(arg))
	}
	if len(process.Command) > 0 {
		command := append([]string{}, process.Command...)
		command[2] = strings.ReplaceAll(adapt.Replace(command[2]), "/bin/statsd_exporter", program)
		program, args = command[0], append(command[1:], args...)
	}
	c := exec.Command(program, args...)
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait() // it ends by the signal
	})
	get := func(path string) (string, error) {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return "", err
		}
		defer response.Body.Close() //nolint:errcheck // it is read to its end
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	nginxtest.Eventually(t, "the counter answers", func() bool {
		_, err := get(process.Alive.Path)
		return err == nil
	})
	return func() string {
		said, err := get("/metrics")
		require.NoError(t, err)
		return said
	}
}

// TestWhatNginxCountsIsServed by the real nginx through the real counter, on both targets:
// as counters and as histograms that the objective is a bound of.
func TestWhatNginxCountsIsServed(t *testing.T) {
	for name, on := range map[string]room.Target{"a pod": room.Kubernetes, "a Docker host": room.DockerHost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := valid()
			a.LatencyMilliseconds = 333
			free, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			address := free.LocalAddr().String()
			require.NoError(t, free.Close())
			dir, err := os.MkdirTemp("", "counter") // that nginx' workers reach
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			require.NoError(t, os.Chmod(dir, 0o755))
			adapt := strings.NewReplacer(countAddress, address, countDir, dir)
			// An unclean end has left its socket.
			require.NoError(t, os.WriteFile(adapt.Replace(countSocket), nil, 0o600))
			metrics := startCounter(t, a, on, adapt)

			c := configOf(a)
			c.Resolver, c.PasswordFile = "127.0.0.1", "password"
			c.CountAddress = adapt.Replace(map[room.Target]string{room.Kubernetes: a.onCluster("edge", "n").Counts, room.DockerHost: placeOf("edge").Counts}[on])
			server := nginxtest.Start(t, *c)
			client := server.Client(t, "")
			ask := func(url string) {
				response, err := client.Get(url)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
			}
			const requests = 20
			for range requests {
				ask("https://api.example.test/")
			}
			ask("http://unknown.example.test/")
			for _, want := range []string{
				fmt.Sprintf(`edge_requests_total{host="api.example.test",outcome="unreached",route="api",status="503"} %d`, requests),
				`edge_requests_total{host="unknown",outcome="edge",route="unknown",status="421"} 1`,
				fmt.Sprintf(`edge_request_duration_seconds_count{host="api.example.test",route="api"} %d`, requests),
				`edge_request_duration_seconds_bucket{host="api.example.test",route="api",le="0.333"} `,
				`edge_request_duration_seconds_bucket{host="api.example.test",route="api",le="0.5"} `,
			} {
				nginxtest.Eventually(t, want, func() bool { return strings.Contains(metrics(), want) })
			}
		})
	}
}

// TestNothingElseIsCounted: whoever else sends something makes no metric.
func TestNothingElseIsCounted(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.LocalAddr().String()
	require.NoError(t, free.Close())
	metrics := startCounter(t, valid(), room.Kubernetes, strings.NewReplacer(countAddress, address))
	to, err := net.Dial("udp", address)
	require.NoError(t, err)
	defer to.Close() //nolint:errcheck // nothing is lost with it
	_, err = to.Write([]byte("made_up:1|c|#a:b\nedge_requests:1|c|#host:x,route:y,status:200,outcome:edge"))
	require.NoError(t, err)
	nginxtest.Eventually(t, "what nginx counts is there", func() bool { return strings.Contains(metrics(), "edge_requests_total{") })
	assert.NotContains(t, metrics(), "made_up")
}
