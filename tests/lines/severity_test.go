package lines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

// said are lines as programs write them, and what the agent makes of their severity.
var said = []struct{ pod, container, line, severity string }{
	{"database-g1-0", "postgresql", `2026-11-28 18:01:08.693 UTC [65] alphapulse@alphapulse/[unknown] FATAL:  password authentication failed`, "FATAL"},
	{"database-g1-0", "postgresql", `2026-11-28 18:01:08.693 UTC [65] LOG:  checkpoint starting: time`, "INFO"},
	{"database-g1-0", "postgresql", `Traceback (most recent call last):`, "ERROR"},
	{"database-pooler-664b9fbb6c-7x86p", "pgbouncer", `2026-11-28 18:01:09.191 UTC [1] WARNING server login failed`, "WARN"},
	{"backup-store-0", "versitygw", `19:22:06 | vgw | 200 |   16.351413ms | 10.244.0.49 | PUT | /backup/alphapulse | - |`, "INFO"},
	{"backup-store-0", "versitygw", `19:22:07 | vgw | 404 |     424.929µs | 10.244.0.49 | GET | /backup/nothing | - |`, "WARN"},
	{"backup-store-0", "versitygw", `19:22:08 | vgw | 503 |     424.929µs | 10.244.0.49 | PUT | /backup/full | - |`, "ERROR"},
	{"cache-0", "redis", `1:M 28 Nov 2026 18:01:08.693 # Server initialized`, "WARN"},
	{"cache-0", "redis", `1:M 28 Nov 2026 18:01:08.693 * Ready to accept connections`, "INFO"},
	{"monitoring-prometheus-0", "prometheus", `time=2026-11-28T18:01:08.693Z level=ERROR source=main.go:1 msg="cannot"`, "ERROR"},
	{"monitoring-kube-state-metrics-6856dc94f7-wtvr2", "kube-state-metrics", `W1128 18:01:08.693 1 reflector.go:1] ended`, "WARN"},
	{"edge-667c459fd-7szgh", "nginx", `2026/11/28 18:01:08 [crit] 21#21: *12 open() failed`, "ERROR"},
	{"frontend-765c48b76d-2p4pl", "frontend", `{"time":"2026-11-28T18:01:08Z","level":"WARN","msg":"slow"}`, "WARN"},
}

// TestSeveritiesAreRead: what a real Collector with the agent's file makes of the kubelet's
// files is found in a real VictoriaLogs, by pod, container and severity.
func TestSeveritiesAreRead(t *testing.T) {
	s := keeping(t)

	const namespace = "alphapulse-dev"
	folder := t.TempDir()
	for i, l := range said {
		dir := filepath.Join(folder, fmt.Sprintf("%s_%s_11111111-2222-3333-4444-5555555555%02d", namespace, l.pod, i), l.container)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		line := fmt.Sprintf("%s stdout F %s\n", time.Now().UTC().Format(time.RFC3339Nano), l.line)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "0.log"), []byte(line), 0o600))
	}
	health := nginxtest.FreePort(t)
	file, err := config.Agent{
		Gateways: map[string]string{namespace: s.logs + "/logs/insert/opentelemetry"},
		Logs:     folder, Positions: t.TempDir(), HealthPort: health,
	}.Render()
	require.NoError(t, err)
	path, err := processes.Built("local/modules/otelcol", "otelcol-contrib", ".")
	require.NoError(t, err)
	at := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(at, []byte(file), 0o600))
	cmd := exec.Command(path, "--config="+at, config.TakenFirst)
	cmd.Env = append(os.Environ(), "NODE_NAME=node")
	processes.Start(t, cmd)

	found := map[string]string{}
	nginxtest.Eventually(t, "every line is found", func() bool {
		_, lines := s.found(t, "*")
		for _, l := range lines {
			found[l["k8s.pod.name"]+"/"+l["k8s.container.name"]+": "+l["_msg"]] = l["severity_text"]
		}
		return len(found) == len(said)
	})
	for _, l := range said {
		message := l.line
		if strings.HasPrefix(message, "{") {
			message = "slow"
		}
		assert.Equal(t, l.severity, found[l.pod+"/"+l.container+": "+message], l.line)
	}
}
