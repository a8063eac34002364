package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// asked is a stack that answers every panel of the toys, and what it was asked.
func asked(t *testing.T, answers map[string]string) (source, *[]string) {
	t.Helper()
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "admin" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		seen = append(seen, r.URL.Path+"?"+r.URL.Query().Encode())
		body, ok := answers[r.FormValue("query")]
		if !ok {
			body = `{"status":"success","data":{"result":[]}}`
		}
		if strings.HasPrefix(body, "!") {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return source{client: server.Client(), series: server.URL + "/prometheus", lines: server.URL + "/logs", user: "admin", password: "secret", scraped: 15 * time.Second}, &seen
}

// TestEachPanelIsAskedAsGrafanaDoes: over time, once, or of the log; and what comes back
// is drawn by the name that the legend gives it.
func TestEachPanelIsAskedAsGrafanaDoes(t *testing.T) {
	from, seen := asked(t, map[string]string{
		"a": `{"status":"success","data":{"result":[{"metric":{},"values":[[1767355200,"0.1"],[1767355260,"NaN"],[1767355320,"0.25"]]}]}}`,
		"b": `{"status":"success","data":{"result":[{"metric":{"pod":"api-1"},"values":[[1767355200,"1"]]}]}}`,
		"d": `{"_time":"2026-01-02T12:00:01Z","_msg":"first","severity_text":"WARN","service.name":"api"}` + "\n" + `{"_time":"2026-01-02T12:00:02Z","_msg":"second"}` + "\n",
	})
	d := toys(t)
	d.Annotations.List = append(d.Annotations.List, struct{ Expr string }{"changes(m[$__rate_interval])"})
	d.Panels[2].Targets = append(d.Panels[2].Targets, target{Expr: "e", QueryType: "statsRange"})
	svg, count, err := picture(t.Context(), from, d, minutes(10))
	if err != nil {
		t.Fatal(err)
	}
	if count.with != 3 || !slices.Equal(count.without, []string{"Alerts"}) || count.list() != ", not Alerts" {
		t.Errorf("counted %+v", count)
	}
	texts := wellFormed(t, svg)
	for _, want := range []string{"api-1", "12:00:02.000   second", "12:00:01.000 WARN api first", "no data"} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is not written: %q", want, texts)
		}
	}
	want := []string{
		"/prometheus/api/v1/query_range?end=1767355800&query=a&start=1767355200&step=1m0s",
		"/prometheus/api/v1/query_range?end=1767355800&query=b&start=1767355200&step=1m0s",
		"/logs/select/logsql/stats_query_range?end=1767355800&query=e&start=1767355200&step=1m0s",
		"/prometheus/api/v1/query?query=c&time=1767355800",
		"/logs/select/logsql/query?end=1767355800&limit=20&query=d&start=1767355200",
		"/prometheus/api/v1/query_range?end=1767355800&query=changes%28m%5B1m15s%5D%29&start=1767355200&step=1m0s",
	}
	if !slices.Equal(*seen, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(*seen, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhoLeadsToWhomIsWritten, as there is no room for a graph.
func TestWhoLeadsToWhomIsWritten(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/jaeger/api/dependencies" || r.FormValue("lookback") != "600000" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"data":[{"parent":"engine","child":"api","callCount":26},{"parent":"api","child":"store","callCount":2}]}`))
	}))
	t.Cleanup(server.Close)
	a, err := source{client: server.Client(), traces: server.URL + "/jaeger"}.answer(t.Context(), panel{Type: "nodeGraph", Targets: []target{{QueryType: "dependencyGraph"}}}, minutes(10))
	want := []line{{service: "api", text: "→ store, 2 times"}, {service: "engine", text: "→ api, 26 times"}}
	if err != nil || !slices.Equal(a.lines, want) {
		t.Errorf("%v %v, want %v", a.lines, err, want)
	}
}

// TestAFailedQueryEndsIt, with the panel's name and what was said.
func TestAFailedQueryEndsIt(t *testing.T) {
	for answer, want := range map[string]string{
		`!parse error`: `panel "Latency": b: 400 Bad Request: !parse error`,
		`{"status":"error","error":"query timed out"}`: `panel "Latency": b: error: query timed out`,
		`<html>`: `panel "Latency": b: invalid character`,
	} {
		from, _ := asked(t, map[string]string{"b": answer})
		if _, _, err := picture(t.Context(), from, toys(t), minutes(10)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
	from, _ := asked(t, nil)
	from.password = "guessed"
	if _, _, err := picture(t.Context(), from, toys(t), minutes(10)); err == nil || !strings.Contains(err.Error(), `panel "Requests": a: 401 Unauthorized`) {
		t.Errorf("without the login: %v", err)
	}
}

// TestTheEdgesLimitIsWaitedFor: whoever asks too much in a second asks again when told to.
func TestTheEdgesLimitIsWaitedFor(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"result":[{"metric":{},"values":[[1767355200,"1"]]}]}}`))
	}))
	t.Cleanup(server.Close)
	from := source{client: server.Client(), series: server.URL, scraped: 15 * time.Second}
	a, err := from.answer(t.Context(), panel{Title: "Requests", Targets: []target{{Expr: "a"}}}, minutes(10))
	if err != nil || a.empty() || asked != 2 {
		t.Errorf("asked %d times: %+v, %v", asked, a, err)
	}
}

// TestMarksAreWhereSomethingBegins, not as long as it lasts.
func TestMarksAreWhereSomethingBegins(t *testing.T) {
	s := minutes(10)
	a, b := values(s, "a", 1, 1, 1), values(s, "b", 1)
	b.points[0].at = s.start() + 300
	if got := begun([]series{a, b}, s.step); !slices.Equal(got, []float64{s.start(), s.start() + 300}) {
		t.Errorf("got %v", got)
	}
}

func TestNames(t *testing.T) {
	labels := map[string]string{"host": "api", "service.name": "edge"}
	for format, want := range map[string]string{"{{host}} up": "api up", "{{ service.name }}": "edge", "{{none}} x": "x", "": "api edge", "__auto": "api edge", "plain": "plain"} {
		if got := named(format, labels); got != want {
			t.Errorf("%q gives %q, want %q", format, got, want)
		}
	}
}

// TestWhatGrafanaWasGiven: its files are found by what the pod shows.
func TestWhatGrafanaWasGiven(t *testing.T) {
	plain := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	volumes := []corev1.Volume{
		{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: plain("dashboards-1")}}},
		{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: plain("provisioning-2")}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: plain("provisioning-2")}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: plain("secret")}},
		}}}},
		{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secret"}}},
	}
	if got := configMaps(volumes); !slices.Equal(got, []string{"dashboards-1", "provisioning-2"}) {
		t.Errorf("got %v", got)
	}
	if got, err := interval("datasources:\n- jsonData: {}\n- jsonData: {timeInterval: 15s}\n"); err != nil || got != 15*time.Second {
		t.Errorf("every %s, %v", got, err)
	}
	if _, err := interval("datasources: []\n"); err == nil {
		t.Error("no data source is no error")
	}
}
