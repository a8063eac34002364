package signon

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// grafana runs Grafana with the variables of the stack's pod, and its files of secrets as the
// image's start reads them, and gives its address.
func (s *stack) grafana(t *testing.T) netip.AddrPort {
	t.Helper()
	dir := t.TempDir()
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
	return processes.StartGrafana(t, dir, env...)
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
