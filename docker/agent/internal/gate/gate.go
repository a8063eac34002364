package gate

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialTimeout is how long a member may take to accept a connection, and to greet.
	dialTimeout = 2 * time.Second
	// retry is the time between two attempts to reach a member.
	retry = 100 * time.Millisecond
	// startupLimit bounds the first message of a client, in bytes; PostgreSQL's own is 10000.
	startupLimit = 10000
)

// A Gate passes connections on to one kind of member.
type Gate struct {
	Finder *Finder
	// Standby sends connections to standbys in turn, to the primary while there is none.
	Standby bool
	// Port of the servers.
	Port int
	// TLS of connections to the servers; nil for none. Its ServerName is a name that every
	// member's certificate has.
	TLS *tls.Config
	Log *slog.Logger

	turn    atomic.Uint64
	waiting atomic.Int64
	mu      sync.Mutex
	open    map[*pair]struct{}
}

// pair is a connection that was passed on.
type pair struct {
	target Target
	cut    func()
}

// Waiting returns how many connections wait for a member.
func (g *Gate) Waiting() int64 { return g.waiting.Load() }

// Serve passes on what l accepts until ctx ends, and returns when every connection is
// closed.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	g.mu.Lock()
	g.open = map[*pair]struct{}{}
	g.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	wg.Go(func() { g.watch(ctx) })
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("gate: %w", err)
		}
		wg.Go(func() {
			if err := g.pass(ctx, c); err != nil && ctx.Err() == nil {
				g.Log.Debug("connection ended", "err", err)
			}
		})
	}
}

// watch cuts the connections to a member that is no longer what they are for. A server
// that hangs, or that is cut off, would keep them otherwise.
func (g *Gate) watch(ctx context.Context) {
	for {
		view, changed := g.Finder.View()
		g.mu.Lock()
		for p := range g.open {
			if !g.serves(view, p.target) {
				p.cut()
			}
		}
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// serves reports whether a connection to t may go on. No answer from anybody is no
// reason to cut it.
func (g *Gate) serves(v View, t Target) bool {
	if v.Primary != nil && v.Primary.same(t) || v.Primary == nil && len(v.Standbys) == 0 {
		return true
	}
	if !g.Standby {
		return v.Primary == nil
	}
	for _, s := range v.Standbys {
		if s.Name == t.Name {
			return true
		}
	}
	return false
}

// choose returns the member for the next connection; nil for none.
func (g *Gate) choose(v View) *Target {
	if g.Standby && len(v.Standbys) > 0 {
		return &v.Standbys[int(g.turn.Add(1)%uint64(len(v.Standbys)))]
	}
	return v.Primary
}

// pass joins a client with a member.
func (g *Gate) pass(ctx context.Context, client net.Conn) error {
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := startup(client)
	if err != nil {
		return err
	}
	server, greeting, target, err := g.reach(ctx, client, first)
	if err != nil {
		return err
	}
	p := &pair{target: target, cut: func() { _ = raw(server).Close(); _ = client.Close() }}
	g.mu.Lock()
	g.open[p] = struct{}{}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.open, p)
		g.mu.Unlock()
	}()
	stop := context.AfterFunc(ctx, p.cut)
	defer stop()
	if _, err := client.Write(greeting); err != nil {
		p.cut()
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(server, client)
		_ = server.Close() // the server ends what the client has left
		done <- err
	}()
	_, err = io.Copy(client, server)
	p.cut()
	g.Finder.Doubt()
	return errors.Join(err, <-done)
}

// raw is the connection below TLS, whose end is not said to a server that may hang.
func raw(c net.Conn) net.Conn {
	if secure, ok := c.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c
}

// startup reads a client's first message, which has a length but no type.
func startup(client net.Conn) ([]byte, error) {
	if err := client.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(client, head); err != nil {
		return nil, fmt.Errorf("startup: %w", err)
	}
	n := binary.BigEndian.Uint32(head)
	if n < 8 || n > startupLimit {
		return nil, fmt.Errorf("startup: a message of %d bytes", n)
	}
	message := make([]byte, n)
	copy(message, head)
	if _, err := io.ReadFull(client, message[4:]); err != nil {
		return nil, fmt.Errorf("startup: %w", err)
	}
	return message, client.SetReadDeadline(time.Time{})
}

// reach tries until a member has taken the startup message, and returns what it
// answered first; or until the client has gone.
func (g *Gate) reach(ctx context.Context, client net.Conn, first []byte) (net.Conn, []byte, Target, error) {
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	left := leaves(client, cancel)
	defer cancel()
	for {
		view, changed := g.Finder.View()
		if t := g.choose(view); t != nil {
			server, greeting, err := g.dial(ctx, *t, first)
			if err == nil {
				if err := left(); err != nil {
					_ = server.Close()
					return nil, nil, Target{}, err
				}
				return server, greeting, *t, nil
			}
			g.Log.Debug("member does not take a connection", "member", t.Name, "err", err)
			g.Finder.Doubt()
		}
		select {
		case <-ctx.Done():
			_ = left()
			return nil, nil, Target{}, context.Cause(ctx)
		case <-changed:
		case <-time.After(retry):
		}
	}
}

// leaves watches a client that has nothing to say until it is answered, and calls gone
// when it hangs up. The function that it returns ends that.
func leaves(client net.Conn, gone func()) func() error {
	result := make(chan error, 1)
	go func() {
		_, err := client.Read(make([]byte, 1))
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			err = nil
		} else if err == nil {
			err = errors.New("the client spoke before it was answered")
		}
		if err != nil {
			gone()
		}
		result <- err
	}()
	return func() error {
		if err := client.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return err
		}
		if err := <-result; err != nil {
			return err
		}
		return client.SetReadDeadline(time.Time{})
	}
}

// errNotYet says that a server cannot take a connection at this time.
var errNotYet = errors.New("the server is not ready")

// dial connects to a member, hands it the startup message and returns its answer.
func (g *Gate) dial(ctx context.Context, t Target, first []byte) (net.Conn, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	plain, err := d.DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(g.Port)))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = plain.SetDeadline(time.Unix(1, 0)) })
	server, greeting, err := g.greet(ctx, plain, first)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = plain.Close()
		return nil, nil, err
	}
	return server, greeting, nil
}

func (g *Gate) greet(ctx context.Context, server net.Conn, first []byte) (net.Conn, []byte, error) {
	if g.TLS != nil {
		secure, err := encrypt(ctx, server, g.TLS)
		if err != nil {
			return server, nil, err
		}
		server = secure
	}
	if _, err := server.Write(first); err != nil {
		return server, nil, err
	}
	if binary.BigEndian.Uint32(first[4:]) == cancelCode {
		return server, nil, nil // which is never answered
	}
	greeting, err := message(server)
	if err != nil {
		return server, nil, err
	}
	if code := sqlState(greeting); notYet(code) {
		return server, nil, fmt.Errorf("%w: SQLSTATE %s", errNotYet, code)
	}
	return server, greeting, nil
}
