package nginxtest

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS answers for the upstreams' names, as a cluster's does for headless Services.
type DNS struct {
	// Address is host:port.
	Address string

	mu    sync.Mutex
	names map[string][]netip.Addr
}

// StartDNS runs a DNS server that knows no name yet.
func StartDNS(t testing.TB) *DNS {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()) })
	d := &DNS{Address: conn.LocalAddr().String(), names: map[string][]netip.Addr{}}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return // closed by the cleanup
			}
			if answer, err := d.answer(buffer[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from) // a lost answer is asked for again
			}
		}
	}()
	return d
}

// Set gives a name its IPv4 addresses; none makes it unknown.
func (d *DNS) Set(name string, addresses ...string) {
	parsed := make([]netip.Addr, 0, len(addresses))
	for _, a := range addresses {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[strings.TrimSuffix(name, ".")+"."] = parsed
}

func (d *DNS) answer(query []byte) ([]byte, error) {
	var q dnsmessage.Message
	if err := q.Unpack(query); err != nil {
		return nil, err
	}
	a := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionDesired: q.RecursionDesired},
		Questions: q.Questions,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, question := range q.Questions {
		addresses := d.names[question.Name.String()]
		if len(addresses) == 0 {
			a.RCode = dnsmessage.RCodeNameError
		}
		if question.Type != dnsmessage.TypeA {
			continue
		}
		for _, address := range addresses {
			a.Answers = append(a.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   &dnsmessage.AResource{A: address.As4()},
			})
		}
	}
	return a.Pack()
}
