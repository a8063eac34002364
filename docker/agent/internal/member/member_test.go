package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/kube"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

var quiet = slog.New(slog.DiscardHandler)

// pods are made up.
type pods map[string]map[string]string

func (p pods) Pods(_ context.Context, selector string) ([]kube.Pod, error) {
	if selector != "cluster-name=db,role=primary" && selector != "cluster-name=db" {
		return nil, fmt.Errorf("selector %q", selector)
	}
	var found []kube.Pod
	for name, labels := range p {
		if labels[RoleLabel] == Primary || selector == "cluster-name=db" {
			found = append(found, kube.Pod{Name: name, Stopping: labels["stopping"] != ""})
		}
	}
	return found, nil
}

func (p pods) Label(_ context.Context, pod, label, value string) error {
	if pod == "locked" {
		return errors.New("no right")
	}
	p[pod][label] = value
	return nil
}

func TestTheNewPrimaryTakesTheLabel(t *testing.T) {
	p := pods{"db-0": {RoleLabel: Primary}, "db-1": {RoleLabel: Primary}, "db-2": {RoleLabel: Replica}}
	if err := RoleChanged(t.Context(), p, quiet, "db-1", Primary, "db"); err != nil {
		t.Fatal(err)
	}
	if p["db-0"][RoleLabel] != Replica || p["db-1"][RoleLabel] != Primary {
		t.Errorf("labels %v", p)
	}
	p = pods{"db-0": {RoleLabel: Primary}}
	if err := RoleChanged(t.Context(), p, quiet, "db-1", Replica, "db"); err != nil || p["db-0"][RoleLabel] != Primary {
		t.Errorf("a new standby changed %v, %v", p, err)
	}
	p = pods{"locked": {RoleLabel: Primary}, "db-0": {RoleLabel: Primary}}
	if err := RoleChanged(t.Context(), p, quiet, "db-1", Primary, "db"); err == nil || p["db-0"][RoleLabel] != Replica {
		t.Errorf("one that fails keeps the others: %v, %v", p, err)
	}
}

const verifier = "SCRAM-SHA-256$4096:c2FsdA==$YWJj:ZGVm"

func TestDeclarationsThatAreRefused(t *testing.T) {
	good := `{"database":"app","owner":"app_user","logins":[{"name":"app_user","kind":"application","verifier":"` + verifier + `"}]}`
	if d, err := Parse([]byte(good)); err != nil || len(d.Logins) != 1 {
		t.Fatalf("a good one: %v", err)
	}
	for what, c := range map[string][2]string{
		"no JSON":            {`{`, "declared roles"},
		"the superuser":      {strings.ReplaceAll(good, "app_user", "postgres"), `"postgres"`},
		"a group's name":     {strings.ReplaceAll(good, `"kind"`, `"group":"a; drop","kind"`), `the group of login app_user is "a; drop"`},
		"SQL in a name":      {strings.ReplaceAll(good, "app_user", "a; drop"), `"a; drop"`},
		"a plain password":   {strings.ReplaceAll(good, verifier, "hunter2"), "no SCRAM-SHA-256 verifier"},
		"an unknown kind":    {strings.ReplaceAll(good, "application", "admin"), `"admin"`},
		"the same one twice": {strings.ReplaceAll(good, "]}", `,{"name":"app_user","kind":"pooling","verifier":"`+verifier+`"}]}`), "twice"},
	} {
		_, err := Parse([]byte(c[0]))
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a password: %v", what, err)
		}
	}
}

// site is a made-up Patroni and a pooler, which write down what they are asked.
type site struct {
	mu       sync.Mutex
	calls    []string
	role     string
	members  []patroni.Member
	refuse   bool // the switchover
	config   map[string]any
	pending  bool
	reasons  map[string]any // of the pending restart
	notFound bool           // the pooler
	strange  bool           // the pooler knows another password
}

func (s *site) saw() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	if r.Method != http.MethodGet && (user != "control" || password != "secret") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&body)
	call := r.Method + " " + r.URL.Path
	if c, ok := body["candidate"]; ok {
		call += fmt.Sprintf(" %v to %v", body["leader"], c)
	}
	s.calls = append(s.calls, call)
	switch r.Method + " " + r.URL.Path {
	case "GET /primary":
		if s.role != "primary" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"state": "running", "role": s.role, "pending_restart": s.pending, "pending_restart_reason": s.reasons, "patroni": map[string]string{"name": "db-1"}})
	case "GET /cluster":
		_ = json.NewEncoder(w).Encode(map[string]any{"members": s.members})
	case "POST /switchover":
		if s.refuse {
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	case "GET /config":
		_ = json.NewEncoder(w).Encode(s.config)
	case "PUT /config":
		s.config = body
	case "POST /pause":
		if s.notFound {
			w.WriteHeader(http.StatusNotFound)
		}
		if s.strange {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(`{"drained":true}`))
	}
}

// at serves the site and returns the handover of the member there.
func (s *site) at(t *testing.T) *Handover {
	t.Helper()
	server := httptest.NewServer(s) // Patroni
	t.Cleanup(server.Close)
	poolers := httptest.NewTLSServer(s)
	poolers.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(poolers.Close)
	trusted := poolers.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trusted.ServerName = "example.com" // of httptest's certificate
	host, port, err := net.SplitHostPort(poolers.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return &Handover{
		Patroni: patroni.Client{User: "control", Password: "secret"}, Member: server.Listener.Addr().String(), Poolers: "poolers", PoolerPort: n, TLS: trusted,
		Lookup: func(context.Context, string) ([]string, error) { return []string{host}, nil },
		Checkpoint: func(context.Context) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.calls = append(s.calls, "CHECKPOINT")
			return nil
		},
		Log: quiet,
	}
}

var three = []patroni.Member{
	{Name: "db-0", Role: "replica", State: "streaming"}, {Name: "db-1", Role: "leader", State: "running"}, {Name: "db-2", Role: "quorum_standby", State: "streaming"},
}

func TestHandover(t *testing.T) {
	ask := []string{"GET /primary", "GET /cluster"}
	for what, c := range map[string]struct {
		site  *site
		calls []string
		fails bool
	}{
		"to the quorum":         {&site{role: "primary", members: three}, append(slices.Clone(ask), "CHECKPOINT", "POST /pause", "POST /switchover db-1 to db-2"), false},
		"not the primary":       {&site{role: "replica", members: three}, ask[:1], false},
		"alone":                 {&site{role: "primary", members: three[1:2]}, append(slices.Clone(ask), "CHECKPOINT", "POST /pause"), false},
		"refused":               {&site{role: "primary", members: three, refuse: true}, append(slices.Clone(ask), "CHECKPOINT", "POST /pause", "POST /switchover db-1 to db-2", "POST /resume"), true},
		"another password":      {&site{role: "primary", members: three, strange: true}, append(slices.Clone(ask), "CHECKPOINT", "POST /pause", "POST /switchover db-1 to db-2"), false},
		"a pooler that is gone": {&site{role: "primary", members: three, notFound: true}, append(slices.Clone(ask), "CHECKPOINT", "POST /pause", "POST /switchover db-1 to db-2"), false},
	} {
		t.Run(what, func(t *testing.T) {
			s := c.site
			if err := s.at(t).Run(t.Context()); (err != nil) != c.fails {
				t.Errorf("%v", err)
			}
			if !slices.Equal(s.saw(), c.calls) {
				t.Errorf("calls %q, want %q", s.saw(), c.calls)
			}
		})
	}
}

// A password is told to nobody who does not prove that he is a pooler.
func TestHandoverTellsNoStranger(t *testing.T) {
	s := &site{role: "primary", members: three}
	h := s.at(t)
	h.TLS.ServerName = "another.example.org"
	if err := h.Run(t.Context()); err != nil {
		t.Errorf("it stays: %v", err)
	}
	if want := []string{"GET /primary", "GET /cluster", "CHECKPOINT", "POST /switchover db-1 to db-2"}; !slices.Equal(s.saw(), want) {
		t.Errorf("calls %q, want %q", s.saw(), want)
	}
}

// Patroni is asked over TLS where it speaks it, and told the password by nobody who does not
// know it.
func TestHandoverKnowsItsPatroni(t *testing.T) {
	for name, known := range map[string]bool{"example.com": true, "another.example.org": false} {
		s := &site{role: "primary", members: three}
		h := s.at(t)
		secure := httptest.NewTLSServer(s)
		t.Cleanup(secure.Close)
		secure.Config.ErrorLog = log.New(io.Discard, "", 0)
		h.Member = secure.Listener.Addr().String()
		h.Patroni.TLS = h.TLS.Clone()
		h.Patroni.TLS.ServerName = name
		err := h.Run(t.Context())
		if calls := s.saw(); known != (err == nil) || known != slices.Contains(calls, "POST /switchover db-1 to db-2") || !known && len(calls) > 0 {
			t.Errorf("%s: %v, calls %q", name, err, calls)
		}
	}
}

func TestCandidate(t *testing.T) {
	member := func(name, role, state string) patroni.Member {
		return patroni.Member{Name: name, Role: role, State: state}
	}
	for what, c := range map[string]struct {
		members []patroni.Member
		want    string
		err     error
	}{
		"only the quorum has all":  {[]patroni.Member{member("db-1", "replica", "streaming"), member("db-2", "quorum_standby", "streaming")}, "db-2", nil},
		"the lowest, by number":    {[]patroni.Member{member("db-10", "quorum_standby", "streaming"), member("db-3", "quorum_standby", "streaming")}, "db-3", nil},
		"not one that stopped":     {[]patroni.Member{member("db-1", "quorum_standby", "stopped"), member("db-4", "sync_standby", "streaming")}, "db-4", nil},
		"not one that is stopping": {[]patroni.Member{member("db-5", "quorum_standby", "streaming"), member("db-6", "quorum_standby", "streaming")}, "db-6", nil},
		"one that has just come":   {[]patroni.Member{member("db-1", "replica", "starting"), member("db-5", "quorum_standby", "streaming")}, "", patroni.ErrNotYet},
		"all others are stopping":  {[]patroni.Member{member("db-5", "quorum_standby", "streaming")}, "", patroni.ErrNoCandidate},
		"nobody":                   {nil, "", patroni.ErrNoCandidate},
	} {
		got, err := patroni.Candidate(append(c.members, member("db-0", "leader", "running")), "db-0", map[string]bool{"db-5": true})
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", what, got, err, c.want, c.err)
		}
	}
}

// Two of three members go at once, and the one that stays has only just come.
func TestHandoverWaitsForTheOneThatStays(t *testing.T) {
	s := &site{role: "primary", members: []patroni.Member{{Name: "db-0", Role: "replica", State: "starting"}, three[1], three[2]}}
	h := s.at(t)
	asked := 0
	h.Stopping = func(ctx context.Context) (map[string]bool, error) {
		if asked++; asked == 3 {
			s.mu.Lock()
			s.members = []patroni.Member{{Name: "db-0", Role: "quorum_standby", State: "streaming"}, three[1], three[2]}
			s.mu.Unlock()
		}
		return Stopping(ctx, pods{"db-0": {}, "db-1": {"stopping": "yes"}, "db-2": {"stopping": "yes"}}, "db")
	}
	if err := h.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls := s.saw(); calls[len(calls)-1] != "POST /switchover db-1 to db-0" || slices.Index(calls, "POST /pause") != len(calls)-2 {
		t.Errorf("calls %q", calls)
	}
}

func TestDynamicConfigurationIsAppliedOnceAndKeepsAnOperatorsPause(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dynamic.json")
	if err := os.WriteFile(file, []byte(`{"ttl": 20, "postgresql": {"parameters": {"max_connections": "100"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &site{role: "primary", config: map[string]any{"ttl": 30, "pause": true}}
	h := s.at(t)
	a := &Agent{Dynamic: file, Member: h.Member, Patroni: h.Patroni, Log: quiet, settle: time.Millisecond}
	for range 2 {
		if err := a.declareOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	puts := 0
	for _, call := range s.saw() {
		if call == "PUT /config" {
			puts++
		}
	}
	if puts != 1 {
		t.Errorf("%d changes, want one: %q", puts, s.saw())
	}
	if s.config["ttl"] != float64(20) || s.config["pause"] != true {
		t.Errorf("configuration %v", s.config)
	}
}

func TestAChangedParameterRestartsOnlyWhatNobodyHasToHandOver(t *testing.T) {
	for what, c := range map[string]struct {
		site    *site
		restart bool
	}{
		"a standby":                {&site{role: "replica", pending: true, members: three}, true},
		"a primary with standbys":  {&site{role: "primary", pending: true, members: three}, false},
		"a primary alone":          {&site{role: "primary", pending: true, members: three[1:2]}, true},
		"a standby with no change": {&site{role: "replica", members: three}, false},
	} {
		t.Run(what, func(t *testing.T) {
			s := c.site
			h := s.at(t)
			a := &Agent{Member: h.Member, Patroni: h.Patroni, Log: quiet, settle: time.Millisecond}
			if err := a.restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(s.saw(), "POST /restart"); got != c.restart {
				t.Errorf("restarted: %t", got)
			}
		})
	}
}

// A smaller number of connections takes hold only where the primary restarts as such:
// standbys keep the larger one as long as it has it.
func TestThePrimaryRestartsForLess(t *testing.T) {
	change := func(name string, from, to any) map[string]any {
		return map[string]any{name: map[string]any{"old_value": from, "new_value": to}}
	}
	both := change("max_connections", "60", "55")
	maps.Copy(both, change("shared_buffers", "128MB", "256MB"))
	const restarts = "POST /pause,POST /restart,POST /resume"
	for what, c := range map[string]struct {
		site *site
		want string
	}{
		"a primary, fewer connections": {&site{role: "primary", pending: true, members: three, reasons: change("max_connections", "60", "55")}, restarts},
		"numbers":                      {&site{role: "primary", pending: true, members: three, reasons: change("max_worker_processes", 16, 8)}, restarts},
		"a standby, fewer connections": {&site{role: "replica", pending: true, members: three, reasons: change("max_connections", "60", "55")}, ""},
		"a primary, more connections":  {&site{role: "primary", pending: true, members: three, reasons: change("max_connections", "60", "65")}, ""},
		"a primary, another parameter": {&site{role: "primary", pending: true, members: three, reasons: change("shared_buffers", "256MB", "128MB")}, ""},
		"a primary, both":              {&site{role: "primary", pending: true, members: three, reasons: both}, ""},
		"a primary, nothing said":      {&site{role: "primary", pending: true, members: three}, ""},
		"a primary, nothing waits":     {&site{role: "primary", members: three, reasons: change("max_connections", "60", "55")}, ""},
	} {
		h := c.site.at(t)
		a := &Agent{Member: h.Member, Patroni: h.Patroni, Poolers: h, Log: quiet}
		if err := a.lessen(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var posts []string
		for _, call := range c.site.saw() {
			if strings.HasPrefix(call, "POST") {
				posts = append(posts, call)
			}
		}
		if got := strings.Join(posts, ","); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
