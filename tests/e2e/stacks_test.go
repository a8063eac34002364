//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// another makes one more stack of the program: the settings of dev with the given
// ones on top. It ends with the test, whatever it has left.
func another(t testing.TB, name string, settings ...string) (ns string) {
	t.Helper()
	ns = "alphapulse-" + name
	picture(t, ns)
	file := filepath.Join(root, "Pulumi."+name+".yaml")
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A run that ended early may have left protected things, locks and objects.
		_, _ = try(t, "pulumi", "--", "cancel", "--stack", name, "--yes")
		_, _ = try(t, "pulumi", "--", "stack", "rm", "--force", "--yes", name)
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		removeNamespace(t, ns)
	})
	pulumi(t, "stack", "init", "--no-select", "--stack", name)
	// What init wrote is the salt of the stack's passphrase, without which no secret
	// of its state could be read again.
	salt, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(append(salt, '\n'), raw...), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"config", "set-all", "--stack", name}
	for _, s := range settings {
		args = append(args, "--plaintext", s)
	}
	pulumi(t, args...)
	return ns
}

func up(t testing.TB, stack string) {
	t.Helper()
	out := pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
	t.Log(last(out, 4))
}

// small are settings that keep another stack beside dev on one node.
func small(httpPort, httpsPort int, domain string) []string {
	return []string{
		"domain=" + domain,
		fmt.Sprintf("edgeHttpNodePort=%d", httpPort),
		fmt.Sprintf("edgeHttpsNodePort=%d", httpsPort),
		fmt.Sprintf("edgePublicPort=%d", httpsPort),
		"engineEnabled=true",
		"backendMaxReplicas=1",
		"databaseInstances=1",
		"maxSymbols=20",
	}
}

func testSecondStack(t *testing.T) {
	before := uidsWithout(t, autoscaled)
	const name = "e2e-second"
	const valkey = "docker.io/valkey/valkey:8.1.1"
	must(t, "images", "valkey")
	ns := another(t, name, append(small(30180, 30543, "second.localhost"), "cacheImage="+valkey)...)
	killed(t, name, ns)
	settled(t, ns)
	o := outputsOf(t, name)
	if o.Namespace != ns {
		t.Errorf("the second stack is in namespace %q, want %q", o.Namespace, ns)
	}
	answers(t, o)
	answers(t, outputsOf(t, stack))
	cacheDies(t, ns, strings.TrimSpace(pulumi(t, "stack", "output", "cachePassword", "--show-secrets", "--stack", name)))

	out := pulumi(t, "destroy", "--stack", name, "--yes", "--skip-preview")
	t.Log(last(out, 4))
	gone(t, ns)
	answers(t, outputsOf(t, stack))
	if after := uidsWithout(t, autoscaled); !reflect.DeepEqual(before, after) {
		t.Errorf("the pods of %s were %v and are %v", namespace, before, after)
	}
}

// cacheDies kills a cache that is Valkey while it writes, and tears the end of its file
// as a power cut may: it starts by itself, with all but what was torn.
func cacheDies(t *testing.T, ns, password string) {
	t.Helper()
	ask := func(words ...string) string {
		t.Helper()
		out, err := execute(t.Context(), ns, "cache-0", "redis", append([]string{"redis-cli", "-e", "--no-auth-warning", "-a", password}, words...)...)
		if err != nil {
			t.Fatalf("%v: %v %s", words, err, out)
		}
		return strings.TrimSpace(out)
	}
	if info := ask("INFO", "server"); !strings.Contains(info, "valkey_version:8.") {
		t.Errorf("the cache is not Valkey 8: %s", info)
	}
	const keys = 100
	for i := range keys {
		ask("SET", fmt.Sprint("test:", i), strings.Repeat("x", 100))
	}
	// A second after its last write the file is on the disk (appendfsync everysec).
	eventually(t, 10*time.Second, "the file is written", func(context.Context) (string, bool) {
		info := ask("INFO", "persistence")
		return info, strings.Contains(info, "aof_pending_bio_fsync:0") && strings.Contains(info, "aof_last_write_status:ok")
	})
	starts := ask("INFO", "server")
	if out, err := execute(t.Context(), ns, "cache-0", "redis", "sh", "-c", `for f in /data/appendonlydir/*.incr.aof; do :; done; truncate -s -60 "$f"`); err != nil {
		t.Fatal(out, err)
	}
	pod, err := cluster.CoreV1().Pods(ns).Get(t.Context(), "cache-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	signal(t, syscall.SIGKILL, processes(t, *pod, func(c string) bool { return strings.Contains(c, "-server") }))
	eventually(t, 2*time.Minute, "the cache answers again", func(ctx context.Context) (string, bool) {
		out, err := execute(ctx, ns, "cache-0", "redis", "redis-cli", "-e", "--no-auth-warning", "-a", password, "INFO", "server")
		return fmt.Sprint(out, err), err == nil && runID(out) != "" && runID(out) != runID(starts)
	})
	// What the API wrote beside it may be what was torn, a command of 60 bytes or more.
	for i := range keys - 1 {
		if got := ask("EXISTS", fmt.Sprint("test:", i)); got != "1" {
			t.Errorf("key %d of %d is lost", i, keys)
		}
	}
	log, err := cluster.CoreV1().Pods(ns).GetLogs("cache-0", &corev1.PodLogOptions{Container: "redis"}).DoRaw(t.Context())
	if err != nil || !strings.Contains(string(log), "aof-load-truncated") {
		t.Errorf("the cache does not say that its file was torn: %v\n%s", err, last(string(log), 20))
	}
	answers(t, outputsOf(t, strings.TrimPrefix(ns, "alphapulse-")))
}

// runID names one start of a cache.
func runID(info string) string {
	_, id, _ := strings.Cut(info, "run_id:")
	id, _, _ = strings.Cut(id, "\r")
	return id
}

func uidsWithout(t *testing.T, name string) map[string][]string {
	t.Helper()
	found := uids(t, namespace)
	delete(found, name)
	return found
}

// testProd deploys with the protection of prod in the sizes of dev, and destroys as
// an operator would: refused at first, then forced.
func testProd(t *testing.T) {
	const name = "e2e-prod"
	// A node alone cannot spread replicas over hosts.
	ns := another(t, name, append(small(30280, 30643, "prod.localhost"), "protect=true", "databaseBackup=off")...)
	up(t, name)
	settled(t, ns)
	o := outputsOf(t, name)
	c := browser(t, o.CACertificate)
	symbol := someSymbol(t, c, o)
	watch(t, c, o, symbol)
	watched(t, c, o, symbol)
	pod := pods(t, ns)["database"][0]

	before := uids(t, ns)
	// What no protected thing depends on, and pods do not either.
	declared := func() []string {
		return slices.DeleteFunc(contents(t, ns), func(o string) bool {
			return !strings.HasPrefix(o, "service/") && !strings.HasPrefix(o, "networkpolicy.") && !strings.HasPrefix(o, "poddisruptionbudget.")
		})
	}
	held := declared()
	// Without a preview nothing is refused as a whole.
	for _, flags := range [][]string{nil, {"--skip-preview"}} {
		out, err := try(t, append([]string{"pulumi", "--", "destroy", "--stack", name, "--yes"}, flags...)...)
		if err == nil || !strings.Contains(out, "protect") {
			t.Fatalf("pulumi destroy %v of a protected stack: %v\n%s", flags, err, last(out, 30))
		}
		t.Log(last(out, 12))
		if after := uids(t, ns); !reflect.DeepEqual(before, after) {
			t.Errorf("the refused destroy %v went half of its way: pods were %v and are %v", flags, before, after)
		}
		if left := declared(); !slices.Equal(held, left) {
			t.Errorf("the refused destroy %v went half of its way: of %v there are %v", flags, held, left)
		}
		kept(t, ns, pod, symbol)
	}

	pulumi(t, "state", "unprotect", "--all", "--yes", "--stack", name)
	out := pulumi(t, "destroy", "--stack", name, "--yes", "--skip-preview")
	t.Log(last(out, 6))
	kept(t, ns, pod, symbol)
}

// kept checks that claims are bound as before and that the database still holds what
// was stored through the API.
func kept(t *testing.T, ns string, database corev1.Pod, symbol string) {
	t.Helper()
	claims, err := cluster.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bound := map[string]bool{}
	for _, c := range claims.Items {
		bound[c.Name] = c.Status.Phase == corev1.ClaimBound && c.DeletionTimestamp == nil
	}
	for _, name := range []string{"data-database-g1-0", "cache", "monitoring-prometheus", "monitoring-grafana", "monitoring-alertmanager"} {
		if !bound[name] {
			t.Errorf("claim %s is not there any more: %v", name, bound)
		}
	}
	t.Logf("claims: %v", bound)
	eventually(t, time.Minute, "the row in the database", func(ctx context.Context) (string, bool) {
		out, err := execute(ctx, ns, database.Name, "postgresql",
			"psql", "--host=/var/run/postgresql", "--username=postgres", "--dbname=alphapulse", "--no-align", "--tuples-only", "--command=SELECT * FROM watchlists")
		return fmt.Sprintf("%s %v", out, err), err == nil && strings.Contains(out, symbol)
	})
}
