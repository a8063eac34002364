//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

func databaseURL(name string, port int) string {
	u := url.URL{Scheme: "postgresql", User: url.UserPassword("alphapulse_user", password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + name}
	return u.String()
}

func cacheURL(user, password string, port int) string {
	u := url.URL{Scheme: "redis", User: url.UserPassword(user, password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/0"}
	return u.String()
}

// open returns a store that looks at its database.
func open(t testing.TB, name string) *store.Store {
	t.Helper()
	return openLogging(t, name, t.Output())
}

func openLogging(t testing.TB, name string, log io.Writer) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{
		Endpoints: store.Endpoints{Primary: databaseURL(name, database.port)}, Name: "test", MaxConnections: 4, QueryTimeout: 30 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Watch(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		s.Close()
	})
	return s
}

func awaitUp(t testing.TB, s *store.Store) {
	t.Helper()
	select {
	case <-s.Up():
	case <-time.After(patience):
		t.Fatalf("the store never came up: %v", s.Check())
	}
}

func TestMigrationsRunOnce(t *testing.T) {
	name := newDatabase(t)
	var log logBuffer
	stores := make([]*store.Store, 5)
	for i := range stores {
		stores[i] = openLogging(t, name, &log)
	}
	for _, s := range stores {
		awaitUp(t, s)
	}
	if strings.Contains(log.String(), "database lost") {
		t.Errorf("they are in each other's way: %s", log.String())
	}
	if n := query[int](t, name, "SELECT count(*) FROM goose_db_version WHERE version_id > 0"); n != 2 {
		t.Errorf("%d migrations were applied", n)
	}
	awaitUp(t, open(t, name)) // again, on a schema that is there
	if n := query[int](t, name, "SELECT count(*) FROM timescaledb_information.hypertables"); n != 3 {
		t.Errorf("%d hypertables", n)
	}
	if query[bool](t, name, "SELECT rolsuper FROM pg_roles WHERE rolname = 'alphapulse_user'") {
		t.Fatal("this test proves nothing: the role is a superuser")
	}
	if owner := query[string](t, name, "SELECT tableowner FROM pg_tables WHERE tablename = 'ticks'"); owner != "alphapulse_user" {
		t.Errorf("ticks belongs to %s", owner)
	}
}

// A process of the version before must live beside one that has migrated further:
// that is what a rolling update does.
func TestNewerSchemaIsLeftAlone(t *testing.T) {
	name := newDatabase(t)
	awaitUp(t, open(t, name))
	superuser(t, name, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
	awaitUp(t, open(t, name))
}

// The extension is trusted: who may create in the database may create it.
func TestExtensionIsCreatedWhereThatIsAllowed(t *testing.T) {
	databases++
	name := fmt.Sprintf("test%d", databases)
	createDatabase(t, name)
	awaitUp(t, open(t, name))
}

func TestNoExtensionIsSaidAndWaitedFor(t *testing.T) {
	databases++
	name := fmt.Sprintf("test%d", databases)
	createDatabase(t, name)
	superuser(t, name, "ALTER DATABASE "+name+" OWNER TO postgres", "GRANT CONNECT ON DATABASE "+name+" TO alphapulse_user", "GRANT ALL ON SCHEMA public TO alphapulse_user")
	s := open(t, name)
	eventually(t, "a reason", func() error {
		err := s.Check()
		if err == nil {
			t.Fatal("the store came up without the extension")
		}
		return mustContain(err.Error(), "permission denied to create extension")
	})
	superuser(t, name, "CREATE EXTENSION timescaledb SCHEMA public")
	awaitUp(t, s)
}

func TestWrongPassword(t *testing.T) {
	s, err := store.Open(store.Options{
		Endpoints:      store.Endpoints{Primary: strings.Replace(databaseURL("postgres", database.port), url.QueryEscape(password), "wrong", 1)},
		MaxConnections: 1, QueryTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go s.Watch(t.Context())
	eventually(t, "a reason", func() error {
		err := s.Check()
		if err == nil {
			t.Fatal("a wrong password works")
		}
		if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), password) {
			t.Fatalf("the reason has the password: %v", err)
		}
		return mustContain(err.Error(), "password authentication failed")
	})
}
