package nginx_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// policies are the headers that an application may set itself, with the edge's own.
var policies = map[string]string{
	"Content-Security-Policy":      "frame-ancestors 'self'",
	"Referrer-Policy":              "strict-origin-when-cross-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-site",
}

// insisted are those that the edge alone decides.
var insisted = map[string]string{
	"X-Content-Type-Options":    "nosniff",
	"Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}

func TestEveryHostHasSecurityHeaders(t *testing.T) {
	e := startEdge(t, nil, nil)
	client := e.Client(t, "")
	for url, want := range map[string]int{
		"https://alphapulse.example.test/":      http.StatusOK,
		"https://alphapulse.example.test/api/x": http.StatusOK,
		"https://api.example.test/":             http.StatusOK,
		"https://dashboard.example.test/":       http.StatusOK,
		"https://monitoring.example.test/":      http.StatusOK,
		"https://api.example.test/metrics":      http.StatusNotFound, // the edge's own answer
	} {
		code, header, _ := get(t, client, url)
		require.Equal(t, want, code, url)
		for _, set := range []map[string]string{policies, insisted} {
			for name, value := range set {
				assert.Equal(t, []string{value}, header.Values(name), "%s: %s", url, name)
			}
		}
		assert.Equal(t, []string{"nginx"}, header.Values("Server"), "without a version")
	}
}

func TestAnApplicationsOwnPoliciesStay(t *testing.T) {
	e := startEdge(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		for name := range policies {
			w.Header().Set(name, "its own")
		}
		w.Header().Add("Content-Security-Policy", "default-src 'none'") // a second one narrows the first
		w.Header().Set("Content-Security-Policy-Report-Only", "default-src 'self'")
		for name := range insisted {
			w.Header().Set(name, "weaker")
		}
		w.Header().Set("X-Powered-By", "something 1.2.3")
	})
	_, header, _ := get(t, e.Client(t, ""), "https://api.example.test/")
	for name := range policies {
		want := []string{"its own"}
		if name == "Content-Security-Policy" {
			want = append(want, "default-src 'none'")
		}
		assert.Equal(t, want, header.Values(name), name)
	}
	assert.Equal(t, []string{"default-src 'self'"}, header.Values("Content-Security-Policy-Report-Only"))
	for name, value := range insisted {
		assert.Equal(t, []string{value}, header.Values(name), name)
	}
	assert.Empty(t, header.Values("X-Powered-By"))
}

func TestHSTSIsASetting(t *testing.T) {
	for want, change := range map[string]func(*nginx.Config){
		"":             func(c *nginx.Config) { c.HSTSSeconds, c.HSTSPreload = 0, false },
		"max-age=3600": func(c *nginx.Config) { c.HSTSSeconds, c.HSTSPreload = 3600, false },
	} {
		e := startEdge(t, change, nil)
		_, header, _ := get(t, e.Client(t, ""), "https://api.example.test/")
		assert.Equal(t, want, header.Get("Strict-Transport-Security"))
		_, header, _ = get(t, e.Client(t, ""), "http://api.example.test/")
		assert.Empty(t, header.Get("Strict-Transport-Security"), "browsers ignore it on plain HTTP")
	}
}

// A cookie that an application forgot to bind to HTTPS is bound; what it says beyond
// that is kept.
func TestCookiesAreBoundToHTTPS(t *testing.T) {
	given := []string{
		"a=1; Path=/", "b=2; Path=/x; HttpOnly; SameSite=Strict", "c=3; Secure; SameSite=None; Max-Age=5",
	}
	e := startEdge(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		for _, c := range given {
			w.Header().Add("Set-Cookie", c)
		}
	})
	response, err := e.Client(t, "").Get("https://api.example.test/")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	cookies := response.Cookies()
	require.Len(t, cookies, 3)
	for _, c := range cookies {
		assert.True(t, c.Secure, c.Name)
	}
	assert.Equal(t, "/x", cookies[1].Path)
	assert.True(t, cookies[1].HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, cookies[1].SameSite)
	assert.Equal(t, http.SameSiteNoneMode, cookies[2].SameSite)
	assert.Equal(t, 5, cookies[2].MaxAge)
	assert.False(t, cookies[0].HttpOnly, "scripts may have to read it")
}
