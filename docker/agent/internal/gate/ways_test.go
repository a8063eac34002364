package gate

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

// speaker answers as a member at Patroni's port, over TLS if it has a certificate.
func speaker(t *testing.T, ca *certificate) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(patroni.Status{State: "running", Role: "primary"})
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if ca == nil {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.pair}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s
}

// mute is a member without TLS that waits for the end of what a client with it says, as
// Patroni's does if that holds no end of a line.
func mute(t *testing.T) string {
	t.Helper()
	l := listen(t, "127.0.0.1", 0)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				if first, err := in.Peek(3); err != nil || string(first) != "GET" {
					_, _ = io.Copy(io.Discard, in)
					return
				}
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n"+`{"state":"running","role":"primary"}`)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestMembersAreAskedTheWayThatTheySpeak, whatever they will speak once all have rolled: an
// old pod that does not yet, or still does, must not look like one that is away.
func TestMembersAreAskedTheWayThatTheySpeak(t *testing.T) {
	ca := httptestCertificate(t)
	with := &patroni.Client{TLS: &tls.Config{RootCAs: ca.pool, ServerName: "database"}}
	for name, address := range map[string]string{
		"with TLS": speaker(t, &ca).Listener.Addr().String(), "without": speaker(t, nil).Listener.Addr().String(), "without, and silent": mute(t),
	} {
		for _, declared := range []bool{true, false} {
			var w ways
			for attempt := range 3 {
				status, err := askOnce(t, &w, with, declared, address)
				if err != nil || !status.Primary() {
					t.Errorf("%s, declared to be with TLS %t, attempt %d: %+v %v", name, declared, attempt, status, err)
				}
			}
			if w.secure["host"] != (name == "with TLS") {
				t.Errorf("%s: remembered as %v", name, w.secure)
			}
		}
	}
}

func askOnce(t *testing.T, w *ways, with *patroni.Client, declared bool, address string) (*patroni.Status, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patroni.Timeout)
	defer cancel()
	return w.ask(ctx, with, declared, "host", address)
}

// TestAMemberThatChangesItsWayIsFoundAgain at the same address.
func TestAMemberThatChangesItsWayIsFoundAgain(t *testing.T) {
	ca := httptestCertificate(t)
	with := &patroni.Client{TLS: &tls.Config{RootCAs: ca.pool, ServerName: "database"}}
	var w ways
	for step, address := range []string{speaker(t, nil).Listener.Addr().String(), speaker(t, &ca).Listener.Addr().String(), speaker(t, nil).Listener.Addr().String()} {
		if _, err := askOnce(t, &w, with, true, address); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
	}
	// One that has taken the address of another and says nothing is found by the next look.
	_, _ = askOnce(t, &w, with, true, speaker(t, &ca).Listener.Addr().String())
	address := mute(t)
	_, first := askOnce(t, &w, with, true, address)
	if _, err := askOnce(t, &w, with, true, address); err != nil {
		t.Errorf("%v, and after it %v", first, err)
	}
	w.forget("another")
	if len(w.secure) != 0 {
		t.Errorf("remembered for ever: %v", w.secure)
	}
}

// TestStrangersAreNotBelieved: neither over TLS with another's certificate, nor under
// another name.
func TestStrangersAreNotBelieved(t *testing.T) {
	ca, stranger := httptestCertificate(t), httptestCertificate(t)
	for name, secure := range map[string]*tls.Config{
		"another authority": {RootCAs: stranger.pool, ServerName: "database"}, "another name": {RootCAs: ca.pool, ServerName: "pooler"},
	} {
		var w ways
		status, err := askOnce(t, &w, &patroni.Client{TLS: secure}, true, speaker(t, &ca).Listener.Addr().String())
		if err == nil || !strings.Contains(err.Error(), "x509: ") {
			t.Errorf("%s: %+v %v", name, status, err)
		}
	}
}

// TestThePrimaryIsFoundAmongMembersOfBothWays, and its standby: the middle of a rolling
// update.
func TestThePrimaryIsFoundAmongMembersOfBothWays(t *testing.T) {
	ca := httptestCertificate(t)
	c := newCluster(t, nil, "db-0", "db-1")
	m := &member{t: t, name: "db-2", host: "127.0.1.3", code: http.StatusServiceUnavailable}
	m.status.Patroni.Name = m.name
	m.status.State, m.status.XLog.Replayed = "running", 1000
	rolled := &http.Server{Handler: m, ErrorLog: log.New(io.Discard, "", 0)}
	l := tls.NewListener(listen(t, m.host, c.rest), &tls.Config{Certificates: []tls.Certificate{ca.pair}})
	go func() { _ = rolled.Serve(l) }()
	t.Cleanup(func() { _ = rolled.Close() })
	c.hosts = append(c.hosts, m.host)
	c.members[0].is("primary", 1)
	m.is("replica", 1)
	for _, declared := range []bool{true, false} {
		g, _ := start(t, c, func(g *Gate) {
			g.Finder.TLS, g.Finder.Encrypted = &tls.Config{RootCAs: ca.pool, ServerName: "database"}, declared
		})
		var seen View
		for range 100 {
			if seen, _ = g.Finder.View(); len(seen.Standbys) == 2 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if seen.Primary == nil || seen.Primary.Name != "db-0" || len(seen.Standbys) != 2 {
			t.Errorf("TLS declared %t: %+v", declared, seen)
		}
	}
}
