// Package handshakes counts TLS handshakes with nginx that failed. nginx has no figure of
// them: it tells of each in its log of errors, at the level info, beside much else.
package handshakes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
)

// Reasons why a handshake failed, as they are counted.
const (
	// Protocol: no version of TLS that both speak, or no TLS at all.
	Protocol = "protocol"
	// Cipher: none that both know.
	Cipher = "cipher"
	// Certificate: the client refused the one that it was shown.
	Certificate = "certificate"
	// Closed: the client went away in the middle, or took too long.
	Closed = "closed"
	// Other is everything else, a certificate that nginx cannot read among it.
	Other = "other"
)

// entry is a line of nginx' log of errors: level, process, connection, and what happened. It
// is looked for at the first place alone, since what follows may be a client's words.
var entry = regexp.MustCompile(`^[^\[]*\[[a-z]+\] \d+#\d+: \*\d+ (.*)$`)

// shaking is what nginx was doing; towards a service it says more.
const shaking = " while SSL handshaking"

// begun are the beginnings of what nginx says of a handshake; what clients send is never
// one's beginning.
var begun = []string{"SSL_do_handshake() failed (", "peer closed connection in SSL handshake", "client timed out ("}

// causes are parts of OpenSSL's texts.
var causes = []struct{ text, reason string }{
	{"unsupported protocol", Protocol}, {"wrong version number", Protocol}, {"http request", Protocol}, {"version too low", Protocol}, {"unknown protocol", Protocol},
	{"packet length too long", Protocol}, {"bad record type", Protocol}, {"alert protocol version", Protocol},
	{"no shared cipher", Cipher}, {"no suitable", Cipher}, {"alert handshake failure", Cipher},
	{"unknown ca", Certificate}, {"alert bad certificate", Certificate}, {"alert certificate", Certificate}, {"alert unsupported certificate", Certificate},
	{"peer closed connection", Closed}, {"Connection reset by peer", Closed}, {"timed out", Closed}, {"unexpected eof", Closed},
}

// Reason says why a handshake failed, by a line of nginx' log of errors; "" for a line about
// anything else.
func Reason(line string) string {
	match := entry.FindStringSubmatch(line)
	if match == nil {
		return ""
	}
	said, _, found := strings.Cut(match[1], ", client: ")
	if !found {
		return ""
	}
	// By TLS 1.3 a client sees the certificate when the handshake is over for the server.
	after := strings.HasPrefix(said, "SSL_read() failed (SSL: error:") && strings.Contains(said, " alert ")
	in := strings.HasSuffix(said, shaking)
	for _, b := range begun {
		if in && strings.HasPrefix(said, b) {
			return cause(said)
		}
	}
	if after && cause(said) == Certificate {
		return Certificate
	}
	return ""
}

func cause(said string) string {
	for _, c := range causes {
		if strings.Contains(said, c.text) {
			return c.reason
		}
	}
	return Other
}

// longest is how long a message of nginx' to syslog is at most.
const longest = 4 << 10

// Count reads messages of syslog and counts the failed handshakes among them, by a line of
// StatsD for each, with the name that it is told and the label reason. It ends with ctx. A
// line that nobody takes is lost.
func Count(ctx context.Context, from net.PacketConn, to net.Conn, name string) error {
	defer context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Unix(1, 0)) })()
	buffer := make([]byte, longest)
	for {
		n, _, err := from.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Join(errors.New("reading nginx' log of errors"), err)
		}
		if reason := Reason(strings.TrimSpace(string(buffer[:n]))); reason != "" {
			_, _ = fmt.Fprintf(to, "%s:1|c|#reason:%s", name, reason)
		}
	}
}
