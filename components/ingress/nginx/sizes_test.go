package nginx_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// Sizes that are met: identity providers split a session over cookies of 4 kB, carry
// signed requests in a URL, and set the same cookies again with each answer.
func TestHeadersOfTheFieldAreTaken(t *testing.T) {
	e := startEdge(t, nil, func(w http.ResponseWriter, r *http.Request) {
		for i := range 7 {
			if strings.HasPrefix(r.URL.Path, "/login") {
				w.Header().Add("Set-Cookie", fmt.Sprintf("session%d=%s; Path=/; HttpOnly", i, strings.Repeat("x", 4200)))
			}
		}
	})
	for _, protocol := range []bool{false, true} {
		client := e.Client(t, "")
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = protocol
		for _, host := range []string{"api.example.test", "alphapulse.example.test/api"} {
			r, err := http.NewRequest(http.MethodGet, "https://"+host+"/login?SAMLRequest="+strings.Repeat("s", 12_000), nil)
			require.NoError(t, err)
			for i := range 3 {
				r.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("h", 8_000))
			}
			r.Header.Set("Cookie", "session="+strings.Repeat("c", 15_000))
			code, _, _ := do(t, client, r)
			require.Equal(t, http.StatusOK, code, host)
		}
		code, header, _ := get(t, client, "https://api.example.test/login")
		require.Equal(t, http.StatusOK, code)
		assert.Len(t, header.Values("Set-Cookie"), 7)
	}
}

func TestLargerHeadersAreRefused(t *testing.T) {
	e := startEdge(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Header().Set("X-Large", strings.Repeat("x", 33<<10))
		}
	})
	client := e.Client(t, "")
	before := len(e.api.seen())
	for _, url := range []string{"https://api.example.test/x", "https://alphapulse.example.test/x", "https://alphapulse.example.test/api/x"} {
		for name, r := range large(t, url) {
			code, _, _ := do(t, client, r)
			assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, code, "%s: %s", url, name)
		}
	}
	code, _, _ := get(t, client, "https://api.example.test/?"+strings.Repeat("q", 17<<10))
	assert.Equal(t, http.StatusRequestURITooLong, code)

	// By HTTP/2 the connection ends: what follows a header can't be read without it.
	for name, r := range large(t, "https://api.example.test/x") {
		client := e.Client(t, "")
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		_, err := client.Do(r)
		assert.ErrorContains(t, err, "ENHANCE_YOUR_CALM", name)
	}
	assert.Len(t, e.api.seen(), before, "the service is spared")
	code, _, _ = get(t, client, "https://api.example.test/large")
	assert.Equal(t, http.StatusBadGateway, code)
}

// large gives requests whose headers are beyond the bounds, in letters that HTTP/2
// cannot make smaller.
func large(t *testing.T, url string) map[string]*http.Request {
	t.Helper()
	line, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	line.Header.Set("Cookie", strings.Repeat("{", 17<<10))
	all := line.Clone(t.Context())
	all.Header.Del("Cookie")
	for i := range 8 {
		all.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("{", 10<<10))
	}
	return map[string]*http.Request{"one line": line, "all together": all}
}

func TestTheBoundsAreSettings(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.HeaderKilobytes, c.ResponseHeaderKilobytes = 4, 8 }, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Header().Set("X-Large", strings.Repeat("x", 9<<10))
		}
	})
	r, err := http.NewRequest(http.MethodGet, "https://api.example.test/x", nil)
	require.NoError(t, err)
	r.Header.Set("Cookie", strings.Repeat("c", 5<<10))
	code, _, _ := do(t, e.Client(t, ""), r)
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, code)
	code, _, _ = get(t, e.Client(t, ""), "https://api.example.test/large")
	assert.Equal(t, http.StatusBadGateway, code)
}
