package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Codes in place of a protocol version (PostgreSQL's documentation, "Message Formats").
const (
	cancelCode = 80877102
	sslCode    = 80877103
)

// messageLimit bounds a server's first message, in bytes.
const messageLimit = 64 << 10

// encrypt asks the server for TLS.
func encrypt(ctx context.Context, c net.Conn, config *tls.Config) (net.Conn, error) {
	request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslCode)
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, errors.New("the server has no TLS")
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

// message reads one message: its type, its length and the rest.
func message(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > messageLimit {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	whole := make([]byte, 1+n)
	copy(whole, head)
	_, err := io.ReadFull(r, whole[5:])
	return whole, err
}

// sqlState returns the code of an error message, "" of any other.
func sqlState(message []byte) string {
	if message[0] != 'E' {
		return ""
	}
	for field := range bytes.SplitSeq(message[5:], []byte{0}) {
		if len(field) > 0 && field[0] == 'C' {
			return string(field[1:])
		}
	}
	return ""
}

// notYet reports whether a server refuses for now: it starts or stops
// (cannot_connect_now), is being stopped (admin_shutdown), or is full
// (too_many_connections).
func notYet(code string) bool { return code == "57P03" || code == "57P01" || code == "53300" }
