package nginx_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// samples collects lines of StatsD from datagrams until as many requests are counted as
// wanted, and gives them by their name.
func samples(t *testing.T, from net.PacketConn, requests int) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	buffer := make([]byte, 64<<10)
	require.NoError(t, from.SetReadDeadline(time.Now().Add(30*time.Second)))
	for len(all[nginx.CountRequests]) < requests {
		n, _, err := from.ReadFrom(buffer)
		require.NoError(t, err, "%v", all)
		head, lines, _ := strings.Cut(string(buffer[:n]), "\n")
		assert.Regexp(t, `^<190>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} edge: $`, head)
		for line := range strings.SplitSeq(lines, "\n") {
			name, sample, found := strings.Cut(line, ":")
			require.True(t, found, "%q", line)
			all[name] = append(all[name], sample)
		}
	}
	return all
}

// startCounted is an edge whose counter is the test.
func startCounted(t *testing.T, change func(*nginx.Config), api http.HandlerFunc) (*edge, net.PacketConn) {
	t.Helper()
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = to.Close() })
	e := startEdge(t, func(c *nginx.Config) {
		c.CountAddress = to.LocalAddr().String()
		c.Workers = 1 // which counts in the order of the requests
		if change != nil {
			change(c)
		}
	}, api)
	// What was asked at the start was counted, too.
	client := e.Client(t, "")
	get(t, client, "https://dashboard.example.test/ws")
	buffer := make([]byte, 64<<10)
	require.NoError(t, to.SetReadDeadline(time.Now().Add(30*time.Second)))
	for begun := false; !begun; {
		n, _, err := to.ReadFrom(buffer)
		require.NoError(t, err)
		begun = strings.Contains(string(buffer[:n]), "host:dashboard.example.test,route:websocket")
	}
	return e, to
}

// TestEachRequestIsCounted by where it went and what became of it, whatever it is.
func TestEachRequestIsCounted(t *testing.T) {
	e, to := startCounted(t, func(c *nginx.Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 1, 0 }, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	client := e.Client(t, "")
	for _, path := range []string{"api.example.test/served?token=x", "alphapulse.example.test/page", "alphapulse.example.test/api/x", "api.example.test/metrics",
		"api.example.test/fails", "api.example.test/api/login", "api.example.test/api/login"} {
		get(t, client, "https://"+path)
	}
	got := samples(t, to, 7)
	slices.Sort(got[nginx.CountRequests])
	assert.Equal(t, []string{
		"1|c|#host:alphapulse.example.test,route:api,status:200,outcome:answered",
		"1|c|#host:alphapulse.example.test,route:ui,status:200,outcome:answered",
		"1|c|#host:api.example.test,route:api,status:200,outcome:answered",
		"1|c|#host:api.example.test,route:api,status:200,outcome:answered",
		"1|c|#host:api.example.test,route:api,status:429,outcome:limited",
		"1|c|#host:api.example.test,route:api,status:500,outcome:failed",
		"1|c|#host:api.example.test,route:hidden,status:404,outcome:edge",
	}, got[nginx.CountRequests])
	assert.Len(t, got[nginx.CountSeconds], 5, "of those that a service was asked for")
	assert.Len(t, got[nginx.CountUpstreamSeconds], 5)
	for _, s := range got[nginx.CountSeconds] {
		assert.Regexp(t, `^[0-9]+\.[0-9]{3}\|h\|#host:[a-z.]+,route:(api|ui)$`, s)
	}
	for _, s := range got[nginx.CountUpstreamSeconds] {
		assert.Regexp(t, `^[0-9]+\.[0-9]{3}\|h\|#route:(api|ui)$`, s)
	}
}

// TestNoClientMakesLabels up: hosts, methods, protocols and paths that nobody expects are
// one series.
func TestNoClientMakesLabels(t *testing.T) {
	e, to := startCounted(t, nil, nil)
	address := fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPPort)
	requests := []string{
		"GET / HTTP/1.1\r\nHost: made-up-%d.example.org\r\nConnection: close\r\n\r\n",
		"MADEUP%d / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /,route:api,status:500|c\nedge_requests:9 HTTP/1.1\r\nHost: x,route:made%d\r\nConnection: close\r\n\r\n",
		"nonsense %d\r\n\r\n",
	}
	for i, r := range requests {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = fmt.Fprintf(c, r, i)
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		_, err = c.Read(make([]byte, 1<<10))
		require.NoError(t, err, r)
		require.NoError(t, c.Close())
	}
	got := samples(t, to, len(requests))
	for _, s := range got[nginx.CountRequests] {
		assert.Regexp(t, `^1\|c\|#host:unknown,route:unknown,status:4[0-9]{2},outcome:edge$`, s)
	}
	assert.Empty(t, got[nginx.CountSeconds])
	assert.Len(t, got, 1)
}

// TestWhatBecomesOfRequestsIsCounted where pods fail, and are asked again.
func TestWhatBecomesOfRequestsIsCounted(t *testing.T) {
	e, to := startCounted(t, func(c *nginx.Config) { c.RequestTimeoutSeconds = 1 }, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			time.Sleep(3 * time.Second)
		case "/ws":
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
			if err == nil {
				_ = c.Close(websocket.StatusGoingAway, "over")
			}
		}
	})
	client := e.Client(t, "")
	request, err := http.NewRequest(http.MethodPost, "https://api.example.test/late", nil)
	require.NoError(t, err)
	do(t, client, request)
	assert.Regexp(t, `status:504,outcome:late$`, samples(t, to, 1)[nginx.CountRequests][0])

	c, _, err := websocket.Dial(t.Context(), "wss://api.example.test/ws", &websocket.DialOptions{HTTPClient: client})
	require.NoError(t, err)
	_, _, _ = c.Read(t.Context()) // the end
	_ = c.CloseNow()
	got := samples(t, to, 1)
	assert.Regexp(t, `route:websocket,status:101,outcome:answered$`, got[nginx.CountRequests][0])
	assert.Len(t, got, 1, "how long it was open is no latency")

	e.dns.Set("dashboard.test", "127.0.0.77")
	nginxtest.Eventually(t, "the dashboard is away", func() bool {
		get(t, client, "https://dashboard.example.test/")
		return strings.HasSuffix(samples(t, to, 1)[nginx.CountRequests][0], "route:dashboard,status:503,outcome:unreached")
	})
}

// shared is the path of a socket that nginx' workers reach, whoever they are.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "counts")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return filepath.Join(dir, "socket")
}

// listen makes the socket.
func listen(t *testing.T, path string) net.PacketConn {
	t.Helper()
	_ = os.Remove(path) // what the one before left
	to, err := net.ListenPacket("unixgram", path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o777))
	return to
}

// TestASecondPodsAnswerIsCountedAsSuch, and the time is that of the pod that answered.
func TestASecondPodsAnswerIsCountedAsSuch(t *testing.T) {
	path := shared(t)
	to := listen(t, path)
	t.Cleanup(func() { _ = to.Close() })
	e := startEdge(t, func(c *nginx.Config) { c.CountAddress = "unix:" + path }, nil)
	e.dns.Set("api.test", "127.0.0.2", "127.0.0.78")
	client := e.Client(t, "")
	nginxtest.Eventually(t, "a pod that is down was asked first", func() bool {
		get(t, client, "https://api.example.test/")
		last := samples(t, to, 1)
		return strings.HasSuffix(last[nginx.CountRequests][0], "route:api,status:200,outcome:retried") && len(last[nginx.CountUpstreamSeconds]) == 1
	})
}

// TestNobodyHasToCount: a counter that is away costs no request, and one that comes back
// is found.
func TestNobodyHasToCount(t *testing.T) {
	path := shared(t)
	e := startEdge(t, func(c *nginx.Config) { c.CountAddress = "unix:" + path }, nil)
	client := e.Client(t, "")
	for range 3 {
		code, _, _ := get(t, client, "https://api.example.test/")
		assert.Equal(t, http.StatusOK, code)
	}
	for range 2 {
		to := listen(t, path)
		get(t, client, "https://api.example.test/first") // may find the end of the one before
		get(t, client, "https://api.example.test/second")
		assert.NotEmpty(t, samples(t, to, 1))
		require.NoError(t, to.Close())
		code, _, _ := get(t, client, "https://api.example.test/")
		assert.Equal(t, http.StatusOK, code)
	}
}
