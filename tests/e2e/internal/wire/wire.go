// Package wire listens to what the pods of a node say to each other, and tells which of
// some texts went by in plain.
package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Ear looks for texts in what goes by.
type Ear struct {
	needles []string
	longest int

	mu      sync.Mutex
	packets int
	payload int64
	heard   map[string]map[Flow]int
	tails   map[channel][]byte
}

// Flow is one direction of a connection.
type Flow struct{ From, To netip.AddrPort }

func (f Flow) String() string { return fmt.Sprintf("%s → %s", f.From, f.To) }

// channel is a flow on one of the interfaces that it passes.
type channel struct {
	Flow
	at int
}

// NewEar is one for these texts, none of which is empty.
func NewEar(needles ...string) *Ear {
	e := &Ear{needles: needles, heard: map[string]map[Flow]int{}, tails: map[channel][]byte{}}
	for _, n := range needles {
		e.longest = max(e.longest, len(n))
	}
	return e
}

// Hear takes one packet that was seen at an interface, from its IP header on. What is no
// TCP is left out.
func (e *Ear) Hear(at int, packet []byte) {
	flow, payload, ok := segment(packet)
	if !ok || len(payload) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.packets++
	e.payload += int64(len(payload))
	// A text may begin in one segment and end in the next.
	c := channel{flow, at}
	begun := e.tails[c]
	text := slices.Concat(begun, payload)
	for _, n := range e.needles {
		if i := bytes.LastIndex(text, []byte(n)); i >= 0 && i+len(n) > len(begun) {
			if e.heard[n] == nil {
				e.heard[n] = map[Flow]int{}
			}
			e.heard[n][flow]++
		}
	}
	e.tails[c] = bytes.Clone(text[max(0, len(text)-e.longest+1):])
}

// Heard are the texts that went by, with who said them to whom and in how many segments.
func (e *Ear) Heard() map[string]map[Flow]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[string]map[Flow]int{}
	for n, flows := range e.heard {
		all[n] = maps.Clone(flows)
	}
	return all
}

// Volume is how many segments with how many bytes went by.
func (e *Ear) Volume() (segments int, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.packets, e.payload
}

// Describe tells what was heard, without the texts themselves: they may be secret. name
// names one.
func (e *Ear) Describe(name func(needle string) string) string {
	var lines []string
	for n, flows := range e.Heard() {
		for f, count := range flows {
			lines = append(lines, fmt.Sprintf("%s: %s, in %d segments", name(n), f, count))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Of the headers (RFC 791, 8200 and 9293).
const (
	tcp      = 6
	header4  = 20
	header6  = 40
	portsLen = 4
)

// segment finds a TCP segment in a packet of either family. A fragment, or a packet of IPv6
// with further headers, is none: pods on one node send neither.
func segment(p []byte) (flow Flow, payload []byte, ok bool) {
	if len(p) < header4 {
		return flow, nil, false
	}
	var from, to netip.Addr
	var rest []byte
	switch p[0] >> 4 {
	case 4:
		header, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
		if total == 0 {
			total = len(p) // of a segment that the card would cut
		}
		if p[9] != tcp || header < header4 || total > len(p) || total < header {
			return flow, nil, false
		}
		from, to, rest = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[header:total]
	case 6:
		if len(p) < header6 || p[6] != tcp {
			return flow, nil, false
		}
		rest = p[header6:]
		if n := int(binary.BigEndian.Uint16(p[4:])); n != 0 && n <= len(rest) {
			rest = rest[:n]
		}
		from, to = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	default:
		return flow, nil, false
	}
	if len(rest) < header4 {
		return flow, nil, false
	}
	offset := int(rest[12]>>4) * 4
	if offset < header4 || offset > len(rest) {
		return flow, nil, false
	}
	port := func(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
	flow = Flow{netip.AddrPortFrom(from, port(rest)), netip.AddrPortFrom(to, port(rest[portsLen/2:]))}
	return flow, rest[offset:], true
}
