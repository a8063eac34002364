//go:build e2e

package single

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// TestSingle is one test because its parts follow one another on one stack: what one
// leaves behind is where the next one starts.
func TestSingle(t *testing.T) {
	s := &session{}
	for _, part := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"EveryEndpointAnswers", s.endpoints},
		{"InspectShowsNoSecret", s.inspect},
		{"RowSurvivesDatabaseContainer", s.row},
		{"UpAgainChangesNothing", s.upAgain},
		{"RefreshSeesNoDrift", s.refresh},
		{"ImageChangeReplacesOnlyItsContainer", s.image},
		{"WrongImageReplacesNothing", s.wrongImage},
		{"LogsAndTracesAreKept", s.signals},
		{"BackupsAreRefusedWhereTheyWouldLeaveADatabase", s.refusesBackups},
		{"ImagesAreBuiltAndPushed", s.images},
		{"DestroyKeepsVolumes", s.destroyKeeps},
		{"DestroyDeletesVolumesWhenTold", s.destroyDeletes},
		{"BackupProofAndRestore", s.backups},
		{"BackupsOutliveTheHost", s.outlive},
		{"BackupsToABucket", s.bucket},
	} {
		t.Run(part.name, part.run)
	}
}

// session is a browser's: a cookie names the list that it stored.
type session struct {
	client *http.Client
	symbol string
	// passphrase of the backups that the stack of before has left.
	passphrase string
}

// browser returns a client that trusts the given CA only and keeps cookies. Every port is
// published on loopback.
func browser(t testing.TB, ca string) *http.Client {
	t.Helper()
	return livetest.Browser(t, ca, func(string) string { return "127.0.0.1" })
}

// request is livetest.Request with the password, if any, of the user admin.
func request(t testing.TB, c *http.Client, method, url string, body any, password string) (int, []byte, error) {
	t.Helper()
	return livetest.Request(t, c, method, url, body, func(r *http.Request) {
		if password != "" {
			r.SetBasicAuth("admin", password)
		}
	})
}

// answers asks every endpoint for something that only what stands behind the edge
// can answer.
func answers(t testing.TB, o outputs) {
	t.Helper()
	c := browser(t, o.CACertificate)
	for _, e := range []struct{ name, path, want, password string }{
		{"ui", "/", "<title", ""},
		{"api", "/api/market/status", `"status":"open"`, ""},
		{"dashboard", "/", "<title", ""},
		{"prometheus", "/api/v1/query?query=count(up==1)", `"success"`, o.PrometheusPassword},
	} {
		url := o.URLs[e.name] + e.path
		livetest.Eventually(t, 2*time.Minute, "GET "+url, func(context.Context) (string, bool) {
			status, body, err := request(t, c, http.MethodGet, url, nil, e.password)
			return fmt.Sprintf("%d %.160q %v", status, body, err), err == nil && status == http.StatusOK && strings.Contains(string(body), e.want)
		})
	}
	// The edge passes no password of a request on to Grafana: its login form takes one.
	form := map[string]string{"user": "admin", "password": o.GrafanaPassword}
	livetest.Eventually(t, 2*time.Minute, "Grafana's login", func(context.Context) (string, bool) {
		status, body, err := request(t, c, http.MethodPost, o.URLs["grafana"]+"/login", form, "")
		return fmt.Sprintf("%d %.160q %v", status, body, err), err == nil && status == http.StatusOK
	})
	if status, body, err := request(t, c, http.MethodGet, o.URLs["grafana"]+"/api/user", nil, ""); err != nil || status != http.StatusOK || !strings.Contains(string(body), `"login":"admin"`) {
		t.Errorf("Grafana after the login: %d %.160q %v, want the admin", status, body, err)
	}
	// Each that is to be scraped is.
	livetest.Eventually(t, 2*time.Minute, "targets of Prometheus", func(context.Context) (string, bool) {
		status, body, err := request(t, c, http.MethodGet, o.URLs["prometheus"]+"/api/v1/query?query=up", nil, o.PrometheusPassword)
		var result struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &result) != nil {
			return fmt.Sprintf("%d %.160q %v", status, body, err), false
		}
		var down []string
		for _, r := range result.Data.Result {
			if r.Value[1] != "1" {
				down = append(down, r.Metric["job"]+" "+r.Metric["instance"])
			}
		}
		return fmt.Sprintf("%d targets, down: %v", len(result.Data.Result), down), len(result.Data.Result) >= 8 && len(down) == 0
	})
}

func (s *session) endpoints(t *testing.T) {
	o := outputsOf(t)
	answers(t, o)
	_, _, err := request(t, browser(t, ""), http.MethodGet, o.URLs["api"]+"/api/market/status", nil, "")
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client that does not trust the development CA got %v, want a refused certificate", err)
	}
	status, _, err := request(t, browser(t, o.CACertificate), http.MethodGet, o.URLs["prometheus"]+"/api/v1/query?query=up", nil, "")
	if err != nil || status != http.StatusUnauthorized {
		t.Errorf("Prometheus without a password: %d %v, want 401", status, err)
	}
	plain := strings.NewReplacer("https:", "http:", ":30443", ":30080").Replace(o.URLs["ui"])
	status, _, err = request(t, browser(t, o.CACertificate), http.MethodGet, plain, nil, "")
	if err != nil || status/100 != 3 {
		t.Errorf("GET %s: %d %v, want a redirect to HTTPS", plain, status, err)
	}
}

// inspect looks at what everybody sees who may ask the engine.
func (s *session) inspect(t *testing.T) {
	hidden := secrets(t)
	if len(hidden) < 8 {
		t.Fatalf("only %d secrets in the state: is this test looking in the right place?", len(hidden))
	}
	all := containers(t)
	published := map[string][]string{}
	running := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		for value, what := range hidden {
			if bytes.Contains(c.raw, []byte(value)) {
				t.Errorf("%s: inspect shows %s", name, what)
			}
		}
		h := c.HostConfig
		expect := func(ok bool, what string, seen any) {
			t.Helper()
			if !ok {
				t.Errorf("%s: %s: %v", name, what, seen)
			}
		}
		expect(!h.Privileged && len(h.CapAdd) == 0 && slices.Equal(h.CapDrop, []string{"ALL"}), "capabilities", h.CapDrop)
		expect(slices.Contains(h.SecurityOpt, "no-new-privileges:true") || slices.Contains(h.SecurityOpt, "no-new-privileges"), "security options", h.SecurityOpt)
		expect(len(h.Devices) == 0 && len(h.Binds) == 0 && h.PidMode == "", "devices, folders of the host, its processes", h.Binds)
		if c.State.StartedAt.IsZero() {
			// It only carries files into volumes.
			expect(!c.State.Running && h.NetworkMode == "none" && h.RestartPolicy.Name == "no", "a carrier of files", h.NetworkMode)
			continue
		}
		running++
		expect(c.State.Running, "running", c.State.Running)
		expect(c.State.Health == nil || c.State.Health.Status == "healthy", "health", c.State.Health)
		expect(h.ReadonlyRootfs, "read-only root", h.ReadonlyRootfs)
		expect(h.Memory > 0 && h.MemorySwap == h.Memory && h.NanoCpus > 0, "limits", []int64{h.Memory, h.MemorySwap, h.NanoCpus})
		expect(c.Config.User != "" && !strings.HasPrefix(c.Config.User, "0") && !strings.HasPrefix(c.Config.User, "root"), "user", c.Config.User)
		expect(h.RestartPolicy.Name == "unless-stopped" || h.RestartPolicy.Name == "always", "restart policy", h.RestartPolicy.Name)
		expect(h.LogConfig.Config["max-size"] != "" && h.LogConfig.Config["max-file"] != "", "log rotation", h.LogConfig)
		for _, bindings := range h.PortBindings {
			for _, b := range bindings {
				published[name] = append(published[name], b.HostPort)
			}
		}
		slices.Sort(published[name])
		t.Logf("%s: user %s, %d MiB, %.2f CPU, ports %v", name, c.Config.User, h.Memory>>20, float64(h.NanoCpus)/1e9, published[name])
	}
	if want := (map[string][]string{"edge": {"30080", "30443"}}); !maps.EqualFunc(published, want, slices.Equal) {
		t.Errorf("published: %v, want %v", published, want)
	}
	t.Logf("%d containers run, %d carry files, %d secrets are in none of them", running, len(all)-running, len(hidden))
}

// row writes through the API, takes the database's container away, and lets Pulumi
// repair it.
func (s *session) row(t *testing.T) {
	o := outputsOf(t)
	s.client = browser(t, o.CACertificate)
	livetest.Eventually(t, 2*time.Minute, "a symbol to watch", func(context.Context) (string, bool) {
		status, body, err := request(t, s.client, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, "")
		var answer struct {
			Items []struct {
				Symbol string `json:"symbol"`
			} `json:"items"`
		}
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &answer) != nil || len(answer.Items) == 0 {
			return fmt.Sprintf("%d %.120q %v", status, body, err), false
		}
		s.symbol = answer.Items[0].Symbol
		return s.symbol, true
	})
	// The write empties the cache and nothing reads before the container is gone, so
	// what is read afterwards comes from the database.
	status, body, err := request(t, s.client, http.MethodPost, o.URLs["api"]+"/api/watchlist", map[string]any{"symbols": []string{s.symbol}}, "")
	if err != nil || status != http.StatusOK {
		t.Fatalf("POST /api/watchlist: %d %q %v", status, body, err)
	}
	t.Logf("POST /api/watchlist: %d %s", status, body)

	before := ids(t)
	ask(t, "DELETE", "/containers/"+prefix+"-database?force=1", nil)
	livetest.Eventually(t, time.Minute, "the API without a database", func(context.Context) (string, bool) {
		status, body, err := request(t, s.client, http.MethodGet, o.URLs["api"]+"/api/signals/latest", nil, "")
		return fmt.Sprintf("%d %.120q %v", status, body, err), err == nil && status == http.StatusServiceUnavailable
	})
	up(t, "--refresh")
	if names := changed(before, ids(t)); !slices.Equal(names, []string{"database"}) {
		t.Errorf("other containers came for %v, want the database's alone", names)
	}
	s.watched(t, o)
}

// watched reads back what row has stored.
func (s *session) watched(t *testing.T, o outputs) {
	t.Helper()
	want := fmt.Sprintf(`{"symbols":[%q]}`, s.symbol)
	livetest.Eventually(t, 2*time.Minute, "GET /api/watchlist", func(context.Context) (string, bool) {
		status, body, err := request(t, s.client, http.MethodGet, o.URLs["api"]+"/api/watchlist", nil, "")
		return fmt.Sprintf("%d %s %v", status, body, err), err == nil && status == http.StatusOK && strings.TrimSpace(string(body)) == want
	})
}

func (s *session) upAgain(t *testing.T) {
	before := ids(t)
	up(t, "--expect-no-changes")
	if names := changed(before, ids(t)); len(names) > 0 {
		t.Errorf("other containers came for %v", names)
	}
}

func (s *session) refresh(t *testing.T) {
	t.Log(livetest.LastLines(pulumi(t, "refresh", "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes"), 4))
}

// image deploys another frontend, and then the first one again.
func (s *session) image(t *testing.T) {
	const other = "docker.io/alphapulse/frontend:e2e"
	before := containers(t)["frontend"].Image
	derived(t, before, other, nil)
	for _, file := range []string{settings(t, "frontendImage", other), settings(t)} {
		old := ids(t)
		up(t, "--config-file", file)
		names := changed(old, ids(t))
		t.Logf("replaced: %v", names)
		if !slices.Contains(names, "frontend") || len(slices.DeleteFunc(names, func(n string) bool { return n == "frontend" || n == "frontend-files" })) > 0 {
			t.Errorf("an image change of the frontend replaced %v", names)
		}
	}
	if after := containers(t)["frontend"].Image; after != before {
		t.Errorf("the frontend's image was %s and is %s", before, after)
	}
	answers(t, outputsOf(t))
}

// wrongImage deploys images whose names do not tell what is in them: one that does is
// deployed, and of one that does not the container before it runs on.
func (s *session) wrongImage(t *testing.T) {
	const edge, database = "registry.example.com/team/edge:5", "registry.example.com/team/timescale:5"
	derived(t, containers(t)["edge"].Image, edge, nil)
	derived(t, containers(t)["database"].Image, database, map[string]string{"postgres": "postgres (PostgreSQL) 16.4"})
	before := ids(t)
	up(t, "--config-file", settings(t, "edgeImage", edge))
	if names := changed(before, ids(t)); !slices.Equal(names, []string{"edge", "edge-files", "edge-look"}) {
		t.Errorf("an image of nginx under another name replaced %v", names)
	}
	before = ids(t)
	refused(t, "the image has PostgreSQL 16.4: name one with PostgreSQL 17", "up", "--yes", "--skip-preview", "--config-file", settings(t, "edgeImage", edge, "databaseImage", database))
	if names := changed(before, ids(t)); !slices.Equal(names, []string{"database-look"}) {
		t.Errorf("an image of another PostgreSQL replaced %v", names)
	}
	answers(t, outputsOf(t))
	up(t)
	for name := range containers(t) {
		if strings.HasSuffix(name, "-look") {
			t.Errorf("%s is left", name)
		}
	}
}

func (s *session) destroyKeeps(t *testing.T) {
	data := volumes(t)
	if len(data) < 3 {
		t.Fatalf("only the volumes %v hold data", data)
	}
	before := outputsOf(t)
	t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview"), 4))
	var want []string
	for _, v := range data {
		want = append(want, "volume "+v)
	}
	if got := left(t); !slices.Equal(got, want) {
		t.Errorf("after destroy there are %v, want %v", got, want)
	}
	t.Logf("left: %v", left(t))
	up(t)
	o := outputsOf(t)
	// The stand-in of Grafana is older than 9 and keeps the password of its database.
	o.GrafanaPassword = before.GrafanaPassword
	answers(t, o)
	// Sessions ended with the key that they were signed with; what they stored is there.
	if got := sql(t, fmt.Sprintf(`SELECT count(*) FROM watchlists WHERE symbols = '{%s}'`, s.symbol)); got != "1" {
		t.Errorf("%s lists hold %s alone, want the one of before", got, s.symbol)
	}
}

func (s *session) destroyDeletes(t *testing.T) {
	file := settings(t, "deleteVolumes", "true")
	up(t, "--config-file", file)
	t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview", "--config-file", file), 4))
	if got := left(t); len(got) > 0 {
		t.Errorf("after destroy there are %v", got)
	}
}
