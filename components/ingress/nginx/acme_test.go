package nginx_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// TestAChallengeIsAnsweredByWhoKnowsIt: cert-manager runs a pod for each host, each of
// which knows one answer; an issuer asks by plain HTTP, before there is a certificate.
func TestAChallengeIsAnsweredByWhoKnowsIt(t *testing.T) {
	const path = "/.well-known/acme-challenge/"
	solver := func(host, token string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host != host || r.URL.Path != path+token {
				http.NotFound(w, r)
				return
			}
			_, _ = fmt.Fprint(w, "answer of ", host)
		}
	}
	first := startBackend(t, "127.0.0.2", 0, solver("api.example.test", "token-1"))
	second := startBackend(t, "127.0.0.3", first.port, solver("monitoring.example.test", "token-2"))
	third := startBackend(t, "127.0.0.4", first.port, solver("alphapulse.example.test", "token-3"))
	e := startEdge(t, func(c *nginx.Config) { c.ACMEAddress = fmt.Sprintf("solver.test:%d", first.port) }, nil)
	client := e.Client(t, "")
	get := func(url string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer of-the-application")
		r.Header.Set("Cookie", "session=of-the-application")
		response, err := client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close() //nolint:errcheck // it is read to its end
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	status, _ := get("http://api.example.test" + path + "token-1")
	assert.Equal(t, http.StatusServiceUnavailable, status, "nobody is asked for anything")

	e.dns.Set("solver.test", first.address, second.address, third.address)
	nginxtest.Eventually(t, "nginx finds the solvers", func() bool {
		status, _ := get("http://api.example.test" + path + "token-1")
		return status == http.StatusOK
	})
	for host, token := range map[string]string{"api": "token-1", "monitoring": "token-2", "alphapulse": "token-3"} {
		for range 6 { // whoever is asked first
			for _, scheme := range []string{"http://", "https://"} {
				status, body := get(scheme + host + ".example.test" + path + token)
				assert.Equal(t, http.StatusOK, status)
				assert.Equal(t, "answer of "+host+".example.test", body)
			}
		}
	}
	status, _ = get("http://dashboard.example.test" + path + "token-1")
	assert.Equal(t, http.StatusNotFound, status, "none of another host")
	for _, other := range []string{"/", path, path + "a/b", "/.well-known/acme-challenges/x", path + "..%2f..%2fapi/x"} {
		status, _ = get("http://api.example.test" + other)
		assert.Contains(t, []int{http.StatusPermanentRedirect, http.StatusBadRequest}, status, "plain HTTP %s", other)
	}
	for _, r := range first.seen() {
		assert.Empty(t, r.Header.Get("Authorization")+r.Header.Get("Cookie"), "what is meant for the application")
	}
}

// TestWithoutAnIssuerTheApplicationHasThePath.
func TestWithoutAnIssuerTheApplicationHasThePath(t *testing.T) {
	e := startEdge(t, nil, nil)
	before := len(e.api.seen())
	response, err := e.Client(t, "").Get("https://api.example.test/.well-known/acme-challenge/x")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Len(t, e.api.seen(), before+1)
}
