package handshakes

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestReason is told by real lines of nginx 1.30 with OpenSSL 3.
func TestReason(t *testing.T) {
	const head, tail = "<190>Nov 28 07:43:00 edge: 2026/11/28 07:43:00 [info] 21#21: *12 ", ", client: 192.0.2.7, server: 0.0.0.0:8443"
	for said, want := range map[string]string{
		"SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol) while SSL handshaking":                                 Protocol,
		"SSL_do_handshake() failed (SSL: error:0A00009C:SSL routines::http request) while SSL handshaking":                                         Protocol,
		"SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking":                                 Protocol,
		"SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::no shared cipher) while SSL handshaking":                                     Cipher,
		"SSL_do_handshake() failed (SSL: error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while SSL handshaking":           Certificate,
		"SSL_read() failed (SSL: error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48) while waiting for request":               Certificate,
		"SSL_read() failed (SSL: error:0A000415:SSL routines::ssl/tls alert certificate expired:SSL alert number 45) while waiting for request":    Certificate,
		"SSL_read() failed (SSL: error:0A000412:SSL routines::sslv3 alert bad certificate:SSL alert number 42) while processing HTTP/2 connection": Certificate,
		"peer closed connection in SSL handshake while SSL handshaking":                                                                            Closed,
		"peer closed connection in SSL handshake (104: Connection reset by peer) while SSL handshaking":                                            Closed,
		"SSL_do_handshake() failed (104: Connection reset by peer) while SSL handshaking":                                                          Closed,
		"client timed out (110: Connection timed out) while SSL handshaking":                                                                       Closed,
		"SSL_do_handshake() failed (SSL: error:0A0000EA:SSL routines::callback failed) while SSL handshaking":                                      Other,

		"client timed out (110: Connection timed out) while waiting for request":                                                    "",
		"client closed connection while waiting for request":                                                                        "",
		"SSL_read() failed (SSL: error:0A000126:SSL routines::unexpected eof while reading) while keepalive":                        "",
		"SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate verify failed) while SSL handshaking to upstream": "",
		`client sent invalid header line: "x while SSL handshaking" while reading client request headers`:                           "",
		`client sent invalid header line: "[info] 1#1: *1 SSL_do_handshake() failed (x) while SSL handshaking`:                      "",
	} {
		if got := Reason(head + said + tail); got != want {
			t.Errorf("%s: %q, want %q", said, got, want)
		}
	}
	for _, line := range []string{"", "nonsense", head + "SSL_do_handshake() failed (x) while SSL handshaking"} {
		if got := Reason(line); got != "" {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// TestCount: one line for each failure, none for the rest, and an end.
func TestCount(t *testing.T) {
	listen := func() net.PacketConn {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial := func(to net.PacketConn) net.Conn {
		c, err := net.Dial("udp", to.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	from, counter := listen(), listen()
	nginx := dial(from)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Count(ctx, from, dial(counter), "failures") }()
	const head, tail = "<190>Nov 28 07:43:00 edge: 2026/11/28 07:43:00 [info] 21#21: *12 ", ", client: 192.0.2.7, server: 0.0.0.0:8443\n"
	for _, said := range []string{"client closed connection while waiting for request", "peer closed connection in SSL handshake while SSL handshaking", "SSL_do_handshake() failed (x) while SSL handshaking"} {
		if _, err := nginx.Write([]byte(head + said + tail)); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 100)
	if err := counter.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failures:1|c|#reason:closed", "failures:1|c|#reason:other"} {
		n, _, err := counter.ReadFrom(buffer)
		if got := string(buffer[:n]); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
