package signon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/livetest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

const grafanaModule = "local/modules/grafana"

var grafanaPath = sync.OnceValues(func() (string, error) {
	return processes.Built(grafanaModule, "grafana-server", "github.com/grafana/grafana/pkg/cmd/grafana-server")
})

// grafanaHome is the folder of Grafana's own files: those of its module, and the stand-in for
// its pages.
func grafanaHome(t *testing.T) string {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/grafana/grafana")
	cmd.Dir = filepath.Join(root, grafanaModule)
	module, err := cmd.Output()
	require.NoError(t, err)
	home := t.TempDir()
	for _, dir := range []string{"conf", "public/emails"} {
		require.NoError(t, os.MkdirAll(filepath.Join(home, filepath.Dir(dir)), 0o755))
		require.NoError(t, os.CopyFS(filepath.Join(home, dir), os.DirFS(filepath.Join(strings.TrimSpace(string(module)), dir))))
	}
	views := filepath.Join(home, "public", "views")
	require.NoError(t, os.MkdirAll(views, 0o755))
	for _, page := range []string{"index", "error"} {
		text, err := os.ReadFile(filepath.Join(root, "local", "internal", "images", "files", "grafana-"+page+".html"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(views, page+".html"), text, 0o644))
	}
	return home
}

// grafana runs Grafana with the variables of the stack's pod, and its files of secrets as the
// image's start reads them, and gives its address.
func (s *stack) grafana(t *testing.T) netip.AddrPort {
	t.Helper()
	path, err := grafanaPath()
	require.NoError(t, err)
	dir := t.TempDir()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(nginxtest.FreePort(t)))
	var container *corev1.Container
	for _, set := range recorder.Of[*appsv1.StatefulSet](s.objects) {
		if set.Name == "monitoring-grafana" {
			container = &set.Spec.Template.Spec.Containers[0]
		}
	}
	for _, d := range recorder.Of[*appsv1.Deployment](s.objects) {
		if d.Name == "monitoring-grafana" {
			container = &d.Spec.Template.Spec.Containers[0]
		}
	}
	require.NotNil(t, container)
	secret := map[string]string{
		"client-secret": s.file(t, "monitoring-grafana-signon", "client-secret"), "password": s.file(t, "monitoring-grafana-admin", "password"),
	}
	var env []string
	for _, e := range container.Env {
		name, value := e.Name, e.Value
		if of, file := strings.CutSuffix(name, "__FILE"); file {
			name, value = of, secret[filepath.Base(value)]
			require.NotEmpty(t, value, e.Name)
		}
		if strings.HasSuffix(name, "TLS_CLIENT_CA") {
			value = filepath.Join(dir, "ca.crt")
			require.NoError(t, os.WriteFile(value, []byte(s.file(t, "monitoring-grafana-signon", "ca.crt")), 0o600))
		}
		env = append(env, name+"="+value)
	}
	cmd := exec.Command(path, "--homepath="+grafanaHome(t), "--packaging=docker",
		"cfg:default.paths.data="+dir, "cfg:default.paths.logs="+dir, "cfg:default.paths.plugins="+dir, "cfg:default.paths.provisioning="+dir)
	cmd.Env = append(os.Environ(), append(env, "GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT="+strconv.Itoa(int(at.Port())),
		"GF_PATHS_DATA="+dir, "GF_PATHS_PROVISIONING="+dir)...)
	processes.Start(t, cmd)
	nginxtest.Eventually(t, "Grafana is ready", func() bool {
		r, err := http.Get(fmt.Sprintf("http://%s/api/health", at))
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return at
}

// TestGrafanaKnowsTheSameProvider: who has passed the edge logs in to Grafana there as well,
// as somebody who may look. That is what Grafana 6.1, the newest that can be built here, does
// of it: groups and roles by claims are of later ones.
func TestGrafanaKnowsTheSameProvider(t *testing.T) {
	s := &stack{withGrafana: true}
	s.start(t, nil, ada, user{"bob@example.com", nil})
	p := s.person(t)
	got := p.Ask(t, monitoringURL+"/api/user")
	assert.Equal(t, http.StatusUnauthorized, got.Status, "the edge does not know him")
	p.Login(t, uiURL+"/", ada.email, livetest.UsersPassword)
	got = p.Ask(t, monitoringURL+"/api/user")
	assert.Equal(t, http.StatusUnauthorized, got.Status, "the edge's login is none to Grafana: %s", got.Body)

	got = p.Login(t, monitoringURL+"/login/generic_oauth", ada.email, livetest.UsersPassword)
	assert.Equal(t, http.StatusOK, got.Status, got.Body)
	assert.Equal(t, monitoringURL+"/", got.At.String())
	var known struct {
		Email          string
		IsGrafanaAdmin bool
	}
	var orgs []struct{ Role string }
	require.NoError(t, json.Unmarshal([]byte(p.Ask(t, monitoringURL+"/api/user").Body), &known))
	require.NoError(t, json.Unmarshal([]byte(p.Ask(t, monitoringURL+"/api/user/orgs").Body), &orgs))
	assert.Equal(t, ada.email, known.Email)
	assert.False(t, known.IsGrafanaAdmin)
	require.Len(t, orgs, 1)
	assert.Equal(t, "Viewer", orgs[0].Role)
	assert.Equal(t, http.StatusForbidden, p.Ask(t, monitoringURL+"/api/datasources").Status, "who may look changes nothing")
}
