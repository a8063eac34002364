//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// agentNamespace is where the agent runs that reads the nodes' log files.
const agentNamespace = "log-agent"

// installAddons brings what an administrator gives: the agent, and the right to ask kubelets.
func installAddons(t *testing.T) {
	t.Helper()
	picture(t, agentNamespace)
	t.Cleanup(func() {
		if _, err := try(t, "pulumi", "--", "destroy", "--stack", addonStack, "--yes", "--skip-preview"); err != nil {
			t.Error(err)
		}
		removeNamespace(t, agentNamespace)
	})
	must(t, "deploy", "--addons=logAgent,kubeletMetrics")
}

// testHeard: whatever has written a line is found, by its pod and container, and its
// severity where it names one.
func testHeard(t *testing.T, _ observed) {
	type heard struct{ lines, severe int }
	found := map[string]*heard{}
	look := func(ctx context.Context) error {
		all, err := lines(ctx, fmt.Sprintf(`k8s.namespace.name:=%q | stats by (k8s.pod.name, k8s.container.name, severity_text) count() lines`, namespace))
		clear(found)
		for _, l := range all {
			// What is sent by the process itself names no container.
			for _, key := range slices.Compact([]string{l["k8s.pod.name"], l["k8s.pod.name"] + "/" + l["k8s.container.name"]}) {
				if found[key] == nil {
					found[key] = &heard{}
				}
				n, _ := strconv.Atoi(l["lines"])
				if found[key].lines += n; l["severity_text"] != "" && l["severity_text"] != "Unspecified" {
					found[key].severe += n
				}
			}
		}
		return err
	}
	sends := []string{"edge", "backend", "backend-engine", "backend-dashboard"}
	eventually(t, 3*time.Minute, "lines of every container", func(ctx context.Context) (string, bool) {
		if err := look(ctx); err != nil {
			return err.Error(), false
		}
		var missing []string
		for workload, list := range pods(t, namespace) {
			for _, p := range list {
				for _, c := range p.Spec.Containers {
					raw, err := cluster.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: c.Name, TailLines: new(int64(1))}).DoRaw(ctx)
					key := p.Name + "/" + c.Name
					if slices.Contains(sends, workload) && (workload != "edge" || c.Name == "nginx") {
						key = p.Name
					}
					if err == nil && len(raw) > 0 && found[key] == nil {
						missing = append(missing, key)
					}
				}
			}
		}
		return fmt.Sprintf("%d heard, missing: %v", len(found), missing), len(missing) == 0
	})
	for _, key := range sortedKeys(found) {
		if strings.Contains(key, "/") && !strings.HasSuffix(key, "/") {
			t.Logf("%-60s %5d lines, %5d with a severity", key, found[key].lines, found[key].severe)
		}
	}
	for _, part := range []string{"database-g1-0/postgresql", "cache-0/redis", "monitoring-prometheus-0/prometheus", "monitoring-alertmanager-0/alertmanager", "monitoring-grafana-0/grafana", "backup-store-0/versitygw"} {
		if h := found[part]; h == nil || h.severe*2 < h.lines {
			t.Errorf("%s: %+v: fewer than half of the lines have a severity", part, h)
		}
	}
}

// testLogsAway: who takes log lines is gone for a while under requests, the store or the
// collector. Each line arrives once, or its loss is counted.
func testLogsAway(name string, away time.Duration) func(*testing.T, observed) {
	return func(t *testing.T, o observed) {
		before, err := lost(t.Context(), t, o)
		if err != nil {
			t.Fatal(err)
		}
		scale(t, name, 0)
		eventually(t, 2*time.Minute, name+" is gone", func(context.Context) (string, bool) {
			n := len(pods(t, namespace)[name])
			return fmt.Sprintf("%d pods", n), n == 0
		})
		run := random(t)
		slowest, sent := time.Duration(0), 0
		for end := time.Now().Add(away); time.Now().Before(end); sent++ {
			start := time.Now()
			status, _, err := request(t, o.client, http.MethodGet, fmt.Sprintf("%s/api/market/status/%s/%d", o.URLs["api"], run, sent), nil, nil)
			if err != nil || status/100 == 5 {
				t.Errorf("request %d without %s: %d %v", sent, name, status, err)
			}
			slowest = max(slowest, time.Since(start))
			time.Sleep(200 * time.Millisecond)
		}
		scale(t, name, 1)
		eventually(t, 3*time.Minute, name+" is back", func(context.Context) (string, bool) {
			list := pods(t, namespace)[name]
			return fmt.Sprintf("%d pods", len(list)), len(list) == 1 && ready(&list[0])
		})
		back := time.Now()
		counts, given := map[string]int{}, 0
		eventually(t, 3*time.Minute, "every line", func(ctx context.Context) (string, bool) {
			found, err := lines(ctx, fmt.Sprintf(`service.name:=alphapulse-edge path:%q`, run))
			clear(counts)
			for _, l := range found {
				counts[l["path"]]++
			}
			if err != nil {
				return err.Error(), false
			}
			now, err := lost(ctx, t, o)
			given = max(0, now-before) // a collector that starts anew counts from nothing
			return fmt.Sprintf("%d of %d paths, %d lines, %d counted as lost %v", len(counts), sent, len(found), given, err), err == nil && len(counts)+given >= sent
		})
		fmt.Printf("| %s away for %s | %d lines of the edge | %d, %s after its return | %d | %d | %s |\n",
			name, away, sent, len(counts), since(back), given, repeated(t, counts, true), slowest.Round(time.Millisecond))
	}
}

// testRunbookQueries asks what the runbooks ask, of the lines of this run: where what a runbook
// is for was induced, something is found.
func testRunbookQueries(t *testing.T, _ observed) {
	queries, err := livetest.LogQueries(filepath.Join(root, "docs", "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, runbook := range sortedKeys(queries) {
		raw, err := served(t.Context(), logStore, 9428, "logs/select/logsql/query", url.Values{"query": {queries[runbook]}})
		n := strings.Count(string(raw), "\n")
		fmt.Printf("| lines by the runbook %s | %d |\n", runbook, n)
		if err != nil || n == 0 && slices.Contains([]string{"DatabaseDown", "EdgeErrorBudgetBurn", "BackupArchiveFailing"}, runbook) {
			t.Errorf("%s: %d lines, %v: %s", runbook, n, err, queries[runbook])
		}
	}
}

// testNoSecret searches all that VictoriaLogs has taken in this run, and all that pods have
// written, for every secret of the stack, and for what it hands out: a browser's cookies and
// token, and what comes behind a question mark.
func testNoSecret(t *testing.T, o observed) {
	secrets := secretsOf(t, stack)
	o.loggedIn(t)
	secrets["what comes behind a question mark"] = random(t)
	if status, answer, err := request(t, o.client, http.MethodPost, o.URLs["api"]+"/api/session?token="+secrets["what comes behind a question mark"], nil, nil); err != nil || status != http.StatusCreated {
		t.Fatalf("POST /api/session: %d %.200s %v", status, answer, err)
	}
	for _, name := range []string{"grafana", "api"} {
		at, err := url.Parse(o.URLs[name])
		if err != nil {
			t.Fatal(err)
		}
		at.Path = "/api/session" // a cookie may be for some paths only
		cookies := o.client.Jar.Cookies(at)
		if len(cookies) == 0 {
			t.Errorf("%s gave the browser no cookie", name)
		}
		for _, c := range cookies {
			secrets["cookie "+c.Name+" of "+name] = c.Value
		}
	}
	run := random(t)
	for _, name := range []string{"grafana", "api"} {
		if status, answer, err := request(t, o.client, http.MethodGet, o.URLs[name]+"/api/"+run, nil, nil); err != nil {
			t.Fatalf("%s: %d %.200s %v", name, status, answer, err)
		}
	}
	eventually(t, 2*time.Minute, "what was just asked is in the log", func(ctx context.Context) (string, bool) {
		found, err := lines(ctx, fmt.Sprintf("service.name:=alphapulse-edge %q", run))
		return fmt.Sprintf("%d lines %v", len(found), err), len(found) >= 2
	})
	raw, err := served(t.Context(), logStore, 9428, "logs/select/logsql/query", url.Values{"query": {"*"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaked := range livetest.Leaks(string(raw), secrets) {
		t.Errorf("a line in VictoriaLogs shows the secret %s", leaked)
	}
	n := strings.Count(string(raw), "\n")
	fmt.Printf("| lines searched for %d secrets | %d |\n", len(secrets), n)
	if n == 0 {
		t.Error("VictoriaLogs has no line: nothing was searched")
	}
	logsShowNone(t, namespace, secrets)
}

// repeated is how many lines came again.
func repeated(t *testing.T, counts map[string]int, wrong bool) int {
	t.Helper()
	twice := 0
	for _, n := range counts {
		twice += n - 1
	}
	if wrong && twice > 0 {
		t.Errorf("%d lines arrived more than once", twice)
	}
	return twice
}

// testAgentKilled: the agent is killed while the database writes. It reads on where it had
// got to, so that no line is missing; what it had sent and not noted yet comes again.
func testAgentKilled(t *testing.T, _ observed) {
	const sent = 200
	run := random(t)
	written := make(chan error, 1)
	go func() {
		_, err := onPrimary(t.Context(), namespace, fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP RAISE LOG '%s/%%', i; PERFORM pg_sleep(0.05); END LOOP; END $$", sent, run))
		written <- err
	}()
	time.Sleep(3 * time.Second)
	list, err := cluster.CoreV1().Pods(agentNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		t.Fatalf("%d pods of the agent: %v", len(list.Items), err)
	}
	for _, p := range list.Items {
		if err := cluster.CoreV1().Pods(agentNamespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
	}
	killed := time.Now()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	eventually(t, 3*time.Minute, "every line of the database", func(ctx context.Context) (string, bool) {
		found, err := lines(ctx, fmt.Sprintf(`k8s.container.name:=postgresql %q`, run))
		clear(counts)
		for _, l := range found {
			// The server tells the statement beside each, which is no number.
			if _, n, ok := strings.Cut(l["_msg"], run+"/"); ok {
				if _, err := strconv.Atoi(n); err == nil {
					counts[n]++
				}
			}
		}
		return fmt.Sprintf("%d of %d, %v", len(counts), sent, err), len(counts) >= sent
	})
	fmt.Printf("| the agent killed | %d lines of the database | %d, %s after | 0 | %d | |\n", sent, len(counts), since(killed), repeated(t, counts, false))
}

// random is a word that nobody else has.
func random(t *testing.T) string {
	t.Helper()
	raw := make([]byte, 6)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	return "run" + hex.EncodeToString(raw)
}

// lost is how many lines of the log are counted as lost. What the agent on a node could not send
// it sends again.
func lost(ctx context.Context, t *testing.T, o observed) (int, error) {
	t.Helper()
	values, err := o.ask(ctx, t, `sum({__name__=~"otelcol_exporter_(send|enqueue)_failed_log_records(_total)?",job="`+gateway+`",exported_job!="alphapulse-log-agent"})`)
	if err != nil || len(values) == 0 {
		return 0, err // a counter is there once it has counted
	}
	return int(values[0]), nil
}
