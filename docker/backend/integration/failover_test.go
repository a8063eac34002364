//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pair is a primary with a standby that follows it, and the addresses that lead to
// whichever has the role.
type pair struct {
	primary, standby *server
	// write, read and direct lead to the primary, to the standby and past a pooler.
	write, read *proxy
}

var folders int

func newPair(t testing.TB) *pair {
	t.Helper()
	folders++
	folder := fmt.Sprintf("pair%d", folders)
	p := &pair{}
	var err error
	if p.primary, err = startCluster(database.root, folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.primary.kill() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := asSuperuser(ctx, p.primary, "postgres", "CREATE DATABASE alphapulse OWNER alphapulse_user TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	if err := asSuperuser(ctx, p.primary, "alphapulse", "CREATE EXTENSION timescaledb SCHEMA public"); err != nil {
		t.Fatal(err)
	}
	backup := isolate(exec.CommandContext(ctx, postgresBin+"pg_basebackup", "-h", "/test", "-p", fmt.Sprint(p.primary.port), "-U", "postgres",
		"-D", "/test/"+folder+"s", "-R", "-X", "stream", "-c", "fast"), database.root, databaseUser)
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if p.standby, err = startPostgres(database.root, folder+"s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.standby.kill() })
	p.write, p.read = newProxy(t, p.primary), newProxy(t, p.standby)
	// What was acknowledged is on the standby, too.
	if err := asSuperuser(ctx, p.primary, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) ask(t testing.TB, s *server, name string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := asSuperuser(ctx, s, name, statements...); err != nil {
		t.Fatal(err)
	}
}

// failOver makes the standby the primary, some seconds after the primary was killed.
func (p *pair) failOver(t testing.TB) {
	t.Helper()
	p.primary.kill()
	p.write.set(refuse)
	time.Sleep(3 * time.Second) // until somebody notices
	p.ask(t, p.standby, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()", "SELECT pg_promote()")
	p.write.lead(p.standby)
	p.write.set(pass)
}

// pooler is PgBouncer as the platform runs it, between a proxy and its clients.
func newPooler(t testing.TB, target int) *server {
	t.Helper()
	path, err := archive("pgbouncer", "PGBOUNCER_ARCHIVE")
	if err != nil {
		t.Fatal(err)
	}
	folders++
	root := filepath.Join(filepath.Dir(database.root), fmt.Sprintf("pgbouncer%d", folders))
	if err := unpack(path, root); err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"users.txt": fmt.Sprintf("%q %q\n", "alphapulse_user", password),
		// Without prepared statements, as old poolers are: what works here works with all.
		"pgbouncer.ini": fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /users.txt
pool_mode = transaction
max_prepared_statements = 0
default_pool_size = 4
server_login_retry = 1
query_wait_timeout = 60
`, target, port),
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{root: root, uid: 1000, port: port, args: []string{"/usr/sbin/pgbouncer", "/pgbouncer.ini"}}
	s.ready = listens(port)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// visitors read and write without a pause, and remember what was not answered.
type visitors struct {
	reads, writes, failed atomic.Int64
	first                 atomic.Value
	last                  atomic.Int64 // acknowledged write
	browser               *http.Client
	base                  string
	stop                  func()
}

func (v *visitors) fail(what string) {
	v.failed.Add(1)
	v.first.CompareAndSwap(nil, what)
}

func newVisitors(t testing.TB, base string) *visitors {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitors{browser: &http.Client{Jar: jar}, base: base}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	v.stop = sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
	t.Cleanup(v.stop)
	forever := func(f func(i int)) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
	for i, path := range []string{"/api/symbols?offset=%d", "/api/signals/latest?offset=%d", "/api/symbols/SIM0001USDT/candles?limit=%d", "/api/pnl?limit=%d"} {
		forever(func(n int) {
			if status, body, _ := get(t, http.DefaultClient, base+fmt.Sprintf(path, n%900+i+1)); status != 200 {
				v.fail(fmt.Sprintf("read: %d %s", status, body))
			}
			v.reads.Add(1)
		})
	}
	forever(func(n int) {
		n = n%40 + 1
		if err := v.write(n); err != nil {
			v.fail("write: " + err.Error())
		} else {
			v.last.Store(int64(n))
		}
		v.writes.Add(1)
	})
	return v
}

func (v *visitors) write(n int) error {
	response, err := v.browser.Post(v.base+"/api/watchlist", "application/json", strings.NewReader(fmt.Sprintf(`{"symbols":["SIM%04dUSDT"]}`, n)))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s %s", response.Status, body)
	}
	return nil
}

// more waits until so many more requests were answered.
func (v *visitors) more(t testing.TB, n int64) {
	t.Helper()
	reads, writes := v.reads.Load()+n, v.writes.Load()+n
	eventually(t, "more answers", func() error {
		if v.reads.Load() < reads || v.writes.Load() < writes {
			return fmt.Errorf("%d reads and %d writes", v.reads.Load(), v.writes.Load())
		}
		return nil
	})
}

func (v *visitors) report(t testing.TB) {
	t.Helper()
	v.stop()
	t.Logf("%d reads, %d writes, %d failed", v.reads.Load(), v.writes.Load(), v.failed.Load())
	if v.failed.Load() > 0 {
		t.Errorf("%d requests failed, the first: %v", v.failed.Load(), v.first.Load())
	}
	want := fmt.Sprintf(`{"symbols":["SIM%04dUSDT"]}`, v.last.Load())
	if _, body, _ := get(t, v.browser, v.base+"/api/watchlist"); body != want {
		t.Errorf("the last list that was saved is %s, read is %s", want, body)
	}
}

var retried = regexp.MustCompile(`(?m)^database_retries_total\{query="[^"]+"\} [1-9]`)

func TestFailoverIsLatencyNotErrors(t *testing.T) {
	for name, c := range map[string]struct{ pooled, standby, cached bool }{
		"straight":         {},
		"with a standby":   {standby: true},
		"behind a pooler":  {pooled: true},
		"with all of them": {pooled: true, standby: true, cached: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			port := p.write.port()
			if c.pooled {
				port = newPooler(t, port).port
			}
			s := newStack(t, "DATABASE_URL", databaseURL("alphapulse", port), "DATABASE_PATIENCE", "1m", "REQUEST_TIMEOUT", "60", "REDIS_ENABLED", strconv.FormatBool(c.cached))
			if c.pooled {
				s.env = append(s.env, "DATABASE_DIRECT_URL", databaseURL("alphapulse", p.write.port()))
			}
			if c.standby {
				s.env = append(s.env, "DATABASE_READ_URL", databaseURL("alphapulse", p.read.port()))
			}
			api := s.start("api")
			engine := s.start("engine")
			s.ready(api)
			v := newVisitors(t, api.url)
			v.more(t, 20)
			p.failOver(t)
			v.more(t, 20)
			// The engine goes on as well.
			s.await(engine.url+"/metrics", 200, "alphapulse_engine_leader 1", "database_up 1")
			v.report(t)
			if status, body := s.get(api.url + "/ready"); status != 200 {
				t.Errorf("afterwards: %d %s", status, body)
			}
			// Which query of a request it is that the failover meets, is chance.
			if _, text := s.get(api.url + "/metrics"); !retried.MatchString(text) {
				t.Error("no request met the failover: this proves nothing")
			} else if c.standby == strings.Contains(text, `database_reads_total{server="standby"} 0`) {
				t.Errorf("reads from a standby: %v wanted", c.standby)
			}
		})
	}
}

// A server that vanished without a word: nothing answers, nothing ends.
func TestFrozenPrimaryIsLeft(t *testing.T) {
	p := newPair(t)
	s := newStack(t, "DATABASE_URL", databaseURL("alphapulse", p.write.port()), "DATABASE_PATIENCE", "1m", "REQUEST_TIMEOUT", "60", "REDIS_ENABLED", "false")
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	v := newVisitors(t, api.url)
	v.more(t, 20)
	p.write.set(freeze)
	s.await(api.url+"/ready", 200, `"status":"degraded"`, `"database":"it does not answer in time"`)
	p.ask(t, p.standby, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()", "SELECT pg_promote()")
	// The Service leads elsewhere now; what hangs goes on hanging.
	p.write.lead(p.standby)
	p.write.passNew()
	v.more(t, 20)
	v.report(t)
}

// A planned change of roles: the old primary stays, and takes no writes any more.
func TestReadOnlyPrimaryIsLeft(t *testing.T) {
	p := newPair(t)
	s := newStack(t, "DATABASE_URL", databaseURL("alphapulse", p.write.port()), "DATABASE_PATIENCE", "1m", "REQUEST_TIMEOUT", "60", "REDIS_ENABLED", "false")
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	v := newVisitors(t, api.url)
	v.more(t, 20)
	p.ask(t, p.primary, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	time.Sleep(2 * time.Second)
	p.ask(t, p.standby, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()", "SELECT pg_promote()")
	p.write.lead(p.standby)
	v.more(t, 20)
	v.report(t)
}

func TestStandbyIsReadWhileItIsFresh(t *testing.T) {
	p := newPair(t)
	s := newStack(t, "DATABASE_URL", databaseURL("alphapulse", p.write.port()), "DATABASE_READ_URL", databaseURL("alphapulse", p.read.port()), "DATABASE_MAX_LAG", "2s", "REDIS_ENABLED", "false")
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	counted := func(what string) float64 {
		t.Helper()
		_, text := s.get(api.url + "/metrics")
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(line, what+" "); ok {
				n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("no %s", what)
		return 0
	}
	grows := func(what string) {
		t.Helper()
		before := counted(what)
		eventually(t, "more of "+what, func() error {
			if status, body := s.get(api.url + "/api/symbols"); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			if n := counted(what); n <= before {
				return fmt.Errorf("it is %v", n)
			}
			return nil
		})
	}
	fresh := func() {
		t.Helper()
		_, body := s.get(api.url + "/api/symbols?limit=1")
		if age := time.Since(decode[listOf[quote]](t, body).Items[0].TS); age > 30*time.Second {
			t.Errorf("a price of %s ago is told as the present one", age)
		}
	}
	grows(`database_reads_total{server="standby"}`)

	// It stops repeating what the primary does: nobody sees the past.
	p.ask(t, p.primary, "postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	p.ask(t, p.standby, "postgres", "SELECT pg_wal_replay_pause()")
	grows(`database_standby_fallbacks_total{reason="behind"}`)
	before := counted(`database_reads_total{server="standby"}`)
	fresh()
	if n := counted(`database_reads_total{server="standby"}`); n != before {
		t.Error("a standby that stands still is read")
	}
	p.ask(t, p.standby, "postgres", "SELECT pg_wal_replay_resume()")
	grows(`database_reads_total{server="standby"}`)

	// It is gone: the primary answers.
	for _, m := range []mode{refuse, freeze} {
		p.read.set(m)
		grows(`database_standby_fallbacks_total{reason="away"}`)
		fresh()
		if status, body := s.get(api.url + "/ready"); status != 200 {
			t.Errorf("without a standby: %d %s", status, body)
		}
		p.read.set(pass)
		grows(`database_reads_total{server="standby"}`)
	}
}

// While nobody can write, the past of a standby is the present, for a while.
func TestStandbyIsReadWithoutAPrimary(t *testing.T) {
	for lag, want := range map[string]int{"1h": 200, "1s": 503} {
		t.Run(lag, func(t *testing.T) {
			p := newPair(t)
			s := newStack(t, "DATABASE_URL", databaseURL("alphapulse", p.write.port()), "DATABASE_READ_URL", databaseURL("alphapulse", p.read.port()),
				"DATABASE_MAX_LAG", lag, "DATABASE_PATIENCE", "5m", "REQUEST_TIMEOUT", "3", "REDIS_ENABLED", "false")
			api := s.start("api")
			engine := s.start("engine")
			s.ready(api)
			engine.stop()
			p.write.set(refuse)
			s.await(api.url+"/metrics", 200, "database_up 0")
			time.Sleep(1500 * time.Millisecond) // of the lag that is allowed, at most
			if status, body := s.get(api.url + "/api/symbols"); status != want {
				t.Errorf("%d %s, want %d", status, body, want)
			}
			// What a user has saved is read where it was saved, whatever the standby says.
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.url+"/api/watchlist", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.AddCookie(&http.Cookie{Name: "alphapulse_watchlist", Value: strings.Repeat("A", 26)})
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != 503 {
				t.Errorf("a watchlist without a primary: %s", response.Status)
			}
		})
	}
}
