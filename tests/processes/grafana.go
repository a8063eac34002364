package processes

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

const grafanaModule = "local/modules/grafana"

var grafanaPath = sync.OnceValues(func() (string, error) {
	return Built(grafanaModule, "grafana-server", "github.com/grafana/grafana/pkg/cmd/grafana-server")
})

// standIns are the files of the local cluster's image of Grafana by their names there.
var standIns = map[string]string{
	"public/views/index.html":                              "grafana-index.html",
	"public/views/error.html":                              "grafana-error.html",
	"public/app/plugins/datasource/prometheus/plugin.json": "grafana-prometheus.json",
	"public/app/plugins/datasource/jaeger/plugin.json":     "grafana-jaeger.json",
	"plugins/victoriametrics-logs-datasource/plugin.json":  "grafana-victorialogs.json",
}

// StartGrafana runs the stand-in for Grafana of the local cluster with variables, and gives
// its address. What it keeps is in dir, and its provisioning files are below it.
func StartGrafana(t testing.TB, dir string, env ...string) netip.AddrPort {
	t.Helper()
	path, err := grafanaPath()
	if err != nil {
		t.Fatal(err)
	}
	home, err := grafanaHome(t)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(nginxtest.FreePort(t)))
	cmd := exec.Command(path, "--homepath="+home, "--packaging=docker", "cfg:default.paths.data="+dir, "cfg:default.paths.logs="+dir,
		"cfg:default.paths.provisioning="+dir)
	cmd.Env = append(os.Environ(), append(env, "GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT="+itoa(int(at.Port())),
		"GF_PATHS_DATA="+dir, "GF_PATHS_PROVISIONING="+dir, "GF_PATHS_PLUGINS="+filepath.Join(home, "plugins"))...)
	Start(t, cmd)
	Answers(t, "Grafana is ready", fmt.Sprintf("http://%s/api/health", at))
	return at
}

// grafanaHome is the folder of Grafana's own files: those of its module, and the stand-ins.
func grafanaHome(t testing.TB) (string, error) {
	root, err := recorder.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/grafana/grafana")
	cmd.Dir = filepath.Join(root, grafanaModule)
	module, err := cmd.Output()
	if err != nil {
		return "", err
	}
	home := t.TempDir()
	for _, dir := range []string{"conf", "public/emails"} {
		if err := os.CopyFS(filepath.Join(home, dir), os.DirFS(filepath.Join(strings.TrimSpace(string(module)), dir))); err != nil {
			return "", err
		}
	}
	for to, from := range standIns {
		text, err := os.ReadFile(filepath.Join(root, "local", "internal", "images", "files", from))
		if err != nil {
			return "", err
		}
		to = filepath.Join(home, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return "", err
		}
	}
	return home, nil
}
