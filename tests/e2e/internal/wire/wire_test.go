package wire

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// packet is a TCP segment in IP.
func packet(from, to netip.AddrPort, payload string, options int) []byte {
	tcpHeader := make([]byte, 20+options)
	binary.BigEndian.PutUint16(tcpHeader, from.Port())
	binary.BigEndian.PutUint16(tcpHeader[2:], to.Port())
	tcpHeader[12] = byte((20 + options) / 4 << 4)
	rest := append(tcpHeader, payload...)
	var ip []byte
	if from.Addr().Is4() {
		ip = make([]byte, 20)
		ip[0], ip[9] = 0x45, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(rest)))
		copy(ip[12:], from.Addr().AsSlice())
		copy(ip[16:], to.Addr().AsSlice())
	} else {
		ip = make([]byte, 40)
		ip[0], ip[6] = 0x60, 6
		binary.BigEndian.PutUint16(ip[4:], uint16(len(rest)))
		copy(ip[8:], from.Addr().AsSlice())
		copy(ip[24:], to.Addr().AsSlice())
	}
	return append(ip, rest...)
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestTextsAreHeard(t *testing.T) {
	api, db := at("10.244.0.7:40000"), at("10.244.0.9:6432")
	api6, db6 := at("[fd00::7]:40000"), at("[fd00::9]:6432")
	udp := packet(api, db, "SELECT 1", 0)
	udp[9] = 17
	padded := append(packet(api, db, "S", 0), "ELECT 1"...) // of the link, beyond the packet
	cut := packet(api, db, "SELECT 1", 0)
	binary.BigEndian.PutUint16(cut[2:], 9000)
	for name, c := range map[string]struct {
		packets [][]byte
		want    int
	}{
		"one segment":             {[][]byte{packet(api, db, "Q\x00\x00SELECT 1\x00", 0)}, 1},
		"with options":            {[][]byte{packet(api, db, "SELECT 1", 12)}, 1},
		"IPv6":                    {[][]byte{packet(api6, db6, "SELECT 1", 12)}, 1},
		"two segments":            {[][]byte{packet(api, db, "… S", 0), packet(api, db, "ELECT 1", 0)}, 1},
		"byte by byte":            {[][]byte{packet(api, db, "S", 0), packet(api, db, "ELE", 0), packet(api, db, "CT ", 0)}, 1},
		"once and no more":        {[][]byte{packet(api, db, "SELECT ", 0), packet(api, db, "1", 0)}, 1},
		"twice":                   {[][]byte{packet(api, db, "SELECT 1", 0), packet(api, db, "SELECT 1", 0)}, 2},
		"of two directions":       {[][]byte{packet(api, db, "S", 0), packet(db, api, "ELECT 1", 0)}, 0},
		"something else":          {[][]byte{packet(api, db, "select 1", 0)}, 0},
		"no TCP":                  {[][]byte{udp}, 0},
		"the link's padding":      {[][]byte{padded}, 0},
		"nothing":                 {[][]byte{nil, {0x45}, make([]byte, 60), packet(api, db, "", 0)}, 0},
		"shorter than it says":    {[][]byte{cut}, 0},
		"a header without an end": {[][]byte{packet(api, db, "", 0)[:30]}, 0},
	} {
		e := NewEar("SELECT ", "a longer text than that")
		for _, p := range c.packets {
			e.Hear(2, p)
		}
		got := 0
		for _, count := range e.Heard()["SELECT "] {
			got += count
		}
		if got != c.want {
			t.Errorf("%s: %d times, want %d", name, got, c.want)
		}
	}
}

// What an interface repeats is not taken for the end of what another one began with.
func TestInterfacesAreApart(t *testing.T) {
	e := NewEar("SELECT ")
	e.Hear(2, packet(at("10.0.0.1:1"), at("10.0.0.2:2"), "S", 0))
	e.Hear(3, packet(at("10.0.0.1:1"), at("10.0.0.2:2"), "ELECT 1", 0))
	if heard := e.Heard(); len(heard) > 0 {
		t.Errorf("%v", heard)
	}
	if segments, bytes := e.Volume(); segments != 2 || bytes != 8 {
		t.Errorf("%d segments, %d bytes", segments, bytes)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	e := NewEar("hunter2")
	e.Hear(2, packet(at("10.0.0.1:1"), at("10.0.0.2:6379"), "AUTH hunter2", 0))
	got := e.Describe(func(string) string { return "a password" })
	if want := "a password: 10.0.0.1:1 → 10.0.0.2:6379, in 1 segments"; got != want || strings.Contains(got, "hunter2") {
		t.Errorf("%q, want %q", got, want)
	}
}
