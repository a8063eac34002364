package nginx_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// answer is a small one of an API.
var answer = []byte(`{"symbol":"BTCUSDT","signal":"hold","confidence":0.42,"price":"64123.10","at":"2026-01-01T00:00:00Z"}`)

// startBench runs an edge without limits in front of a server that answers after a while.
func startBench(b *testing.B, after time.Duration) (s *nginxtest.Server, direct string) {
	b.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(after)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	b.Cleanup(upstream.Close)
	dns := nginxtest.StartDNS(b)
	dns.Set("api.test", "127.0.0.1")
	c := full()
	c.Resolver = dns.Address
	c.Limits.ExemptCIDRs = []string{"127.0.0.0/8"}
	_, port, err := net.SplitHostPort(upstream.Listener.Addr().String())
	require.NoError(b, err)
	c.Upstreams.API.Address = "api.test:" + port
	s = nginxtest.Start(b, c)
	nginxtest.Eventually(b, "the API is found", func() bool {
		response, err := s.Client(b, "").Get("https://api.example.test/x")
		if err != nil {
			return false
		}
		defer response.Body.Close() //nolint:errcheck // nothing is read
		return response.StatusCode == http.StatusOK
	})
	return s, upstream.URL + "/x"
}

// taken is how long n requests take over so many connections, which are open already.
func taken(b *testing.B, client *http.Client, url string, connections, n int) time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var failure atomic.Value
	var all sync.WaitGroup
	start := time.Now()
	for range connections {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				response, err := client.Get(url)
				if err != nil {
					failure.Store(err.Error())
					continue
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					failure.Store(fmt.Sprint(response.Status, " ", err))
				}
				_ = response.Body.Close()
			}
		})
	}
	all.Wait()
	require.Nil(b, failure.Load(), "no request fails")
	return time.Since(start)
}

// cpu is what nginx' processes have used so far.
func cpu(b *testing.B, s *nginxtest.Server) time.Duration {
	b.Helper()
	var ticks int
	for _, pid := range append(s.Workers(b), strconv.Itoa(s.PID())) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		require.NoError(b, err)
		// The program's name may have blanks: what follows it counts. utime, stime.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			require.NoError(b, err)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on every Linux
}

// BenchmarkThroughput compares requests through the edge (TLS, keep-alive) with ones
// straight to the server behind it (plain, keep-alive), in turns, since the machine has
// other work, too. One server answers at once; the other waits a millisecond, as for a
// database. Client, nginx and server share the processors: once these are used up, the
// ratio is that of the work, which for a server that does nothing is the edge's.
func BenchmarkThroughput(b *testing.B) {
	for _, after := range []time.Duration{0, time.Millisecond} {
		for _, connections := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("after=%s/connections=%d", after, connections), func(b *testing.B) { throughput(b, after, connections) })
		}
	}
}

func throughput(b *testing.B, after time.Duration, connections int) {
	s, direct := startBench(b, after)
	through, straight := s.Client(b, ""), &http.Client{Transport: &http.Transport{}}
	for _, c := range []*http.Client{through, straight} {
		transport := c.Transport.(*http.Transport)
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, connections
		transport.ForceAttemptHTTP2 = false
		b.Cleanup(transport.CloseIdleConnections)
	}
	const url = "https://api.example.test/x"
	n := max(2000, 4*connections)
	_ = taken(b, through, url, connections, n)
	_ = taken(b, straight, direct, connections, n)
	var edge, without time.Duration
	used, rounds := cpu(b, s), 0
	for b.Loop() {
		edge += taken(b, through, url, connections, n)
		without += taken(b, straight, direct, connections, n)
		rounds++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(without.Seconds()/edge.Seconds(), "edge/direct")
	b.ReportMetric(float64((cpu(b, s)-used).Microseconds())/float64(rounds*n), "edge-cpu-µs/request")
}

// BenchmarkHandshakes is what a new connection costs the edge, in full and resumed.
func BenchmarkHandshakes(b *testing.B) {
	for _, resumed := range []bool{false, true} {
		b.Run(fmt.Sprintf("resumed=%v", resumed), func(b *testing.B) {
			s, _ := startBench(b, 0)
			config := s.Client(b, "").Transport.(*http.Transport).TLSClientConfig.Clone()
			config.ServerName = "api.example.test"
			if resumed {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			address := fmt.Sprintf("127.0.0.1:%d", s.Config.HTTPSPort)
			used, n := cpu(b, s), 0
			for b.Loop() {
				conn, err := tls.Dial("tcp", address, config)
				require.NoError(b, err)
				// A ticket comes with the first answer.
				_, err = io.WriteString(conn, "GET "+nginx.HealthPath+" HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
				require.NoError(b, err)
				_, _ = io.Copy(io.Discard, conn)
				require.Equal(b, resumed && n > 0, conn.ConnectionState().DidResume)
				_ = conn.Close()
				n++
			}
			b.ReportMetric(float64((cpu(b, s)-used).Microseconds())/float64(n), "edge-cpu-µs/handshake")
		})
	}
}
