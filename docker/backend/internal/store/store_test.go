package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What needs a database is tested against real ones in the folder integration.

func lost(t *testing.T, o Options) *Store {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	if o.Primary == "" {
		o.Primary = "postgresql://u:secret@127.0.0.1:1/d"
	}
	o.Name, o.QueryTimeout, o.MaxConnections = "test", 7*time.Second, 3
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func state(code string) error {
	return fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "m"})
}

func TestErrorsOfAFailover(t *testing.T) {
	network := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for name, c := range map[string]struct {
		err                    error
		transient, unavailable bool
	}{
		"the old primary":           {state("25006"), true, true},
		"shutting down":             {state("57P01"), true, true},
		"crashed":                   {state("57P02"), true, true},
		"starting":                  {state("57P03"), true, true},
		"no connection free":        {state("53300"), true, true},
		"the pooler lost it":        {state("08P01"), true, true},
		"connection failure":        {state("08006"), true, true},
		"reset":                     {fmt.Errorf("x: %w", network), true, true},
		"refused":                   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true, true},
		"ended":                     {io.ErrUnexpectedEOF, true, true},
		"closed":                    {pgconn.ErrConnClosed, true, true},
		"lost meanwhile":            {&lostError{errors.New("x")}, true, true},
		"disk full":                 {state("53100"), false, true},
		"wrong password":            {state("28P01"), false, true},
		"no such database":          {state("3D000"), false, true},
		"dropped database":          {state("57P04"), false, true},
		"a constraint":              {state("23505"), false, false},
		"a wrong query":             {state("42703"), false, false},
		"a value that cannot be":    {state("22P02"), false, false},
		"an answer of another form": {errors.New("cannot scan"), false, false},
		"no code":                   {state(""), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := transient(c.err); got != c.transient {
				t.Errorf("is tried again: %v", got)
			}
			if got := unavailable(c.err); got != c.unavailable {
				t.Errorf("is told as a lost database: %v", got)
			}
		})
	}
}

func TestWhatAUserIsTold(t *testing.T) {
	refused := connectError(t)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"the server's words": {state("57P03"), "m (57P03)"},
		"too slow":           {context.DeadlineExceeded, "it does not answer in time"},
		"refused":            {refused, "it cannot be reached"},
		"broken":             {io.ErrUnexpectedEOF, "the connection broke"},
	} {
		if got := reason(c.err); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !strings.Contains(refused.Error(), "127.0.0.1") {
		t.Errorf("this proves nothing: %v", refused)
	}
}

// connectError is what pgx says of a server that is not there.
func connectError(t *testing.T) error {
	t.Helper()
	_, err := pgx.Connect(t.Context(), "postgresql://u:p@127.0.0.1:1/d?sslmode=disable")
	if err == nil {
		t.Fatal("a server answers on port 1")
	}
	return err
}

func TestFailed(t *testing.T) {
	s := lost(t, Options{})
	s.lost.Store(nil)
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	isLost := func(err error) bool { var u *Unavailable; return errors.As(err, &u) }
	for name, c := range map[string]struct {
		ctx context.Context
		err error
		is  func(error) bool
	}{
		"no row":                    {t.Context(), pgx.ErrNoRows, func(err error) bool { return errors.Is(err, ErrNotFound) }},
		"the client left":           {gone, state("57014"), func(err error) bool { return errors.Is(err, context.Canceled) && !isLost(err) }},
		"the request took too long": {late, context.DeadlineExceeded, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) && !isLost(err) }},
		"the server cut it short":   {t.Context(), state("57014"), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) && !isLost(err) }},
		"a lost database":           {t.Context(), state("57P01"), isLost},
		"lost until the end":        {late, state("57P01"), isLost},
		"a bug":                     {t.Context(), state("42703"), func(err error) bool { return !isLost(err) && strings.Contains(err.Error(), "what: ") }},
	} {
		if err := s.failed(c.ctx, "what", c.err); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.lost.Store(&loss{Unavailable: Unavailable{"it is gone"}})
	if err := s.failed(late, "what", context.DeadlineExceeded); !isLost(err) || !strings.Contains(err.Error(), "it is gone") {
		t.Errorf("a request that waited for the database until its end: %v", err)
	}
}

// parameters of a session that a configuration asks for.
func TestSessions(t *testing.T) {
	const url = "postgresql://u:secret@h:1/d"
	straight := lost(t, Options{Endpoints: Endpoints{Primary: url}})
	pooled := lost(t, Options{Endpoints: Endpoints{Primary: url, Standby: "postgresql://u:secret@r:1/d", Direct: "postgresql://u:secret@p:1/d"}})
	build := func(c *pgx.ConnConfig, err error) *pgx.ConnConfig {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		config     *pgx.ConnConfig
		host       string
		parameters string
		mode       pgx.QueryExecMode
		validated  bool
	}{
		"straight": {build(straight.primaryConfig(straight.o.Endpoints)), "h", "map[application_name:test idle_in_transaction_session_timeout:30000 statement_timeout:7000 timezone:UTC]", pgx.QueryExecModeCacheStatement, true},
		// PgBouncer refuses what it does not track, and gives each transaction another session.
		"pooled":          {build(pooled.primaryConfig(pooled.o.Endpoints)), "h", "map[application_name:test timezone:UTC]", pgx.QueryExecModeCacheDescribe, false},
		"standby":         {build(pooled.standbyConfig(pooled.o.Endpoints)), "r", "map[application_name:test timezone:UTC]", pgx.QueryExecModeCacheDescribe, false},
		"leader":          {build(straight.leaderConfig()), "h", "map[application_name:test idle_in_transaction_session_timeout:30000 idle_session_timeout:90000 statement_timeout:60000 timezone:UTC]", pgx.QueryExecModeCacheStatement, true},
		"leader past one": {build(pooled.leaderConfig()), "p", "map[application_name:test idle_in_transaction_session_timeout:30000 idle_session_timeout:90000 statement_timeout:60000 timezone:UTC]", pgx.QueryExecModeCacheStatement, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(c.config.RuntimeParams); got != c.parameters {
				t.Errorf("parameters %s", got)
			}
			if c.config.Host != c.host || c.config.DefaultQueryExecMode != c.mode || (c.config.ValidateConnect != nil) != c.validated {
				t.Errorf("host %s, mode %s, validated %v", c.config.Host, c.config.DefaultQueryExecMode, c.config.ValidateConnect != nil)
			}
			if c.config.ConnectTimeout != 5*time.Second {
				t.Errorf("a connection may take %s", c.config.ConnectTimeout)
			}
		})
	}
	chosen := lost(t, Options{Endpoints: Endpoints{Primary: url + "?default_query_exec_mode=exec&target_session_attrs=any", Direct: url}})
	if c := build(chosen.primaryConfig(chosen.o.Endpoints)); c.DefaultQueryExecMode != pgx.QueryExecModeExec {
		t.Errorf("the URL asks for another mode than %s", c.DefaultQueryExecMode)
	}
	if n := straight.pool.Config().MaxConns; n != 3 {
		t.Errorf("the pool may have %d connections", n)
	}
}

func TestWrongURLsAreSaid(t *testing.T) {
	const wrong = "postgresql://u:secret@h:1/d?sslmode=maybe"
	const right = "postgresql://u:secret@h:1/d"
	for name, e := range map[string]Endpoints{"primary": {Primary: wrong}, "standby": {Primary: right, Standby: wrong}, "direct": {Primary: right, Direct: wrong}} {
		_, err := Open(Options{Endpoints: e, MaxConnections: 1, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "sslmode") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// New connections log in with what is true now, and under the newest role.
func TestRenewedCredentialsAreUsed(t *testing.T) {
	now, broken := Endpoints{Primary: "postgresql://one:1@h:1/d"}, false
	s := lost(t, Options{Endpoints: now, Current: func() (Endpoints, error) {
		if broken {
			return Endpoints{}, errors.New("the file is just being replaced")
		}
		return now, nil
	}})
	used := func() string {
		t.Helper()
		c := s.pool.Config().ConnConfig
		if err := s.pool.Config().BeforeConnect(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s:%s@%s:%d", c.User, c.Password, c.Host, c.Port)
	}
	if got := used(); got != "one:1@h:1" {
		t.Errorf("log in with %s", got)
	}
	now.Primary = "postgresql://two:2@other:2/d"
	if got := used(); got != "two:2@other:2" {
		t.Errorf("log in with %s", got)
	}
	if c, err := s.leaderConfig(); err != nil || c.User != "two" {
		t.Errorf("the engine logs in as %s, %v", c.User, err)
	}
	broken = true
	if got := used(); got != "one:1@h:1" {
		t.Errorf("while the file is replaced: log in with %s", got)
	}
}

// attempts counts what try does.
func attempts(ctx context.Context, s *Store, errs ...error) (int, error) {
	n := 0
	_, err := try(ctx, s, "q", func(context.Context, *pgxpool.Pool) (int, error) {
		n++
		if n <= len(errs) {
			return 0, errs[n-1]
		}
		return n, nil
	})
	return n, err
}

func TestAFailoverIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lost(t, Options{Patience: 30 * time.Second})
		var u *Unavailable
		if n, err := attempts(t.Context(), s); n != 0 || !errors.As(err, &u) {
			t.Errorf("a database that was never there is tried: %d, %v", n, err)
		}
		s.lost.Store(nil)
		if n, err := attempts(t.Context(), s, io.ErrUnexpectedEOF, state("57P03"), state("25006")); n != 4 || err != nil {
			t.Errorf("%d attempts, %v", n, err)
		}
		if n := testutil.ToFloat64(s.o.Metrics.retries.WithLabelValues("q")); n != 3 {
			t.Errorf("%v attempts counted", n)
		}
		select {
		case <-s.kick:
		default:
			t.Error("nobody looks at the database")
		}
		if n, err := attempts(t.Context(), s, state("23505")); n != 1 || err == nil || errors.As(err, &u) {
			t.Errorf("an error that stays is tried again: %d, %v", n, err)
		}

		// The request's time is the limit.
		always := make([]error, 1000)
		for i := range always {
			always[i] = state("57P03")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		if n, err := attempts(ctx, s, always...); n < 10 || n > 40 || !errors.As(err, &u) {
			t.Errorf("%d attempts in ten seconds, %v", n, err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %s of the made-up clock", took)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lost(t, Options{Patience: 30 * time.Second})
		s.lost.Store(nil)
		s.lose(state("57P01"))
		time.Sleep(29 * time.Second)
		s.lose(state("57P03")) // another reason for the same loss
		if err := s.Check(); err != nil {
			t.Errorf("after 29 s: %v", err)
		}
		if s.Lost() == "" {
			t.Error("the database does not count as lost")
		}
		time.Sleep(time.Second)
		if n, err := attempts(t.Context(), s); n != 0 || err == nil || !strings.Contains(err.Error(), "57P03") {
			t.Errorf("after 30 s: %d attempts, %v", n, err)
		}

		hasty := lost(t, Options{})
		hasty.lost.Store(nil)
		if n, err := attempts(t.Context(), hasty, io.EOF); n != 1 || err == nil {
			t.Errorf("without patience: %d attempts, %v", n, err)
		}
		hasty.lose(io.EOF)
		if hasty.Check() == nil {
			t.Error("without patience a lost database is waited for")
		}
	})
}

// A server that vanished answers nothing: what waits for it begins anew.
func TestALossEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lost(t, Options{Patience: 30 * time.Second})
		s.lost.Store(nil)
		done := make(chan error, 1)
		n := 0
		go func() {
			_, err := try(t.Context(), s, "q", func(ctx context.Context, _ *pgxpool.Pool) (int, error) {
				if n++; n == 1 {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return n, nil
			})
			done <- err
		}()
		synctest.Wait()
		s.lose(errors.New("gone"))
		s.lost.Store(nil) // and back
		if err := <-done; err != nil || n != 2 {
			t.Errorf("%d attempts, %v", n, err)
		}
	})
}
