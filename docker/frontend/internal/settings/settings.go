// Package settings reads what the frontend is told by its environment.
package settings

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Settings is the configuration of one frontend process.
type Settings struct {
	// Port is the TCP port to listen on (PORT, default 3000).
	Port int
	// ShutdownTimeout bounds how long running requests may take after SIGTERM
	// (SHUTDOWN_TIMEOUT, a Go duration, default 8s: less than the 10 s after which
	// Docker kills).
	ShutdownTimeout time.Duration
	// Runtime is handed to the browser.
	Runtime Runtime
}

// Runtime is what the user interface reads from /config.json when it starts, so
// that one image serves every environment.
type Runtime struct {
	// APIBaseURL is where /api and the WebSocket are, without a trailing slash
	// (API_BASE_URL). Empty, the default, means the page's own origin.
	APIBaseURL string `json:"apiBaseUrl"`
	// WSPath is the path of the price stream (WS_PATH, default /ws/streaming).
	WSPath string `json:"wsPath"`
	// DashboardURL is the real-time dashboard (DASHBOARD_URL). Empty hides the link.
	DashboardURL string `json:"dashboardUrl"`
	// GrafanaURL is Grafana (GRAFANA_URL). Empty hides the link.
	GrafanaURL string `json:"grafanaUrl"`
	// Environment is the name shown beside the product's (ENVIRONMENT). Empty shows none.
	Environment string `json:"environment"`
}

// FromEnv reads the settings through lookup, which is os.LookupEnv outside of
// tests. The error names the variable, its value and what would be right.
func FromEnv(lookup func(string) (string, bool)) (Settings, error) {
	get := func(key, fallback string) string {
		if v, ok := lookup(key); ok && v != "" {
			return v
		}
		return fallback
	}

	s := Settings{Runtime: Runtime{Environment: get("ENVIRONMENT", "")}}
	var err error
	if s.Port, err = port("PORT", get("PORT", "3000")); err != nil {
		return Settings{}, err
	}
	if s.ShutdownTimeout, err = duration("SHUTDOWN_TIMEOUT", get("SHUTDOWN_TIMEOUT", "8s")); err != nil {
		return Settings{}, err
	}
	if s.Runtime.WSPath, err = path("WS_PATH", get("WS_PATH", "/ws/streaming")); err != nil {
		return Settings{}, err
	}
	for key, into := range map[string]*string{
		"API_BASE_URL":  &s.Runtime.APIBaseURL,
		"DASHBOARD_URL": &s.Runtime.DashboardURL,
		"GRAFANA_URL":   &s.Runtime.GrafanaURL,
	} {
		if *into, err = link(key, get(key, "")); err != nil {
			return Settings{}, err
		}
	}
	return s, nil
}

func port(key, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%s=%q is not a TCP port: give a number from 1 to 65535", key, value)
	}
	return n, nil
}

func duration(key, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s=%q is not a positive duration: give one such as 8s", key, value)
	}
	return d, nil
}

func path(key, value string) (string, error) {
	if !strings.HasPrefix(value, "/") || strings.HasPrefix(value, "//") || strings.ContainsAny(value, "?# ") {
		return "", fmt.Errorf("%s=%q is not a path: give one that begins with a single /, such as /ws/streaming", key, value)
	}
	return value, nil
}

// link accepts absolute web addresses only: they become links on the page and,
// for the API, a source in the Content-Security-Policy.
func link(key, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(value, " ;,'\"") {
		return "", fmt.Errorf("%s=%q is not a web address: give one such as https://api.example.com, without credentials or query, or leave it empty", key, value)
	}
	return strings.TrimRight(value, "/"), nil
}
