package nginx_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// try sends one request with a user name and password.
func try(t *testing.T, client *http.Client, method, url, password string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	require.NoError(t, err)
	if password != "" {
		r.SetBasicAuth(nginx.PasswordUser, password)
	}
	code, header, _ := do(t, client, r)
	return code, header
}

// Every way to try a password, in every spelling that a service takes for it.
func TestEveryWayToTryAPasswordIsLimited(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.LoginRate, c.Limits.LoginBurst = 1, 2
		c.Limits.ExemptCIDRs = []string{"127.0.0.8/32"}
	}, nil)
	const n = 20
	next := 10
	for _, way := range []struct {
		url   string
		basic bool
	}{
		{"https://api.example.test/api/login", false},
		{"https://api.example.test/api/login/", false},
		{"https://api.example.test/api//login", false},
		{"https://api.example.test//api/login", false},
		{"https://api.example.test/api/./login", false},
		{"https://api.example.test/api/x/../login", false},
		{"https://api.example.test/API/Login", false},
		{"https://api.example.test/api/lo%67in", false},
		{"https://api.example.test/api%2Flogin", false},
		{"https://api.example.test/api/login;v=1", false},
		{"https://api.example.test/api/login.json", false},
		{"https://api.example.test/api/login/token", false},
		{"https://api.example.test/api/login?next=/", false},
		{"https://alphapulse.example.test/api/login/", false},
		{"https://monitoring.example.test/login", false},
		{"https://monitoring.example.test/login/", false},
		{"https://monitoring.example.test//login", false},
		{"https://monitoring.example.test/LOGIN", false},
		{"https://monitoring.example.test/api/login/ping", false},
		{"https://monitoring.example.test/api/user/password/reset", false},
		{"https://monitoring.example.test/user/password/send-reset-email", false},
		{"https://monitoring.example.test/prometheus/api/v1/query", true},
		{"https://monitoring.example.test/prometheus/", true},
		{"https://api.example.test/api/signals", true},
		{"https://api.example.test/ws", true},
		{"https://alphapulse.example.test/", true},
		{"https://alphapulse.example.test/api/signals", true},
		{"https://alphapulse.example.test/ws/streaming", true},
		{"https://dashboard.example.test/", true},
		{"https://dashboard.example.test/ws", true},
	} {
		t.Run(fmt.Sprintf("%s basic %v", way.url, way.basic), func(t *testing.T) {
			next++
			client := e.Client(t, fmt.Sprintf("127.0.1.%d", next))
			password := ""
			if way.basic {
				password = "a wrong one"
			}
			limited := 0
			for range n {
				code, header := try(t, client, http.MethodPost, way.url, password)
				if code == http.StatusTooManyRequests {
					limited++
					assert.Equal(t, "1", header.Get("Retry-After"))
				}
			}
			assert.GreaterOrEqual(t, n-limited, 3, "the first and the burst")
			assert.Greater(t, limited, n/2)
			if way.basic {
				code, _ := try(t, client, http.MethodGet, way.url, "")
				assert.NotEqual(t, http.StatusTooManyRequests, code, "without a password it is no try")
			}
		})
	}
	for _, url := range []string{"https://api.example.test/api/loginfo", "https://api.example.test/api/other/login", "https://monitoring.example.test/logins", "https://monitoring.example.test/api/user"} {
		assert.Equal(t, map[int]int{http.StatusOK: n}, burst(t, e.Client(t, ""), url, n), url)
	}
}

// Grafana takes a user name and password with any request. It is given the session of
// its login, or a token, and no password.
func TestGrafanaIsGivenNoPassword(t *testing.T) {
	e := startEdge(t, nil, nil)
	for given, want := range map[string]string{
		"Basic YWRtaW46YWRtaW4=": "", "basic YWRtaW46YWRtaW4=": "", "BASIC  x": "",
		"Bearer glsa_token": "Bearer glsa_token", "": "",
	} {
		for _, path := range []string{"/api/org", "/api/live/ws", "/"} {
			r, err := http.NewRequest(http.MethodGet, "https://monitoring.example.test"+path, nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", given)
			r.Header.Set("Cookie", "grafana_session=x")
			before := len(e.grafana.seen())
			code, _, _ := do(t, e.Client(t, ""), r)
			require.Equal(t, http.StatusOK, code)
			got := e.grafana.seen()[before].Header
			assert.Equal(t, want, got.Get("Authorization"), "%s %s", given, path)
			assert.Equal(t, "grafana_session=x", got.Get("Cookie"))
			assert.Equal(t, "https", got.Get("X-Forwarded-Proto"))
		}
	}
}

// Whoever has given Prometheus' password once can work with it; who has not, or has a
// cookie of another start, is held to the limit.
func TestWhoHasPassedIsNotHeldToTheLoginLimit(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 1, 2 }, nil)
	const page, n = "https://monitoring.example.test/prometheus/graph", 30
	passed := func(from string, cookies []*http.Cookie, password string) (ok int, set []*http.Cookie) {
		client := e.Client(t, from)
		for range n {
			r, err := http.NewRequest(http.MethodGet, page, nil)
			require.NoError(t, err)
			r.SetBasicAuth(nginx.PasswordUser, password)
			for _, c := range cookies {
				r.AddCookie(c)
			}
			response, err := client.Do(r)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			if response.StatusCode == http.StatusOK {
				ok, set = ok+1, response.Cookies()
			} else {
				assert.Empty(t, response.Cookies())
			}
		}
		return ok, set
	}
	ok, cookies := passed("", nil, nginxtest.Password)
	assert.Less(t, ok, n/2, "no cookie was sent back")
	require.Len(t, cookies, 1)
	c := cookies[0]
	assert.True(t, c.Secure)
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.Equal(t, "/prometheus/", c.Path)
	assert.Equal(t, 3600, c.MaxAge)

	ok, _ = passed("127.0.0.21", cookies, nginxtest.Password)
	assert.Equal(t, n, ok)
	ok, _ = passed("127.0.0.22", cookies, "wrong")
	assert.Zero(t, ok, "the cookie opens nothing")
	ok, _ = passed("127.0.0.23", []*http.Cookie{{Name: c.Name, Value: "00000000-0000-0000-0000-000000000000"}}, nginxtest.Password)
	assert.Less(t, ok, n/2)

	// Nobody else sets it.
	for _, url := range []string{"https://api.example.test/x", "https://alphapulse.example.test/", "https://monitoring.example.test/"} {
		_, header := try(t, e.Client(t, "127.0.0.24"), http.MethodGet, url, nginxtest.Password)
		assert.Empty(t, header.Values("Set-Cookie"), url)
	}
}

// As a browser would that opens any public URL, with and without the slash.
func TestRedirectsKeepThePublicHostAndPort(t *testing.T) {
	api := func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	for port, suffix := range map[int]string{443: "", 30443: ":30443"} {
		e := startEdge(t, func(c *nginx.Config) { c.PublicHTTPSPort = port }, api)
		client := e.Client(t, "")
		follow := func(from string) *url.URL {
			t.Helper()
			at, err := url.Parse(from)
			require.NoError(t, err)
			r, err := http.NewRequest(http.MethodGet, from, nil)
			require.NoError(t, err)
			// The client dials the edge whatever the port is.
			r.URL.Host, r.Host = at.Hostname(), at.Host
			_, header, _ := do(t, client, r)
			if header.Get("Location") == "" {
				return at
			}
			to, err := at.Parse(header.Get("Location"))
			require.NoError(t, err)
			return to
		}
		for from, want := range map[string]string{
			"http://monitoring.example.test/prometheus":                                       "https://monitoring.example.test" + suffix + "/prometheus",
			"http://api.example.test//stranger.test/":                                         "https://api.example.test" + suffix + "//stranger.test/",
			"https://monitoring.example.test" + suffix + "/prometheus":                        "https://monitoring.example.test" + suffix + "/prometheus/",
			"https://api.example.test" + suffix + "/?to=/next":                                "https://api.example.test" + suffix + "/next",
			"https://api.example.test" + suffix + "/?to=http://api.example.test/a%3Fb":        "https://api.example.test" + suffix + "/a?b",
			"https://api.example.test" + suffix + "/?to=http://api.example.test:8000/a":       "https://api.example.test" + suffix + "/a",
			"https://api.example.test" + suffix + "/?to=https://api.example.test:8443":        "https://api.example.test" + suffix,
			"https://api.example.test" + suffix + "/?to=https://api.example.test.evil.test/a": "https://api.example.test.evil.test/a",
			"https://api.example.test" + suffix + "/?to=https://login.provider.test/a":        "https://login.provider.test/a",
		} {
			assert.Equal(t, want, follow(from).String(), from)
		}
	}
}
