package ownbuild

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// stackName is the page's.
const stackName = "podinfo"

// stackFile is the block of the page that is a stack's file.
var stackFile = regexp.MustCompile("(?s)```yaml\n(config:\n.*?)```")

// stack is what the page's settings render.
type stack struct {
	config  map[string]string
	objects []recorder.Object
	backend *appsv1.Deployment
}

func rendered(t *testing.T) stack {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "your-own-build.md"))
	require.NoError(t, err)
	blocks := stackFile.FindAllSubmatch(page, -1)
	require.Len(t, blocks, 1, "the page has one stack file")
	s := stack{}
	s.config, err = recorder.Config(blocks[0][1])
	require.NoError(t, err)
	recording, err := recorder.Run(recorder.Options{Stack: stackName, Config: s.config})
	require.NoError(t, err)
	s.objects, err = recording.Objects()
	require.NoError(t, err)
	for _, d := range recorder.Of[*appsv1.Deployment](s.objects) {
		if d.Name == "backend" {
			s.backend = d
		}
	}
	require.NotNil(t, s.backend)
	return s
}

// file is a file of the ConfigMaps, which is in one of them.
func (s stack) file(t *testing.T, name string) string {
	t.Helper()
	var found []string
	for _, m := range recorder.Of[*corev1.ConfigMap](s.objects) {
		if text, ok := m.Data[name]; ok {
			found = append(found, text)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

// environment is what the pod's container is given, secrets included.
func (s stack) environment(t *testing.T) []string {
	t.Helper()
	var all []string
	add := func(data map[string]string) {
		for k, v := range data {
			all = append(all, k+"="+v)
		}
	}
	c := s.backend.Spec.Template.Spec.Containers[0]
	for _, from := range c.EnvFrom {
		for _, m := range recorder.Of[*corev1.ConfigMap](s.objects) {
			if from.ConfigMapRef != nil && from.ConfigMapRef.Name == m.Name {
				add(m.Data)
			}
		}
		for _, m := range recorder.Of[*corev1.Secret](s.objects) {
			if from.SecretRef != nil && from.SecretRef.Name == m.Name {
				add(m.StringData)
			}
		}
	}
	for _, e := range c.Env {
		require.Nil(t, e.ValueFrom, e.Name)
		all = append(all, e.Name+"="+e.Value)
	}
	require.Greater(t, len(all), 30)
	return all
}

// TestImageRunsByItself: nothing of the reference is in the pod of another image.
func TestImageRunsByItself(t *testing.T) {
	s := rendered(t)
	c := s.backend.Spec.Template.Spec.Containers[0]
	assert.Equal(t, s.config["backendImage"], c.Image)
	assert.Empty(t, c.Command)
	assert.Empty(t, c.Args)
	require.Len(t, c.Ports, 1)
	assert.EqualValues(t, 9898, c.Ports[0].ContainerPort)
	assert.Contains(t, podinfoSays(t, "--help"), "(default 9898)", "the image listens there by itself")
	assert.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
	assert.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
	scalers := recorder.Of[*autoscalingv2.HorizontalPodAutoscaler](s.objects)
	require.Len(t, scalers, 1)
	assert.Equal(t, "backend", scalers[0].Spec.ScaleTargetRef.Name)
}

// TestNothingEmptyIsLeft of what the build does not have: no workload, no host, no rule,
// no page of panels.
func TestNothingEmptyIsLeft(t *testing.T) {
	s := rendered(t)
	for _, w := range recorder.Workloads(s.objects) {
		assert.NotContains(t, []string{"backend-engine", "backend-dashboard"}, w.Name)
	}
	assert.NotContains(t, s.file(t, "nginx.conf"), "server_name dashboard.")
	assert.NotContains(t, s.file(t, "rules.yml"), "backend-engine")
	pages := 0
	for _, m := range recorder.Of[*corev1.ConfigMap](s.objects) {
		for name, text := range m.Data {
			if !strings.HasSuffix(name, ".json") || !strings.HasPrefix(m.Name, "monitoring-") {
				continue
			}
			pages++
			assert.NotContains(t, text, "alphapulse_engine", name)
			assert.NotEqual(t, "trading.json", name)
			var page struct {
				Panels []struct{ Type, Title string }
			}
			require.NoError(t, json.Unmarshal([]byte(text), &page), name)
			require.NotEmpty(t, page.Panels, name)
			for i, p := range page.Panels {
				if p.Type == "row" && (i+1 == len(page.Panels) || page.Panels[i+1].Type == "row") {
					t.Errorf("%s: nothing is in row %q", name, p.Title)
				}
			}
		}
	}
	assert.Equal(t, 5, pages, "pages of panels")
}

// edge runs nginx with the stack's configuration before the given podinfo, and a user
// interface that answers with its name.
func (s stack) edge(t *testing.T, podinfo netip.AddrPort) *nginxtest.Server {
	t.Helper()
	ui := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the pages") })
	return processes.Edge{
		Domain: s.config["domain"], Namespace: "alphapulse-" + stackName, Text: s.file(t, "nginx.conf"),
		Services: map[string]netip.AddrPort{"backend-pods:9898": podinfo, "frontend-pods:3000": ui},
		Named:    []string{"monitoring-grafana", "monitoring-prometheus"},
	}.Start(t)
}

// TestPodinfoIsServed through the edge, on the hosts and paths that the page names, and
// its probes answer.
func TestPodinfoIsServed(t *testing.T) {
	s := rendered(t)
	app := startPodinfo(t, s.environment(t))
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		status, _ := get(t, http.DefaultClient, "http://"+app.String()+path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	edge := s.edge(t, app)
	for _, c := range []struct {
		url    string
		status int
		says   string
	}{
		{"https://api.example.com/", 200, `"message": "deployed by a stack"`},
		{"https://api.example.com/api/info", 200, `"message": "deployed by a stack"`},
		{"https://alphapulse.example.com/api/info", 200, `"message": "deployed by a stack"`},
		{"https://alphapulse.example.com/", 200, "the pages"},
		{"https://api.example.com/status/418", 418, ""},
		{"https://api.example.com/metrics", 404, ""},
		{"https://alphapulse.example.com/api/symbols", 404, ""},
	} {
		status, body := get(t, edge.Client(t, ""), c.url)
		assert.Equal(t, c.status, status, c.url)
		assert.Contains(t, body, c.says, c.url)
	}
}
