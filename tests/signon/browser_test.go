package signon

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// trusting asks servers whose certificates a root vouches for.
func trusting(t *testing.T, root string) *http.Transport {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(root)))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// ways are those to the provider and, for all else, to the edge.
type ways struct {
	edge, provider http.RoundTripper
	providerHost   string
}

func (w ways) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == w.providerHost {
		return w.provider.RoundTrip(r)
	}
	return w.edge.RoundTrip(r)
}

// person is somebody at a browser who has not logged in.
func (s *stack) person(t *testing.T) livetest.Person {
	t.Helper()
	at, err := url.Parse(s.provider.issuer)
	require.NoError(t, err)
	return livetest.NewPerson(t, ways{edge: s.edge.Client(t, "").Transport, provider: trusting(t, s.provider.pair.Root), providerHost: at.Host})
}

// session is the cookie of somebody who has logged in; nil for none.
func session(t *testing.T, p livetest.Person) *http.Cookie {
	t.Helper()
	return p.Cookie(t, uiURL, nginx.SessionCookie(domain, 443))
}
