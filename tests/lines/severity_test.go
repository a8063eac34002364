package lines

import (
	"errors"
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
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

// said are lines as programs write them, and what the agent makes of their severity: with
// "-" it does not take it, as the program sends it itself.
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
	{"edge-667c459fd-7szgh", "nginx", `stdout {"time":"2026-11-28T18:01:08Z","status":200}`, "-"},
	{"backend-5d4f9b7c8-abcde", "backend", `stdout {"time":"2026-11-28T18:01:08Z","level":"ERROR","msg":"sent by OTLP"}`, "-"},
	{"backend-5d4f9b7c8-abcde", "backend", `panic: runtime error: index out of range [3] with length 3`, "ERROR"},
	{"backend-engine-5d4f9b7c8-abcde", "engine", `stdout panic: in a line of the log`, "-"},
	{"frontend-765c48b76d-2p4pl", "frontend", `{"time":"2026-11-28T18:01:08Z","level":"WARN","msg":"slow"}`, "WARN"},
}

// TestSeveritiesAreRead: what a real Collector with the agent's file makes of the kubelet's
// files is found in a real VictoriaLogs, by pod, container and severity.
func TestSeveritiesAreRead(t *testing.T) {
	s := keeping(t)

	const namespace = "alphapulse-dev"
	folder := t.TempDir()
	taken := 0
	for _, l := range said {
		dir := filepath.Join(folder, namespace+"_"+l.pod+"_11111111-2222-3333-4444-555555555555", l.container)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		stream, line := "stderr", l.line
		if own, is := strings.CutPrefix(l.line, "stdout "); is {
			stream, line = "stdout", own
		}
		file, err := os.OpenFile(filepath.Join(dir, "0.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = fmt.Fprintf(file, "%s %s F %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream, line)
		require.NoError(t, errors.Join(err, file.Close()))
		if l.severity != "-" {
			taken++
		}
	}
	addOns, err := stacks.Parse("addons", map[string]string{"target": "addons", "logAgent": "true", "logAgentNamespaces": `["` + namespace + `"]`}, nil, stacks.Previous{})
	require.NoError(t, err)
	health := nginxtest.FreePort(t)
	file, err := config.Agent{
		Gateways: map[string]string{namespace: s.logs + "/logs/insert/opentelemetry"},
		Exclude:  addOns.AddOns.Logs.Args.Exclude,
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
		return len(found) >= taken
	})
	assert.Len(t, found, taken, "%v", found)
	for _, l := range said {
		if l.severity == "-" {
			continue
		}
		message := l.line
		if strings.HasPrefix(message, "{") {
			message = "slow"
		}
		assert.Equal(t, l.severity, found[l.pod+"/"+l.container+": "+message], l.line)
	}
}
