package scheduled

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// weekly has a full backup on Sundays, a differential on other days, and more on each.
func weekly(t *testing.T) []Kind {
	t.Helper()
	var kinds []Kind
	for _, k := range [][2]string{{"full", "0 0 * * 0"}, {"diff", "0 0 * * 1-6"}, {"incr", "0 6,12,18 * * *"}} {
		s, err := Schedule(k[1])
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, Kind{k[0], s})
	}
	return kinds
}

func backupAt(t *testing.T, kind, start, timeline string) taken {
	t.Helper()
	b := taken{Type: kind}
	b.Timestamp.Start = at(t, start).Unix()
	b.Timestamp.Stop = b.Timestamp.Start + 60
	b.Archive.Start = timeline + "0000000000000003"
	return b
}

// 2027-01-03 is a Sunday.
func TestWhichBackupIsDue(t *testing.T) {
	const one, two = "00000001", "00000002"
	full, diff := backupAt(t, "full", "2027-01-03 00:00", one), backupAt(t, "diff", "2027-01-05 00:00", one)
	for what, c := range map[string]struct {
		all   []taken
		tried map[string]time.Time
		first string
		now   string
		kind  string
		at    string
	}{
		"the first at once":                {nil, nil, "", "2027-01-05 09:00", firstOf + one, "2027-01-05 09:00"},
		"a new timeline's at once":         {[]taken{backupAt(t, "full", "2027-01-03 00:00", two)}, nil, "", "2027-01-05 09:00", firstOf + one, "2027-01-05 09:00"},
		"but not again if it failed":       {nil, nil, one, "2027-01-05 09:00", "incr", "2027-01-05 06:00"},
		"the next by schedule":             {[]taken{full, diff}, nil, "", "2027-01-05 00:10", "incr", "2027-01-05 06:00"},
		"a full one counts for the others": {[]taken{full}, nil, "", "2027-01-03 00:10", "incr", "2027-01-03 06:00"},
		"missed while the host was off":    {[]taken{full}, nil, "", "2027-01-06 09:00", "incr", "2027-01-03 06:00"},
		"a full one that was missed, after what was missed before it": {[]taken{diff}, map[string]time.Time{"incr": at(t, "2027-01-12 09:00"), "diff": at(t, "2027-01-12 09:00")}, "",
			"2027-01-12 09:10", "full", "2027-01-10 00:00"},
		"a failed one waits for the next time": {[]taken{full}, map[string]time.Time{"incr": at(t, "2027-01-03 06:00")}, "", "2027-01-03 06:10", "incr", "2027-01-03 12:00"},
	} {
		taker := Taker{Kinds: weekly(t), Begun: at(t, "2027-01-05 00:30"), tried: c.tried, first: c.first}
		kind, when := taker.due(at(t, c.now), c.all, one)
		if kind != c.kind || !when.Equal(at(t, c.at)) {
			t.Errorf("%s: %s at %s, want %s at %s", what, kind, when, c.kind, c.at)
		}
	}
}

func TestTakerAsksRepositoryAndServer(t *testing.T) {
	var did []string
	taker := Taker{
		Stanza: "db", Kinds: weekly(t), Begun: at(t, "2027-01-05 00:30"),
		Output: func(context.Context, ...string) ([]byte, error) {
			return []byte(`[{"name":"other","backup":[]},{"name":"db","backup":[{"type":"full","timestamp":{"start":1798934400,"stop":1798934460},"archive":{"start":"000000010000000000000002"}}]}]`), nil
		},
		Do: func(_ context.Context, args ...string) error {
			did = append(did, strings.Join(args, " "))
			return nil
		},
		Timeline: func(context.Context) (string, error) { return "00000002", nil },
	}
	now := at(t, "2027-01-05 09:00")
	what, when, succeeded, err := taker.Due(t.Context(), now)
	if err != nil || what != firstOf+"00000002" || !when.Equal(now) || succeeded.Unix() != 1798934460 {
		t.Errorf("%s at %s, last %s, %v", what, when, succeeded, err)
	}
	for _, what := range []string{what, "diff"} {
		if err := taker.Run(t.Context(), what); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"stanza-create", "--type=incr backup", "stanza-create", "--type=diff backup"}; !slices.Equal(did, want) {
		t.Errorf("%q, want %q", did, want)
	}
	taker.Timeline = func(context.Context) (string, error) { return "", errors.New("starting up") }
	if _, _, _, err := taker.Due(t.Context(), now); err == nil {
		t.Error("a server that does not answer has a timeline")
	}
}

// scripted is a job whose runs fail as they are told.
type scripted struct {
	at, succeeded time.Time
	fails         int
	ran, tried    int
}

func (s *scripted) Due(context.Context, time.Time) (string, time.Time, time.Time, error) {
	return "it", s.at, s.succeeded, nil
}

func (s *scripted) Run(context.Context, string) error {
	s.ran++
	if s.ran <= s.fails {
		return fmt.Errorf("failure %d", s.ran)
	}
	return nil
}

func (s *scripted) Tried(string, time.Time) { s.tried++ }

func metricsOf(t *testing.T, l *Loop) string {
	t.Helper()
	w := httptest.NewRecorder()
	l.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestLoopTriesAgainAndTells(t *testing.T) {
	now := at(t, "2027-01-05 09:00")
	job := &scripted{at: now, fails: 3}
	l := New(job, 3, slog.New(slog.DiscardHandler))
	var waited []time.Duration
	l.Now = func() time.Time { return now }
	l.Wait = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
	if m := metricsOf(t, l); strings.Contains(m, "last_success") || !strings.Contains(m, "\nbackup_failed 0\n") {
		t.Errorf("before the first:\n%s", m)
	}
	l.round(t.Context())
	if job.ran != 3 || job.tried != 1 || !strings.Contains(metricsOf(t, l), "\nbackup_failed 1\n") {
		t.Errorf("%+v\n%s", job, metricsOf(t, l))
	}
	if len(waited) != 3 || waited[1] != 2*waited[0] {
		t.Errorf("waited %v", waited)
	}
	job.succeeded = now
	l.round(t.Context())
	if m := metricsOf(t, l); !strings.Contains(m, "\nbackup_failed 0\n") || !strings.Contains(m, fmt.Sprintf("\nbackup_last_success_timestamp_seconds %d\n", now.Unix())) {
		t.Errorf("after a success:\n%s", m)
	}
	// What lies ahead is waited for, a minute at most.
	waited, job.at = nil, now.Add(30*time.Second)
	l.round(t.Context())
	job.at = now.Add(time.Hour)
	l.round(t.Context())
	if job.ran != 4 || !slices.Equal(waited, []time.Duration{30 * time.Second, time.Minute}) {
		t.Errorf("ran %d times, waited %v", job.ran, waited)
	}
}

func TestProverRemembersAndDrops(t *testing.T) {
	volume := t.TempDir()
	data := filepath.Join(volume, "data")
	daily, err := Schedule("0 3 * * *")
	if err != nil {
		t.Fatal(err)
	}
	now := at(t, "2027-01-05 03:05")
	var proof error
	p := &Prover{Schedule: daily, Data: data, Begun: at(t, "2027-01-04 12:00"), Now: func() time.Time { return now },
		Prove: func(context.Context) (string, error) {
			if _, err := os.Stat(data); err == nil {
				t.Error("the last one's data is there")
			}
			if err := os.MkdirAll(filepath.Join(data, "base"), 0o700); err != nil {
				t.Fatal(err)
			}
			return "20270103-000000F", proof
		}}
	due := func(of *Prover) (time.Time, time.Time) {
		t.Helper()
		_, when, succeeded, err := of.Due(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return when, succeeded
	}
	if when, succeeded := due(p); !when.Equal(at(t, "2027-01-05 03:00")) || !succeeded.IsZero() {
		t.Errorf("first at %s, succeeded %s", when, succeeded)
	}
	proof = errors.New("a page is torn")
	if err := p.Run(t.Context(), ""); err == nil {
		t.Error("a failed proof")
	}
	if _, succeeded := due(p); !succeeded.IsZero() {
		t.Errorf("a failed proof counts: %s", succeeded)
	}
	proof = nil
	if err := p.Run(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("what was restored is left")
	}
	// Another container knows of it.
	again := &Prover{Schedule: daily, Data: data, Begun: at(t, "2027-01-09 00:00")}
	if when, succeeded := due(again); !succeeded.Equal(now) || !when.Equal(at(t, "2027-01-06 03:00")) {
		t.Errorf("after it at %s, succeeded %s", when, succeeded)
	}
	again.Tried("", at(t, "2027-01-09 03:00"))
	if when, _ := due(again); !when.Equal(at(t, "2027-01-10 03:00")) {
		t.Errorf("after one that failed at %s", when)
	}
}

// While a restore takes over, the server is on another volume than the one beside it.
func TestABackupIsOfOneVolume(t *testing.T) {
	const printed = "pg_control version number:            1700\nDatabase system identifier:           7567\nLatest checkpoint's REDO WAL file:    0000000B0000000000000003\nLatest checkpoint's TimeLineID:       11\n"
	files, err := ParseControl(printed)
	if err != nil {
		t.Fatal(err)
	}
	if timeline, err := files.Same(Control{"7567", 11}); err != nil || timeline != "0000000B" {
		t.Errorf("%q, %v", timeline, err)
	}
	for _, other := range []Control{{"7567", 12}, {"7568", 11}} {
		if _, err := files.Same(other); err == nil || !strings.Contains(err.Error(), "another volume") {
			t.Errorf("%v: %v", other, err)
		}
	}
	if _, err := ParseControl("could not open file"); err == nil {
		t.Error("no database is one")
	}
	ran := false
	taker := Taker{Kinds: weekly(t), Do: func(context.Context, ...string) error { ran = true; return nil },
		Timeline: func(context.Context) (string, error) { return files.Same(Control{"7567", 12}) }}
	if err := taker.Run(t.Context(), "incr"); err == nil || ran {
		t.Errorf("%v: a backup of two volumes", err)
	}
}

func TestSchedules(t *testing.T) {
	for _, bad := range []string{"", "daily", "CRON_TZ=UTC 0 0 * * *"} {
		if _, err := Schedule(bad); err == nil {
			t.Errorf("%q is a schedule", bad)
		}
	}
}
