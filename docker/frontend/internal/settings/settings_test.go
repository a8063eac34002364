package settings

import (
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) (string, bool) {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(key string) (string, bool) { v, ok := values[key]; return v, ok }
}

func TestDefaults(t *testing.T) {
	for _, lookup := range []func(string) (string, bool){env(), env("PORT", "", "WS_PATH", "", "API_BASE_URL", "")} {
		got, err := FromEnv(lookup)
		if err != nil {
			t.Fatal(err)
		}
		want := Settings{Port: 3000, DrainTime: 2 * time.Second, ShutdownTimeout: 7 * time.Second, Runtime: Runtime{WSPath: "/ws/streaming"}}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestEverythingSet(t *testing.T) {
	got, err := FromEnv(env("PORT", "8080", "SHUTDOWN_TIMEOUT", "3s", "DRAIN_SECONDS", "0", "TLS_CERT_FILE", "/tls/tls.crt", "TLS_KEY_FILE", "/tls/tls.key", "TLS_PORT", "8443", "API_BASE_URL", "https://api.example.com/", "WS_PATH", "/ws",
		"DASHBOARD_URL", "https://dashboard.example.com:30443", "GRAFANA_URL", "http://g/grafana/", "ENVIRONMENT", "dev"))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{Port: 8080, ShutdownTimeout: 3 * time.Second, CertFile: "/tls/tls.crt", KeyFile: "/tls/tls.key", TLSPort: 8443, Runtime: Runtime{
		APIBaseURL: "https://api.example.com", WSPath: "/ws", DashboardURL: "https://dashboard.example.com:30443",
		GrafanaURL: "http://g/grafana", Environment: "dev",
	}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"PORT", "http"}, {"PORT", "0"}, {"PORT", "65536"},
		{"SHUTDOWN_TIMEOUT", "8"}, {"SHUTDOWN_TIMEOUT", "-1s"},
		{"DRAIN_SECONDS", "2s"}, {"DRAIN_SECONDS", "-1"}, {"TLS_CERT_FILE", "/tls.crt"}, {"TLS_KEY_FILE", "/tls.key"}, {"TLS_PORT", "8443"}, {"TLS_PORT", "x"},
		{"WS_PATH", "ws"}, {"WS_PATH", "//evil.example/ws"}, {"WS_PATH", "/ws?a=b"},
		{"API_BASE_URL", "api.example.com"}, {"API_BASE_URL", "https://a.example/; script-src *"}, {"API_BASE_URL", "https://user:password@a.example"},
		{"DASHBOARD_URL", "javascript:alert(1)"}, {"GRAFANA_URL", "https://"}, {"GRAFANA_URL", "ftp://grafana.example.com"},
	} {
		_, err := FromEnv(env(c.key, c.value))
		if err == nil || !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), c.value) {
			t.Errorf("%s=%s: got %v, want an error that names both", c.key, c.value, err)
		}
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	_, err := FromEnv(env("PORT", "http", "WS_PATH", "ws", "TLS_KEY_FILE", "/tls.key", "GRAFANA_URL", "grafana"))
	for _, key := range []string{"PORT", "WS_PATH", "TLS_KEY_FILE", "GRAFANA_URL"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}
