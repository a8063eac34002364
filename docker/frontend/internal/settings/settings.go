// Package settings reads what the frontend is told by its environment.
package settings

import (
	"errors"
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
	// DrainTime is how long requests are still taken after SIGTERM, each answered with
	// the request to close its connection, so that none meets a closed one
	// (DRAIN_SECONDS, default 2).
	DrainTime time.Duration
	// ShutdownTimeout bounds how long requests that run after that may take
	// (SHUTDOWN_TIMEOUT, a Go duration, default 7s: with DrainTime less than the 10 s
	// after which Docker kills).
	ShutdownTimeout time.Duration
	// CertFile and KeyFile are PEM files of a certificate with its chain and of its key;
	// with them the server speaks TLS and nothing else (TLS_CERT_FILE and TLS_KEY_FILE,
	// both or none). They may change at any time.
	CertFile, KeyFile string
	// TLSPort speaks TLS while Port does not (TLS_PORT, default 0: none, and Port does).
	TLSPort int
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
// tests. The error tells all that is wrong, each with the variable, its value and what
// would be right.
func FromEnv(lookup func(string) (string, bool)) (Settings, error) {
	get := func(key, fallback string) string {
		if v, ok := lookup(key); ok && v != "" {
			return v
		}
		return fallback
	}

	s := Settings{
		CertFile: get("TLS_CERT_FILE", ""), KeyFile: get("TLS_KEY_FILE", ""),
		Runtime: Runtime{Environment: get("ENVIRONMENT", "")},
	}
	var problems []error
	check := func(err error) { problems = append(problems, err) }
	var err error
	s.Port, err = port("PORT", get("PORT", "3000"))
	check(err)
	if value := get("TLS_PORT", "0"); value != "0" {
		s.TLSPort, err = port("TLS_PORT", value)
		check(err)
	}
	s.DrainTime, err = seconds("DRAIN_SECONDS", get("DRAIN_SECONDS", "2"))
	check(err)
	s.ShutdownTimeout, err = duration("SHUTDOWN_TIMEOUT", get("SHUTDOWN_TIMEOUT", "7s"))
	check(err)
	s.Runtime.WSPath, err = path("WS_PATH", get("WS_PATH", "/ws/streaming"))
	check(err)
	for _, l := range []struct {
		key  string
		into *string
	}{
		{"API_BASE_URL", &s.Runtime.APIBaseURL}, {"DASHBOARD_URL", &s.Runtime.DashboardURL}, {"GRAFANA_URL", &s.Runtime.GrafanaURL},
	} {
		*l.into, err = link(l.key, get(l.key, ""))
		check(err)
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		check(fmt.Errorf("TLS_CERT_FILE=%q and TLS_KEY_FILE=%q: give both to serve TLS, or none", s.CertFile, s.KeyFile))
	}
	if s.TLSPort != 0 && s.CertFile == "" {
		check(fmt.Errorf("TLS_PORT=%d is given without TLS_CERT_FILE and TLS_KEY_FILE: give a certificate, or no port", s.TLSPort))
	}
	if err := errors.Join(problems...); err != nil {
		return Settings{}, err
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

func seconds(key, value string) (time.Duration, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 300 {
		return 0, fmt.Errorf("%s=%q is not a number of seconds: give one from 0 to 300", key, value)
	}
	return time.Duration(n) * time.Second, nil
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
