package rules_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

// The names are those of the composition, which its own tests hold to the rules.
var watched = rules.Watched{
	API:               "backend",
	Engine:            "backend-engine",
	Database:          "database",
	Cache:             "cache",
	Edge:              "edge",
	DatabaseClaim:     "database",
	CacheClaim:        "cache",
	Prometheus:        "monitoring-prometheus",
	Alertmanager:      "monitoring-alertmanager",
	Grafana:           "monitoring-grafana",
	KubeStateMetrics:  "monitoring-kube-state-metrics",
	PrometheusClaim:   "monitoring-prometheus",
	AlertmanagerClaim: "monitoring-alertmanager",
}

// onDockerHost has no kube-state-metrics.
var onDockerHost = func() rules.Watched {
	w := watched
	w.KubeStateMetrics = ""
	return w
}()

// notAfter is the end of the certificate in the rules under test, in Unix seconds.
// promtool's clock starts at 0.
const notAfter = 30 * 24 * 3600

var options = rules.Options{Watched: watched, CertificateNotAfter: notAfter}

// alertNames lists each alert once, in the order of the rules.
func alertNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, g := range options.Groups() {
		for _, r := range g.Rules {
			if r.Alert != "" && !seen[r.Alert] {
				seen[r.Alert] = true
				names = append(names, r.Alert)
			}
		}
	}
	return names
}

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
