package pooler

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/gate"
)

// console is a made-up PgBouncer.
type console struct {
	mu      sync.Mutex
	paused  bool
	busy    bool // a transaction does not end
	refuses bool
	resumes int
	// stopping refuses to resume, as PgBouncer does, and stopped is its end.
	stopping, stopped bool
}

func (c *console) Pause(ctx context.Context) error {
	c.mu.Lock()
	if c.refuses {
		c.mu.Unlock()
		return errors.New("no console")
	}
	c.paused = true
	busy := c.busy
	c.mu.Unlock()
	if busy {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (c *console) Resume(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return ErrStopping
	}
	c.paused = false
	c.resumes++
	return nil
}

func (c *console) Stop(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return nil
}

func (c *console) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// control has a finder whose only member is a primary that was started at a time.
func control(t *testing.T, admin Admin) (c *Control, restart func()) {
	t.Helper()
	var started atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"state":"running","role":"primary","timeline":1,"postmaster_start_time":"` + strconv.FormatInt(started.Load(), 10) + `","patroni":{"name":"db-0"}}`))
	}))
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	finder := &gate.Finder{Members: "m", Service: host, Port: n, Log: log, Lookup: func(context.Context, string) ([]string, error) { return []string{host}, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { finder.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	eventually(t, "the primary is known", func() bool { v, _ := finder.View(); return v.Primary != nil })
	return &Control{Admin: admin, Finder: finder, User: "control", Password: "secret", Log: log, Drain: 50 * time.Millisecond}, func() { started.Add(1) }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not after 20 s", what)
		}
	}
}

func TestAPauseEndsWithAnotherPrimary(t *testing.T) {
	admin := &console{}
	c, restart := control(t, admin)
	drained, err := c.Pause(t.Context())
	if err != nil || !drained || !admin.isPaused() {
		t.Fatalf("drained %t, paused %t, %v", drained, admin.isPaused(), err)
	}
	if _, err := c.Pause(t.Context()); !errors.Is(err, ErrPaused) {
		t.Errorf("a second pause: %v", err)
	}
	restart()
	eventually(t, "it goes on after the restart", func() bool { return !admin.isPaused() })
	eventually(t, "it can be paused again", func() bool { _, err := c.Pause(t.Context()); return err == nil })
	c.Resume()
	eventually(t, "it goes on", func() bool { return !admin.isPaused() })
}

func TestAPauseEndsOnRequestAndByItself(t *testing.T) {
	for what, c := range map[string]struct {
		hold time.Duration
		end  func(*Control)
	}{
		"request": {0, (*Control).Resume},
		"time":    {20 * time.Millisecond, func(*Control) {}},
	} {
		t.Run(what, func(t *testing.T) {
			admin := &console{}
			control, _ := control(t, admin)
			control.Hold = c.hold
			if _, err := control.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.end(control)
			eventually(t, "it goes on", func() bool { return !admin.isPaused() })
		})
	}
}

// PgBouncer that was told to stop while it is paused never resumes: whoever it holds back
// would wait until it is killed.
func TestClientsOfAPoolerThatStopsAreSentAway(t *testing.T) {
	admin := &console{}
	c, restart := control(t, admin)
	if _, err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin.mu.Lock()
	admin.stopping = true
	admin.mu.Unlock()
	restart()
	eventually(t, "it ends", func() bool {
		admin.mu.Lock()
		defer admin.mu.Unlock()
		return admin.stopped
	})
}

// A transaction that lasts is no reason to stay, and none to hold nobody back.
func TestALongTransactionIsNotWaitedFor(t *testing.T) {
	admin := &console{busy: true}
	c, _ := control(t, admin)
	drained, err := c.Pause(t.Context())
	if err != nil || drained || !admin.isPaused() {
		t.Errorf("drained %t, paused %t, %v", drained, admin.isPaused(), err)
	}
}

func TestAPauseThatFailsHoldsNothing(t *testing.T) {
	admin := &console{refuses: true}
	c, _ := control(t, admin)
	if _, err := c.Pause(t.Context()); err == nil {
		t.Fatal("no error")
	}
	admin.refuses = false
	if _, err := c.Pause(t.Context()); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestOnlyWhoLogsInPauses(t *testing.T) {
	admin := &console{}
	c, _ := control(t, admin)
	server := httptest.NewServer(c.Handler())
	defer server.Close()
	post := func(user, password, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, who := range [][2]string{{"", ""}, {"control", "wrong"}, {"other", "secret"}} {
		if code := post(who[0], who[1], "/pause"); code != http.StatusUnauthorized {
			t.Errorf("%q: %d", who, code)
		}
	}
	if admin.isPaused() {
		t.Error("it was paused by nobody")
	}
	if code := post("control", "secret", "/pause"); code != http.StatusOK || !admin.isPaused() {
		t.Errorf("pause: %d, paused %t", code, admin.isPaused())
	}
	if code := post("control", "secret", "/pause"); code != http.StatusConflict {
		t.Errorf("a second pause: %d", code)
	}
	if code := post("control", "secret", "/resume"); code != http.StatusOK {
		t.Errorf("resume: %d", code)
	}
	eventually(t, "it goes on", func() bool { return !admin.isPaused() })
}

// While a password is changed, members that have not been told yet are obeyed.
func TestTheFormerPasswordIsAccepted(t *testing.T) {
	for former, want := range map[string]int{"": http.StatusUnauthorized, "former": http.StatusOK} {
		admin := &console{}
		c, _ := control(t, admin)
		c.Former = former
		server := httptest.NewServer(c.Handler())
		defer server.Close()
		for _, password := range []string{"former", ""} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/pause", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("control", password)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if password == "" && resp.StatusCode != http.StatusUnauthorized || password != "" && resp.StatusCode != want {
				t.Errorf("former %q, password %q: %d", former, password, resp.StatusCode)
			}
		}
	}
}

func TestReadersGoToANewStandby(t *testing.T) {
	const lead, follow = "127.0.0.1", "127.0.0.2"
	first, err := net.Listen("tcp", lead+":0")
	if err != nil {
		t.Fatal(err)
	}
	port := first.Addr().(*net.TCPAddr).Port
	second, err := net.Listen("tcp", net.JoinHostPort(follow, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		code  int
		state string
	}
	for l, a := range map[net.Listener]answer{
		first:  {http.StatusOK, `{"state":"running","role":"primary","timeline":1,"postmaster_start_time":"0","patroni":{"name":"db-0"}}`},
		second: {http.StatusServiceUnavailable, `{"state":"running","role":"replica","timeline":1,"postmaster_start_time":"1","patroni":{"name":"db-1"}}`},
	} {
		server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(a.code)
			_, _ = w.Write([]byte(a.state))
		})}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	var standby atomic.Bool
	finder := &gate.Finder{Members: "m", Service: lead, Port: port, Log: slog.New(slog.DiscardHandler), Lookup: func(context.Context, string) ([]string, error) {
		if standby.Load() {
			return []string{lead, follow}, nil
		}
		return []string{lead}, nil
	}}
	var asked atomic.Int64
	r := &Readers{Finder: finder, Database: "reading", Log: finder.Log, Reconnect: func(_ context.Context, database string) error {
		if database != "reading" {
			t.Errorf("database %q", database)
		}
		if asked.Add(1) == 1 {
			return errors.New("no console yet")
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { finder.Run(ctx) })
	wg.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	eventually(t, "the primary is known", func() bool { v, _ := finder.View(); return v.Primary != nil })
	if n := asked.Load(); n != 0 {
		t.Errorf("readers were sent away %d times while there was no standby", n)
	}
	standby.Store(true)
	eventually(t, "a refused request is made again", func() bool { return asked.Load() == 2 })
	time.Sleep(50 * time.Millisecond)
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times for one standby, want 2 with the refused one", n)
	}
}
