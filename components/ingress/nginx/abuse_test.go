package nginx_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// dial opens a TLS connection for the API's host that speaks protocol.
func (e *edge) dial(t *testing.T, from, protocol string) *tls.Conn {
	t.Helper()
	config := e.Client(t, "").Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName, config.NextProtos = "api.example.test", []string{protocol}
	d := net.Dialer{Timeout: time.Minute}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := tls.DialWithDialer(&d, "tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPSPort), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// served asks for a page from an address of its own, as somebody else would.
func (e *edge) served(t *testing.T) {
	t.Helper()
	code, _, _ := get(t, e.Client(t, "127.0.0.77"), "https://api.example.test/other")
	assert.Equal(t, http.StatusOK, code, "others are served")
}

// memory is what nginx' processes have in use, in bytes.
func (e *edge) memory(t *testing.T) (total int) {
	t.Helper()
	for _, p := range append(e.Workers(t), strconv.Itoa(e.PID())) {
		statm, err := os.ReadFile("/proc/" + p + "/statm")
		require.NoError(t, err)
		resident, err := strconv.Atoi(strings.Fields(string(statm))[1])
		require.NoError(t, err)
		total += resident * os.Getpagesize()
	}
	return total
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	e := startEdge(t, nil, nil)
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.example.test\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /x HTTP/1.1\r\nHost: api.example.test\r\n" + headers + "\r\n" + body
	}
	chunked := func(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }
	for name, c := range map[string]struct {
		request string
		status  []int
	}{
		"CL.TE":                         {post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), []int{400}},
		"TE.CL":                         {post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n"+smuggled+"0\r\n\r\n"), []int{400}},
		"two lengths":                   {post("Content-Length: 0\r\nContent-Length: 5\r\n", smuggled), []int{400}},
		"the same length twice":         {post("Content-Length: 0\r\nContent-Length: 0\r\n", smuggled), []int{400}},
		"a list of lengths":             {post("Content-Length: 0, 5\r\n", smuggled), []int{400}},
		"a length with a sign":          {post("Content-Length: +0\r\n", smuggled), []int{400}},
		"a length in hexadecimal":       {post("Content-Length: 0x0\r\n", smuggled), []int{400}},
		"a length below 0":              {post("Content-Length: -1\r\n", smuggled), []int{400}},
		"a space before the colon":      {post("Content-Length : 5\r\n", smuggled), []int{400}},
		"an encoding that is unknown":   {post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+smuggled), []int{501}},
		"an encoding besides chunked":   {post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+smuggled), []int{501}},
		"chunked with a control letter": {post("Transfer-Encoding: chunked\x0b\r\n", "0\r\n\r\n"+smuggled), []int{400, 501}},
		"two encodings":                 {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+smuggled), []int{400, 501}},
		"chunked in HTTP/1.0":           {"POST /x HTTP/1.0\r\nHost: api.example.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		"a folded line":                 {post("X-Folded: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", smuggled), []int{400}},
		"a folded first line":           {"POST /x HTTP/1.1\r\n X: y\r\nHost: api.example.test\r\n\r\n" + smuggled, []int{400}},
		"a chunk of no number":          {chunked("zz\r\n" + smuggled), []int{400}},
		"a chunk beyond any number":     {chunked("fffffffffffffffff\r\n" + smuggled), []int{400, 413}},
		"a chunk below 0":               {chunked("-1\r\n" + smuggled), []int{400}},
		"a chunk without its end":       {chunked("1\r\nxy0\r\n\r\n" + smuggled), []int{400}},
		"a NUL in a header":             {post("X-Nul: a\x00b\r\nContent-Length: 0\r\n", smuggled), []int{400}},
		"no host":                       {"GET /x HTTP/1.1\r\n\r\n" + smuggled, []int{400}},
		"two hosts":                     {"GET /x HTTP/1.1\r\nHost: api.example.test\r\nHost: alphapulse.example.test\r\n\r\n" + smuggled, []int{400}},
		"a host with a path":            {"GET /x HTTP/1.1\r\nHost: api.example.test/x\r\n\r\n" + smuggled, []int{400}},
		"a space in the path":           {"GET /x y HTTP/1.1\r\nHost: api.example.test\r\n\r\n" + smuggled, []int{400}},
		"an HTTP of another day":        {"GET /x HTTP/3.0\r\nHost: api.example.test\r\n\r\n" + smuggled, []int{400, 505}},
		"TRACE":                         {"TRACE /x HTTP/1.1\r\nHost: api.example.test\r\n\r\n", []int{405}},
		"CONNECT":                       {"CONNECT api.test:8000 HTTP/1.1\r\nHost: api.example.test\r\n\r\n", []int{400, 405}},
		"HTTP/2 without TLS' consent":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 405, 421}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(e.api.seen())
			conn := e.dial(t, "", "http/1.1")
			_, err := io.WriteString(conn, c.request)
			require.NoError(t, err)
			all, err := io.ReadAll(conn)
			if err != nil {
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is closed")
			}
			response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), nil)
			require.NoError(t, err, "%q", all)
			assert.Contains(t, c.status, response.StatusCode)
			assert.Equal(t, 1, strings.Count(string(all), "HTTP/1.1 "), "one answer: %q", all)
			assert.Len(t, e.api.seen(), before, "nothing arrives")
			e.served(t)
		})
	}
}

// A request line with a host decides where the request goes; the service is told that
// one, whatever the Host header says.
func TestTheHostThatIsServedIsTheHostThatIsTold(t *testing.T) {
	e := startEdge(t, nil, nil)
	for header, want := range map[string]string{
		"api.example.test":        "api.example.test",
		"API.example.test:30443":  "API.example.test:30443",
		"monitoring.example.test": "api.example.test",
		"stranger.test":           "api.example.test",
		"api.example.test.evil":   "api.example.test",
	} {
		before := len(e.api.seen())
		conn := e.dial(t, "", "http/1.1")
		_, err := fmt.Fprintf(conn, "GET https://api.example.test/x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", header)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		got := e.api.seen()[before]
		assert.Equal(t, want, got.Host, header)
		assert.Equal(t, want, got.Header.Get("X-Forwarded-Host"), header)
	}
}

func TestNoPathLeadsToWhatIsHidden(t *testing.T) {
	e := startEdge(t, nil, nil)
	before := len(e.api.seen())
	for _, path := range []string{
		"/metrics", "/metrics/", "/metrics/x", "//metrics", "/./metrics", "/a/../metrics", "/%6Detrics", "/metrics%2f", "/%2fmetrics",
		"/api%2f..%2fmetrics", "/api/%2e%2e/metrics", "/api/..%2Fmetrics", "/../metrics", "/api/../../metrics",
		"/api/internal", "/api/internal/", "/api/internal/x", "/api%2finternal%2fx", "/api/x/..%2finternal/x",
		"/api/..;/metrics", "/api/%2e%2e;/metrics", "/api/..%3bx/metrics", "/metrics%00", "/metrics?x=1",
	} {
		conn := e.dial(t, "", "http/1.1")
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: api.example.test\r\nConnection: close\r\n\r\n", path)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, path)
		if path == "/api/internal" {
			assert.Equal(t, http.StatusOK, response.StatusCode, "only what is below is hidden")
			before++
			continue
		}
		assert.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, response.StatusCode, path)
	}
	assert.Len(t, e.api.seen(), before)
}

func TestWeakTLSIsRefused(t *testing.T) {
	e := startEdge(t, nil, nil)
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.0": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
		"CBC":     func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256} },
		"RC4":     func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA} },
		"3DES":    func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA} },
		"no forward secrecy": func(c *tls.Config) {
			c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384}
		},
	} {
		config := e.Client(t, "").Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName, config.MaxVersion = "api.example.test", tls.VersionTLS12
		change(config)
		_, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPSPort), config)
		assert.Error(t, err, name)
	}
	e.served(t)
}

// A header that trickles in is given ten seconds in all, however it trickles; nobody
// else waits for it.
func TestTricklingHeadersAreCutOff(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil, nil)
	conn := e.dial(t, "", "http/1.1")
	_, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: api.example.test\r\nX-Long: ")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	pieces := 0
	nginxtest.Eventually(t, "the connection is closed", func() bool {
		_, _ = io.WriteString(conn, "x") // a pause is far below any time-out, all of it below any size
		pieces++
		select {
		case err := <-ended:
			return !errors.Is(err, os.ErrDeadlineExceeded)
		default:
			return false
		}
	})
	assert.Greater(t, pieces, 20, "it was not cut off for what it sent")
	e.served(t)
}

// A body that pauses is cut off, one that keeps coming is not: it is the pause.
func TestPausingBodiesAreCutOff(t *testing.T) {
	t.Parallel()
	e := startEdge(t, func(c *nginx.Config) { c.BodyPauseSeconds = 2 }, nil)
	start := func(path string) (*tls.Conn, *bufio.Reader) {
		conn := e.dial(t, "", "http/1.1")
		_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 40\r\n\r\n", path)
		require.NoError(t, err)
		return conn, bufio.NewReader(conn)
	}
	_, pauses := start("/pauses")
	comes, keeps := start("/keeps-coming")
	for range 40 {
		_, err := io.WriteString(comes, "x")
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond) // together twice what a pause may last
	}
	response, err := http.ReadResponse(keeps, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	_, err = pauses.ReadByte()
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Error(t, err, "closed without an answer")
	nginxtest.Eventually(t, "the log tells why", func() bool {
		for line := range strings.Lines(e.Log()) {
			if strings.Contains(line, `"path":"/pauses"`) {
				return strings.Contains(line, `"status":408`)
			}
		}
		return false
	})
}

// Bodies that trickle just fast enough: an address has as many as it may have
// connections, on every host, and the others go on.
func TestAnAddressHasFewBodiesUnderWay(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.Connections = 5
		c.BodyPauseSeconds = 60 // on a busy machine opening the others may take long
	}, nil)
	for _, host := range []string{"api.example.test", "alphapulse.example.test", "dashboard.example.test", "monitoring.example.test"} {
		for name, header := range map[string]string{"of a length": "Content-Length: 100\r\n", "in chunks": "Transfer-Encoding: chunked\r\n"} {
			const clients, allowed = 25, 5
			var open []net.Conn
			answers := make(chan string, clients)
			for range clients {
				conn := e.dial(t, "", "http/1.1")
				_, err := fmt.Fprintf(conn, "POST /x HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, header)
				require.NoError(t, err)
				open = append(open, conn)
				go func() {
					// A refusal comes, or nothing until the connection is closed below.
					line, _ := bufio.NewReader(conn).ReadString('\n')
					answers <- line
				}()
			}
			for range clients - allowed {
				assert.Contains(t, <-answers, "429", "%s %s", host, name)
			}
			code, _, _ := get(t, e.Client(t, ""), "https://alphapulse.example.test/")
			assert.Equal(t, http.StatusOK, code, "%s %s: pages of the same address", host, name)
			e.served(t)
			for _, conn := range open {
				_ = conn.Close()
			}
			for range allowed {
				assert.NotContains(t, <-answers, "429", "%s %s: more than the others are refused", host, name)
			}
		}
	}
}

func TestIdleConnectionsCostLittleAndAreClosed(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil, nil)
	before := e.memory(t)
	var open []net.Conn
	for range 500 {
		plain, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Config.HTTPSPort))
		require.NoError(t, err)
		open = append(open, plain, e.dial(t, "", "http/1.1"))
	}
	e.served(t)
	assert.Less(t, e.memory(t)-before, 100<<20, "1,000 connections")
	nginxtest.Eventually(t, "they are closed", func() bool {
		for _, conn := range open {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				return false
			}
		}
		return true
	})
	for _, conn := range open {
		_ = conn.Close()
	}
	e.served(t)
}

// Headers that are never finished, as large as they may be, from many connections.
func TestUnfinishedHeadersHaveBoundedMemory(t *testing.T) {
	e := startEdge(t, nil, nil)
	before := e.memory(t)
	piece := "X-Large: " + strings.Repeat("x", 15_000) + "\r\n"
	var wg sync.WaitGroup
	for range 200 {
		conn := e.dial(t, "", "http/1.1")
		wg.Go(func() {
			_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: api.example.test\r\n"+strings.Repeat(piece, 4))
		})
	}
	wg.Wait()
	e.served(t)
	assert.Less(t, e.memory(t)-before, 200*(64<<10)+64<<20, "what is allowed for each, and what TLS takes")
}

// flood sends frames until the edge says that it ends the connection, or most of them,
// and then waits for that.
func (e *edge) flood(t *testing.T, most int, send func(f *http2.Framer, i int) error) {
	t.Helper()
	conn := e.dial(t, "", "h2")
	_, err := io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	require.NoError(t, framer.WriteSettings())
	ended := make(chan error, 1)
	go func() {
		for {
			frame, err := framer.ReadFrame()
			if _, ok := frame.(*http2.GoAwayFrame); ok || err != nil {
				ended <- err
				return
			}
		}
	}()
	for i := range most {
		select {
		case err := <-ended:
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			return
		default:
		}
		if send(framer, i) != nil {
			break // what it says is still to be read
		}
	}
	require.NotErrorIs(t, <-ended, os.ErrDeadlineExceeded, "the edge does not give up")
}

func headerBlock(fields ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return block.Bytes()
}

func TestHTTP2FloodsEndTheConnection(t *testing.T) {
	e := startEdge(t, nil, nil)
	request := headerBlock(":method", "GET", ":scheme", "https", ":authority", "api.example.test", ":path", "/flood")
	const most = 3_000_000
	for name, send := range map[string]func(f *http2.Framer, i int) error{
		"rapid reset": func(f *http2.Framer, i int) error {
			id := uint32(2*i + 1)
			return errors.Join(
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: request, EndStream: true, EndHeaders: true}),
				f.WriteRSTStream(id, http2.ErrCodeCancel))
		},
		"continuation": func(f *http2.Framer, i int) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request})
			}
			return f.WriteContinuation(1, false, headerBlock("x-flood", strings.Repeat("{", 1000)))
		},
		"settings": func(f *http2.Framer, _ int) error { return f.WriteSettings() },
		"ping":     func(f *http2.Framer, i int) error { return f.WritePing(false, [8]byte{byte(i)}) },
	} {
		t.Run(name, func(t *testing.T) {
			memory, before := e.memory(t), len(e.api.seen())
			e.flood(t, most, send)
			e.served(t)
			assert.Less(t, e.memory(t)-memory, 64<<20)
			assert.Less(t, len(e.api.seen())-before, 3000, "the service is spared")
		})
	}
}

func TestWebSocketFloodsAreLimited(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) {
		c.Limits.WebSocketRate, c.Limits.WebSocketBurst, c.Limits.Connections = 5, 40, 15
	}, echo)
	memory := e.memory(t)
	var opened, refused int
	for range 150 {
		conn, response, err := websocket.Dial(t.Context(), "wss://api.example.test/ws", &websocket.DialOptions{HTTPClient: e.Client(t, "")})
		if err == nil {
			opened++
			defer conn.CloseNow() //nolint:errcheck // the test is over
			continue
		}
		require.NotNil(t, response, err)
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
		refused++
	}
	assert.Equal(t, 15, opened, "as many as an address may have")
	assert.Equal(t, 135, refused)
	e.served(t)
	assert.Less(t, e.memory(t)-memory, 32<<20)
}
