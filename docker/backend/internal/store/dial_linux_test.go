package store

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A query that waits on a node without power ends in seconds: keepalives are not sent
// while something is unconfirmed, and the kernel alone would try for a quarter of an hour.
func TestConnectionsToAVanishedServerEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := lost(t, Options{Endpoints: Endpoints{Primary: "postgresql://u@127.0.0.1/d"}})
	config, err := s.primaryConfig(s.endpoints())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := config.DialFunc(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	var failed error
	if err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if limit := time.Duration(got) * time.Millisecond; limit < time.Second || limit > 10*time.Second {
		t.Errorf("sent data may stay unconfirmed for %s, want a few seconds", limit)
	}
}

// A pooler that is drained from its node waits until its clients have left it.
func TestConnectionsToAPoolerAreGivenBack(t *testing.T) {
	for direct, want := range map[string]bool{"": false, "postgresql://u@127.0.0.1:2/d": true} {
		s := lost(t, Options{Endpoints: Endpoints{Primary: "postgresql://u@127.0.0.1/d", Direct: direct}})
		config, err := s.poolConfig(3, s.primaryConfig)
		if err != nil {
			t.Fatal(err)
		}
		longest := config.MaxConnLifetime + config.MaxConnLifetimeJitter + config.HealthCheckPeriod
		if short := longest <= 30*time.Second; short != want {
			t.Errorf("with a pooler %t: a connection is kept for up to %s", want, longest)
		}
	}
}
