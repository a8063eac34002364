package nginx_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
)

// bucket is what a rate and a burst mean: one more is let in for each 1/rate seconds.
type bucket struct {
	rate, burst, full float64
	last              time.Time
}

func (b *bucket) admits(at time.Time) bool {
	full := 0.0
	if !b.last.IsZero() {
		full = max(0, b.full+1-b.rate*at.Sub(b.last).Seconds())
	}
	if full > b.burst {
		return false
	}
	b.full, b.last = full, at
	return true
}

// TestTheRatesAreExact within a tenth: whoever asks without a pause passes as often as the
// rate and the burst say of the times at which it asked, in every zone, and is told when
// to come back.
func TestTheRatesAreExact(t *testing.T) {
	t.Parallel()
	const rate, burst = 10, 5 // a busy machine asks more often
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.APIRate, c.Limits.APIBurst = rate, burst
		c.Limits.LoginRate, c.Limits.LoginBurst = rate, burst
		c.Limits.WebSocketRate, c.Limits.WebSocketBurst = rate, burst
	}, nil)
	var zones sync.WaitGroup
	for from, url := range map[string]string{
		"127.0.0.11": "https://api.example.test/x", "127.0.0.12": "https://alphapulse.example.test/api/x",
		"127.0.0.13": "https://monitoring.example.test/login", "127.0.0.14": "https://api.example.test/ws",
	} {
		zones.Go(func() {
			client, codes := e.Client(t, from), map[int]int{}
			said, want := bucket{rate: rate, burst: burst}, 0
			for codes[http.StatusOK] < 100 || codes[http.StatusTooManyRequests] < 50 {
				response, err := client.Get(url)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, response.Body.Close())
				codes[response.StatusCode]++
				if response.StatusCode == http.StatusTooManyRequests {
					assert.Equal(t, "1", response.Header.Get("Retry-After"), url)
				}
				if said.admits(time.Now()) {
					want++
				}
			}
			assert.Len(t, codes, 2, "%s: %v", url, codes)
			t.Logf("%s: %v, said %d", url, codes, want)
			assert.InEpsilon(t, want, codes[http.StatusOK], 0.1, "%s: %v", url, codes)
		})
	}
	zones.Wait()
}
