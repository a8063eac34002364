//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// member is the StatefulSet of the database, store that of the backups' server.
	member      = "database-g1"
	backupStore = "backup-store"
	engine      = "backend-engine"

	// shortLived is the Secret with the certificate that is near its end.
	shortLived = "e2e-short-lived"
)

// induced is a fault and what was told of it.
type induced struct {
	what, alert string
	// began and ended are when it was induced, and when its cause was taken away.
	began, ended time.Time
	fired, over  time.Time
	said         string
}

// faults are those of one run, in the order in which they are induced. What one keeps
// Alertmanager from sending of another is over before that one's time: the API cannot work
// without the database.
type faults struct {
	pages *receiver
	e     edited

	certificate, database, engine, archive, api, overload *induced
}

func inducedFaults(pages *receiver, e edited) *faults {
	return &faults{
		pages: pages, e: e,
		certificate: &induced{what: "certificate near its end", alert: "CertificateExpiring"},
		database:    &induced{what: "database killed and kept away", alert: "DatabaseDown"},
		engine:      &induced{what: "engine stopped", alert: "EngineAbsent"},
		archive:     &induced{what: "archive away", alert: "BackupArchiveQueueFull"},
		api:         &induced{what: "API killed and kept away", alert: "APIDown"},
		// Whichever budget burns first: slow answers and refused ones are both what users see.
		overload: &induced{what: "API overloaded", alert: "EdgeLatencyBudgetBurn|EdgeErrorBudgetBurn|APILatencyBudgetBurn|APIErrorBudgetBurn"},
	}
}

func (f *induced) begin() { f.began = time.Now() }
func (f *induced) end()   { f.ended = time.Now() }

// paged waits until the fault is told of.
func (f *faults) paged(t *testing.T, i *induced, limit time.Duration) {
	t.Helper()
	i.fired, i.said = f.pages.awaits(t, limit, i.alert, "firing", i.began)
}

// expiring puts a certificate into the namespace that ends tomorrow, for the setting
// tlsSecret, and lets the stack have its own again in the end.
func (f *faults) expiring(t *testing.T) {
	t.Helper()
	var hosts []string
	for name, u := range outputsOf(t, stack).URLs {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatalf("URL of %s: %v", name, err)
		}
		hosts = append(hosts, parsed.Hostname())
	}
	certificate, key := f.pages.authority.issue(t, time.Now().Add(24*time.Hour), hosts...)
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: shortLived}, Type: corev1.SecretTypeTLS,
		StringData: map[string]string{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
	if _, err := cluster.CoreV1().Secrets(namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f.certificate.ended.IsZero() {
			f.renew(t)
		}
		if err := cluster.CoreV1().Secrets(namespace).Delete(context.Background(), shortLived, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// renew ends the time of the certificate that is near its end.
func (f *faults) renew(t *testing.T) {
	t.Helper()
	pulumi(t, "config", "set-all", "--stack", stack, "--config-file", f.e.file, "--plaintext", "tlsMode=development")
	pulumi(t, "config", "rm", "--stack", stack, "--config-file", f.e.file, "tlsSecret")
	pulumi(t, "up", "--stack", stack, "--config-file", f.e.file, "--yes", "--skip-preview", "--suppress-outputs")
	f.certificate.end()
}

// scaleDeployment lets a Deployment have so many pods.
func scaleDeployment(t *testing.T, name string, replicas int32) {
	t.Helper()
	_, err := cluster.AppsV1().Deployments(namespace).UpdateScale(t.Context(), name,
		&autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// kill ends the pods of a workload at once.
func kill(t *testing.T, workload string) {
	t.Helper()
	list, err := cluster.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: nameLabel + "=" + workload})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

// outputs are the stack's, with the authority of the certificate that it shows.
func (f *faults) outputs(t *testing.T) outputs {
	t.Helper()
	o := told(t, stack)
	o.CACertificate = cmp.Or(o.CACertificate, f.pages.authority.certificate)
	return o
}

// testShort induces what is told of within minutes, and takes it away again; the engine
// stays away.
func (f *faults) testShort(t *testing.T) {
	firstBackup(t, namespace)
	archived(t, namespace)
	f.engine.begin()
	scaleDeployment(t, engine, 0)

	// Of a target that went while Prometheus itself started anew, nothing tells it: what it said
	// last counts for five minutes more. Turning all of this on has just done so.
	eventually(t, 6*time.Minute, "of the database's former pod nothing counts any more", func(ctx context.Context) (string, bool) {
		raw, err := served(ctx, "monitoring-prometheus", 9090, "prometheus/api/v1/query", url.Values{"query": {"count(pg_replication_is_replica)"}})
		return fmt.Sprintf("%.200s %v", raw, err), err == nil && strings.Contains(string(raw), `"1"]`)
	})

	f.database.begin()
	scale(t, member, 0)
	kill(t, "database")
	f.paged(t, f.database, 5*time.Minute)
	scale(t, member, 1)
	f.database.end()
	eventually(t, 4*time.Minute, "the database is back", func(ctx context.Context) (string, bool) {
		out, err := onPrimary(ctx, namespace, "SELECT pg_is_in_recovery()")
		return fmt.Sprint(out, err), err == nil && out == "f"
	})

	f.archive.begin()
	f.fillQueue(t)
	f.api.begin()
	scaleDeployment(t, autoscaled, 0)
	kill(t, autoscaled) // in peace, it would answer for a while
	// Users see it; the edge's page on errors is kept back for the one that tells why.
	o := f.outputs(t)
	client := browser(t, o.CACertificate)
	for range 20 {
		if status, _, err := request(t, client, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, nil); err == nil && status == http.StatusOK {
			t.Error("an API without a pod answers")
		}
	}
	f.paged(t, f.api, 6*time.Minute)
	scaleDeployment(t, autoscaled, 1)
	f.api.end()
	f.paged(t, f.archive, 6*time.Minute)
	scale(t, backupStore, 1)
	f.archive.end()
	archived(t, namespace)
	// What is in the archive goes with the next checkpoint.
	ask(t, namespace, "CHECKPOINT")
	eventually(t, 3*time.Minute, "the API answers", func(context.Context) (string, bool) {
		list := pods(t, namespace)[autoscaled]
		return fmt.Sprintf("%d pods", len(list)), len(list) > 0 && ready(&list[0])
	})
	f.overloaded(t)
}

// crowded clients at once are more than four pods answer in time that have squeezed CPU each:
// some 50 requests a second. The edge lets one address have a hundred connections.
const (
	crowded  = 72
	squeezed = "10m"
)

// overloaded has more asked of the API than it can answer: each of its pods, those of the
// autoscaler too, gets a hundredth of a CPU while clients ask one request after the other.
func (f *faults) overloaded(t *testing.T) {
	t.Helper()
	o := f.outputs(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	f.overload.begin()
	wg.Go(func() { squeeze(ctx, t, autoscaled, squeezed) })
	var mu sync.Mutex
	codes := map[int]int{}
	for range crowded {
		client := browser(t, o.CACertificate)
		wg.Go(func() {
			for ctx.Err() == nil {
				status, _, _ := request(t, client, http.MethodGet, o.URLs["api"]+"/api/symbols?query=SIM&limit=50", nil, nil)
				mu.Lock()
				codes[status]++
				mu.Unlock()
				if status == http.StatusTooManyRequests {
					time.Sleep(time.Second)
				}
			}
		})
	}
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	f.paged(t, f.overload, 10*time.Minute)
	stop()
	former := uids(t, namespace)[autoscaled]
	kill(t, autoscaled) // their successors have what the Deployment gives them
	f.overload.end()
	eventually(t, 4*time.Minute, "the API answers again, by its new pods", func(context.Context) (string, bool) {
		list := pods(t, namespace)[autoscaled]
		for _, p := range list {
			if !ready(&p) || slices.Contains(former, string(p.UID)) {
				return "pod " + p.Name + " is not ready, or a former one", false
			}
		}
		// Each of the edge's pods has to know them, and a connection stays with one of those.
		for range 20 {
			client := browser(t, o.CACertificate)
			status, _, err := request(t, client, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, nil)
			client.CloseIdleConnections()
			if err != nil || status != http.StatusOK {
				return fmt.Sprint(status, err), false
			}
		}
		return fmt.Sprintf("%d pods", len(list)), len(list) > 0
	})
	t.Logf("answered while overloaded, by status: %v", codes)
}

// squeeze takes CPU from the pods of a workload, and from those that come, until the context
// ends. They go on without a restart.
func squeeze(ctx context.Context, t *testing.T, workload, cpu string) {
	t.Helper()
	done := map[types.UID]bool{}
	for ctx.Err() == nil {
		list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + workload})
		if err == nil {
			for _, p := range list.Items {
				if done[p.UID] || p.DeletionTimestamp != nil {
					continue
				}
				patch := fmt.Sprintf(`{"spec":{"containers":[{"name":%q,"resources":{"requests":{"cpu":%q},"limits":{"cpu":%q}}}]}}`, p.Spec.Containers[0].Name, cpu, cpu)
				if _, err := cluster.CoreV1().Pods(namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "resize"); err == nil {
					done[p.UID] = true
				} else if ctx.Err() == nil {
					t.Logf("squeezing %s: %v", p.Name, err)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if len(done) == 0 {
		t.Errorf("no pod of %s was squeezed", workload)
	}
}

// Of the stack dev, with a database of 2 GiB: from waiting on the page is sent, 384 MiB, and
// from 512 MiB on the log is dropped.
const waitingMebibytes = 400

// fillQueue takes the archive away and has so much of the write-ahead log wait for it.
func (f *faults) fillQueue(t *testing.T) {
	t.Helper()
	scale(t, backupStore, 0)
	size := func() (mebibytes int) {
		t.Helper()
		if _, err := fmt.Sscan(ask(t, namespace, "SELECT coalesce(sum(size), 0)::bigint / 1048576 FROM pg_ls_waldir()"), &mebibytes); err != nil {
			t.Fatal(err)
		}
		return mebibytes
	}
	ask(t, namespace, "CREATE TABLE e2e_written (n int)")
	// Segments that lie ready are used up first: the folder does not grow by them.
	for range 10 {
		missing := (waitingMebibytes-size())/16 + 1
		if missing <= 0 {
			break
		}
		ask(t, namespace, fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP INSERT INTO e2e_written VALUES (i); PERFORM pg_switch_wal(); END LOOP; END $$", missing))
	}
	ask(t, namespace, "DROP TABLE e2e_written")
	t.Logf("the write-ahead log has %d MiB", size())
}

// testLong is for what is told of late, since it is no fault for a while.
func (f *faults) testLong(t *testing.T) {
	f.paged(t, f.engine, 8*time.Minute)
	scaleDeployment(t, engine, 1)
	f.engine.end()
	f.paged(t, f.certificate, 14*time.Minute)
	f.renew(t)
	for _, i := range []*induced{f.database, f.archive, f.api, f.overload, f.engine, f.certificate} {
		i.over, _ = f.pages.awaits(t, 8*time.Minute, i.alert, "resolved", i.fired)
		if at := f.pages.leadsTo(i.alert, i.began); !strings.Contains(at, linesPage) {
			t.Errorf("the page of %s leads to no log lines: %q", i.alert, at)
		}
		fmt.Printf("| %s | %s | %.0f s | %.0f s | %s |\n", i.what, i.alert, i.fired.Sub(i.began).Seconds(), i.over.Sub(i.ended).Seconds(), i.said)
	}
	f.pages.lines(t, f.database)
}
