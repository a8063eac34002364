package lines

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

// TestReadersAreHeard: a real gateway serves what the agent of a node, and the reader of a
// Docker host, tell it of themselves, under the names that LogAgentSilent asks for.
func TestReadersAreHeard(t *testing.T) {
	c := startCollector(t, map[string]string{"tracesBackend": "local", "edgeTraceSampling": "1"})
	agent, err := config.Agent{
		Gateways: map[string]string{"alphapulse-dev": c.takes}, Logs: t.TempDir(), Positions: t.TempDir(), HealthPort: nginxtest.FreePort(t),
	}.Render()
	require.NoError(t, err)
	host, err := config.Engine{Gateway: c.takes, Prefix: "alphapulse-single", Logs: t.TempDir(), Positions: t.TempDir()}.Render()
	require.NoError(t, err)
	path, err := processes.Built("local/modules/otelcol", "otelcol-contrib", ".")
	require.NoError(t, err)
	files := map[string]string{"node-1": agent, "alphapulse-single": host}
	for _, file := range files {
		at := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(at, []byte(file), 0o600))
		cmd := exec.Command(path, "--config="+at, config.TakenFirst)
		cmd.Env = append(os.Environ(), "NODE_NAME=node-1")
		processes.Start(t, cmd)
	}
	for instance := range files {
		uptime := func() float64 {
			return metric(t, c.serves, "otelcol_process_uptime_seconds_total", `job="`+config.AgentService+`"`, `instance="`+instance+`"`)
		}
		nginxtest.Eventually(t, instance+" is heard", func() bool { return uptime() > 0 })
		first := uptime()
		nginxtest.Eventually(t, instance+" is heard again", func() bool { return uptime() > first })
	}
}
