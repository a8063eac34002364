package gate

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

// A member is a made-up one: Patroni's REST API and a server that says its name.
type member struct {
	t    *testing.T
	name string
	host string

	mu      sync.Mutex
	status  patroni.Status
	code    int    // of /primary
	refuses string // SQLSTATE that the server greets with
	mute    bool   // the server accepts and says nothing
	conns   []net.Conn
	cancels int
}

// cluster is some members on addresses of their own, with the same ports.
type cluster struct {
	members   []*member
	rest, sql int
	mu        sync.Mutex
	hosts     []string
}

func newCluster(t *testing.T, secure *tls.Config, names ...string) *cluster {
	t.Helper()
	c := &cluster{}
	for i, name := range names {
		m := &member{t: t, name: name, host: "127.0.1." + strconv.Itoa(i+1), code: http.StatusServiceUnavailable}
		m.status.Patroni.Name = name
		m.status.State, m.status.Role, m.status.Timeline = "running", "replica", 1
		m.status.XLog.Replayed = 1000
		rest := listen(t, m.host, c.rest)
		sql := listen(t, m.host, c.sql)
		c.rest, c.sql = port(rest), port(sql)
		server := &http.Server{Handler: m}
		go func() { _ = server.Serve(rest) }()
		t.Cleanup(func() { _ = server.Close() })
		go m.serve(sql, secure)
		c.members = append(c.members, m)
		c.hosts = append(c.hosts, m.host)
	}
	return c
}

func listen(t *testing.T, host string, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func (m *member) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.WriteHeader(m.code)
	_ = json.NewEncoder(w).Encode(m.status)
}

func (m *member) is(role string, timeline int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.Role, m.status.Timeline, m.code = role, timeline, http.StatusServiceUnavailable
	if role == "primary" {
		m.code = http.StatusOK
		m.status.XLog.Location = 1000
	}
}

func (m *member) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// serve is the server: it greets with its name in an authentication message and then
// sends back what it gets.
func (m *member) serve(l net.Listener, secure *tls.Config) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			m.mu.Lock()
			m.conns = append(m.conns, c)
			m.mu.Unlock()
			if secure != nil {
				if first, err := startup(c); err != nil || binary.BigEndian.Uint32(first[4:]) != sslCode {
					_ = c.Close()
					return
				}
				_, _ = c.Write([]byte{'S'})
				c = tls.Server(c, secure)
			}
			first, err := startup(c)
			if err != nil {
				return
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			switch {
			case binary.BigEndian.Uint32(first[4:]) == cancelCode:
				m.cancels++
			case m.mute:
			case m.refuses != "":
				_, _ = c.Write(packet('E', "SFATAL\x00C"+m.refuses+"\x00Mno\x00\x00"))
				_ = c.Close()
			default:
				_, _ = c.Write(packet('R', m.name))
				go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
			}
		}()
	}
}

func packet(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...)
}

func startupMessage(code uint32) []byte {
	body := binary.BigEndian.AppendUint32(nil, code)
	body = append(body, "user\x00app\x00\x00"...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
}

// start runs a gate in front of the cluster and returns how to connect to it.
func start(t *testing.T, c *cluster, change func(*Gate)) (*Gate, func() net.Conn) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	g := &Gate{
		Finder: &Finder{
			Members: "members", Service: "127.0.9.9", Lag: 100, Port: c.rest, Log: log,
			Lookup: func(context.Context, string) ([]string, error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.hosts, nil
			},
		},
		Port: c.sql, Log: log,
	}
	if change != nil {
		change(g)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.Finder.Run(ctx) })
	wg.Go(func() {
		if err := g.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return g, func() net.Conn {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// hello connects and returns who answered.
func hello(t *testing.T, c net.Conn) string {
	t.Helper()
	if _, err := c.Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	return greeting(t, c)
}

func greeting(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	m, err := message(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(m[5:])
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not after 20 s", what)
		}
	}
}

func TestConnectionsWaitForAPrimary(t *testing.T) {
	c := newCluster(t, nil, "db-0", "db-1")
	g, connect := start(t, c, nil)
	conn := connect()
	if _, err := conn.Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection waits", func() bool { return g.Waiting() == 1 })
	c.members[1].is("primary", 2)
	if got := greeting(t, conn); got != "db-1" {
		t.Errorf("%s answered", got)
	}
	if _, err := conn.Write([]byte("query")); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 5)
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != "query" {
		t.Errorf("got back %q, %v", back, err)
	}
}

func TestFailoverCutsTheOldConnectionsAndServesNewOnes(t *testing.T) {
	c := newCluster(t, nil, "db-0", "db-1")
	c.members[0].is("primary", 1)
	_, connect := start(t, c, nil)
	conn := connect()
	if got := hello(t, conn); got != "db-0" {
		t.Fatalf("%s answered", got)
	}
	// The old one hangs and still says that it leads, on its old timeline.
	c.members[1].is("primary", 2)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection to the old primary was not cut")
	}
	if got := hello(t, connect()); got != "db-1" {
		t.Errorf("%s answered after the failover", got)
	}
}

// Losing sight of the primary is no reason to end what works.
func TestSilenceCutsNothing(t *testing.T) {
	c := newCluster(t, nil, "db-0")
	c.members[0].is("primary", 1)
	g, connect := start(t, c, nil)
	conn := connect()
	hello(t, conn)
	c.members[0].set(func() { c.members[0].code = http.StatusServiceUnavailable })
	eventually(t, "the primary is lost", func() bool { v, _ := g.Finder.View(); return v.Primary == nil })
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("the connection was cut: %v", err)
	}
}

func TestRefusalsForNowAreWaitedFor(t *testing.T) {
	for _, code := range []string{"57P03", "57P01", "53300"} {
		t.Run(code, func(t *testing.T) {
			c := newCluster(t, nil, "db-0")
			c.members[0].is("primary", 1)
			c.members[0].refuses = code
			g, connect := start(t, c, nil)
			conn := connect()
			if _, err := conn.Write(startupMessage(3 << 16)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the server was asked", func() bool {
				c.members[0].mu.Lock()
				defer c.members[0].mu.Unlock()
				return len(c.members[0].conns) > 1
			})
			if g.Waiting() != 1 {
				t.Errorf("%d wait", g.Waiting())
			}
			c.members[0].set(func() { c.members[0].refuses = "" })
			if got := greeting(t, conn); got != "db-0" {
				t.Errorf("%s answered", got)
			}
		})
	}
}

func TestOtherRefusalsArePassedOn(t *testing.T) {
	c := newCluster(t, nil, "db-0")
	c.members[0].is("primary", 1)
	c.members[0].refuses = "28P01"
	_, connect := start(t, c, nil)
	if got := hello(t, connect()); got[:6] != "SFATAL" {
		t.Errorf("got %q", got)
	}
}

// A frozen server accepts connections and never answers.
func TestAServerThatHangsIsNotWaitedFor(t *testing.T) {
	c := newCluster(t, nil, "db-0", "db-1")
	c.members[0].is("primary", 1)
	c.members[0].mute = true
	_, connect := start(t, c, nil)
	conn := connect()
	if _, err := conn.Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server was asked", func() bool {
		c.members[0].mu.Lock()
		defer c.members[0].mu.Unlock()
		return len(c.members[0].conns) > 0
	})
	c.members[1].is("primary", 2)
	if got := greeting(t, conn); got != "db-1" {
		t.Errorf("%s answered", got)
	}
}

func TestAClientThatLeavesIsForgotten(t *testing.T) {
	g, connect := start(t, newCluster(t, nil, "db-0"), nil)
	conn := connect()
	if _, err := conn.Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection waits", func() bool { return g.Waiting() == 1 })
	_ = conn.Close()
	eventually(t, "nothing waits", func() bool { return g.Waiting() == 0 })
}

func TestALeaderInRecoveryIsNoPrimary(t *testing.T) {
	c := newCluster(t, nil, "db-0")
	c.members[0].code = http.StatusOK // it has the lock, its server is being promoted
	g, connect := start(t, c, nil)
	conn := connect()
	if _, err := conn.Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection waits", func() bool { return g.Waiting() == 1 })
	c.members[0].is("primary", 2)
	if got := greeting(t, conn); got != "db-0" {
		t.Errorf("%s answered", got)
	}
}

func TestTheServiceLeadsToAMemberThatDNSDoesNotKnowYet(t *testing.T) {
	c := newCluster(t, nil, "db-0")
	c.hosts = nil
	c.members[0].is("primary", 1)
	_, connect := start(t, c, func(g *Gate) { g.Finder.Service = c.members[0].host })
	if got := hello(t, connect()); got != "db-0" {
		t.Errorf("%s answered", got)
	}
}

func TestCancelRequestsReachThePrimary(t *testing.T) {
	c := newCluster(t, nil, "db-0")
	c.members[0].is("primary", 1)
	_, connect := start(t, c, nil)
	if _, err := connect().Write(startupMessage(cancelCode)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request has arrived", func() bool {
		c.members[0].mu.Lock()
		defer c.members[0].mu.Unlock()
		return c.members[0].cancels == 1
	})
}

func TestReadersGoToStandbysInTurn(t *testing.T) {
	c := newCluster(t, nil, "db-0", "db-1", "db-2", "db-3")
	c.members[0].is("primary", 1)
	c.members[3].status.XLog.Replayed = 899 // one byte too far behind
	g, connect := start(t, c, func(g *Gate) { g.Standby = true })
	eventually(t, "two standbys are fit", func() bool { v, _ := g.Finder.View(); return len(v.Standbys) == 2 })
	seen := map[string]int{}
	var conns []net.Conn
	for range 4 {
		conns = append(conns, connect())
		seen[hello(t, conns[len(conns)-1])]++
	}
	if seen["db-1"] != 2 || seen["db-2"] != 2 {
		t.Errorf("answers %v", seen)
	}
	for _, m := range c.members[1:3] {
		m.set(func() { m.status.State = "starting" })
	}
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a connection to a standby that is no longer fit was not cut")
		}
	}
	if got := hello(t, connect()); got != "db-0" {
		t.Errorf("%s answered while no standby is fit", got)
	}
}

func TestConnectionsToServersAreEncryptedAndVerified(t *testing.T) {
	ca := httptestCertificate(t)
	c := newCluster(t, &tls.Config{Certificates: []tls.Certificate{ca.pair}}, "db-0")
	c.members[0].is("primary", 1)
	_, connect := start(t, c, func(g *Gate) { g.TLS = &tls.Config{RootCAs: ca.pool, ServerName: "database"} })
	if got := hello(t, connect()); got != "db-0" {
		t.Errorf("%s answered", got)
	}
	g, connect := start(t, c, func(g *Gate) { g.TLS = &tls.Config{RootCAs: ca.pool, ServerName: "other"} })
	if _, err := connect().Write(startupMessage(3 << 16)); err != nil {
		t.Fatal(err)
	}
	before := func() int { c.members[0].mu.Lock(); defer c.members[0].mu.Unlock(); return len(c.members[0].conns) }
	seen := before()
	eventually(t, "the server was asked", func() bool { return before() > seen })
	if g.Waiting() != 1 {
		t.Error("a server with another name was taken")
	}
}
