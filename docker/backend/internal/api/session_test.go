package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
)

var keyOne, keyTwo, keyThree = strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)

type begun struct {
	Token     string    `json:"token"`
	Subject   string    `json:"subject"`
	ExpiresAt time.Time `json:"expires_at"`
}

func askSession(t *testing.T, server *httptest.Server, method, token string) (*http.Response, begun) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/api/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "bearer "+token)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	var b begun
	if err := json.Unmarshal([]byte(read(t, w)), &b); err != nil {
		t.Fatal(err)
	}
	return w, b
}

func TestSessionSurvivesOneRotation(t *testing.T) {
	before, _ := signed(t, &echo{}, session.NewKeys(keyOne, "", time.Hour))
	w, first := askSession(t, before, http.MethodPost, "")
	if w.StatusCode != http.StatusCreated || first.Token == "" || time.Until(first.ExpiresAt) > time.Hour || w.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %+v", w.Status, first)
	}
	if c := w.Cookies(); len(c) != 1 || c[0].Name != "alphapulse_session" || c[0].Value != first.Token || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies %+v", c)
	}
	if w, s := askSession(t, before, http.MethodGet, first.Token); w.StatusCode != 200 || s.Subject != first.Subject || s.Token != "" {
		t.Errorf("%s %+v", w.Status, s)
	}

	during, _ := signed(t, &echo{}, session.NewKeys(keyTwo, keyOne, time.Hour))
	w, second := askSession(t, during, http.MethodGet, first.Token)
	if w.StatusCode != 200 || second.Subject != first.Subject || second.Token == "" || second.Token == first.Token {
		t.Errorf("after the first rotation: %s %+v", w.Status, second)
	}
	after, _ := signed(t, &echo{}, session.NewKeys(keyThree, keyTwo, time.Hour))
	if w, _ := askSession(t, after, http.MethodGet, first.Token); w.StatusCode != http.StatusUnauthorized || w.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("the first token after the second rotation: %s", w.Status)
	}
	if w, s := askSession(t, after, http.MethodGet, second.Token); w.StatusCode != 200 || s.Subject != first.Subject {
		t.Errorf("the second token after the second rotation: %s", w.Status)
	}
	if w, _ := askSession(t, after, http.MethodGet, ""); w.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", w.Status)
	}
	without, _ := answering(t)
	if w, _ := http.Post(without.URL+"/api/session", "", nil); w == nil || w.StatusCode != http.StatusNotFound {
		t.Error("there are sessions without a key")
	}
}

func TestWatchlistSurvivesARotation(t *testing.T) {
	lists := &echo{lists: map[string][]string{}}
	before, _ := signed(t, lists, session.NewKeys(keyOne, "", time.Hour))
	during, _ := signed(t, lists, session.NewKeys(keyTwo, keyOne, time.Hour))
	after, _ := signed(t, lists, session.NewKeys(keyThree, keyTwo, time.Hour))
	b := newBrowser(t, before)
	const want = `{"symbols":["AAA"]}`
	b.save(want)
	for i, server := range []*httptest.Server{before, during, after} {
		b.base = server.URL + "/api/watchlist"
		if got := b.list(); got != want {
			t.Errorf("after %d rotations: %s", i, got)
		}
	}
	// Who was away for both has to begin anew, and whoever holds the old token reads nothing.
	late := newBrowser(t, before)
	late.save(want)
	late.base = after.URL + "/api/watchlist"
	if got := late.list(); got != `{"symbols":[]}` {
		t.Errorf("a token of a forgotten key reads %s", got)
	}
}

// A token can be read by whoever sees it; the name in it must be worth nothing.
func TestNameInATokenIsNoKey(t *testing.T) {
	lists := &echo{lists: map[string][]string{"ABCDEFGHIJKLMNOPQRSTUVWXYZ": {"CCC"}}}
	server, _ := signed(t, lists, session.NewKeys(keyOne, "", time.Hour))
	newBrowser(t, server).save(`{"symbols":["AAA"]}`)
	for owner := range lists.lists {
		name, isSigned := strings.CutPrefix(owner, "s:")
		want := `{"symbols":["CCC"]}` // of a build that had no key, and is kept
		if isSigned {
			want = `{"symbols":[]}`
		}
		r := httptest.NewRequest("GET", "/api/watchlist", nil)
		r.AddCookie(&http.Cookie{Name: ownerCookie, Value: name})
		w := httptest.NewRecorder()
		server.Config.Handler.ServeHTTP(w, r)
		if w.Body.String() != want {
			t.Errorf("the plain name %s reads %s, want %s", name, w.Body, want)
		}
	}
	if len(lists.lists) != 2 {
		t.Errorf("%d lists", len(lists.lists))
	}
}
