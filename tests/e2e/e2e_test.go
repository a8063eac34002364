//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCore is one test because its parts follow one another on one stack: what one
// leaves behind is where the next one starts.
func TestCore(t *testing.T) {
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			picture(t, namespace)
			f(t)
		})
	}
	run("EveryEndpointAnswers", testEndpoints)
	run("BothFamiliesOfIP", testBothFamilies)
	run("RowSurvivesDatabasePod", testRow)
	run("UpAgainChangesNothing", testUpAgain)
	run("RefreshSeesNoDrift", testRefresh)
	run("SettingRollsOnlyItsReaders", testSetting)
	run("AutoscalerGrows", testAutoscalerGrows)
	// At the same time, as teams deploy and users look at it.
	run("SideBySide", func(t *testing.T) {
		for name, f := range map[string]func(*testing.T){
			"Browser":              testBrowser,
			"Reachability":         testReachability,
			"SecondStack":          testSecondStack,
			"Stranger":             testStranger,
			"ProdDestroyKeepsData": testProd,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f(t)
			})
		}
	})
	run("AutoscalerShrinks", testAutoscalerShrinks)
}

func testEndpoints(t *testing.T) {
	settled(t, namespace)
	o := outputsOf(t, stack)
	answers(t, o)

	_, _, err := request(t, browser(t, ""), http.MethodGet, o.URLs["api"]+"/api/market/status", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client that does not trust the development CA got %v, want a refused certificate", err)
	}
	status, _, err := request(t, browser(t, o.CACertificate), http.MethodGet, o.URLs["prometheus"]+"/api/v1/query?query=up", nil, nil)
	if err != nil || status != http.StatusUnauthorized {
		t.Errorf("Prometheus without a password: %d %v, want 401", status, err)
	}
	testPrometheusPages(t, o)
	plain := strings.NewReplacer("https:", "http:", ":30443", ":30080").Replace(o.URLs["ui"])
	status, _, err = request(t, browser(t, o.CACertificate), http.MethodGet, plain, nil, nil)
	if err != nil || status/100 != 3 {
		t.Errorf("GET %s: %d %v, want a redirect to HTTPS", plain, status, err)
	}
}

// testPrometheusPages: Prometheus' own pages, and the script that they are, are behind the
// edge's login and below its path.
func testPrometheusPages(t *testing.T, o outputs) {
	t.Helper()
	c := browser(t, o.CACertificate)
	get := func(path string, login bool) (int, string) {
		status, body, err := request(t, c, http.MethodGet, o.URLs["prometheus"]+path, nil, func(r *http.Request) {
			if login {
				r.SetBasicAuth("admin", o.PrometheusPassword)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return status, string(body)
	}
	status, page := get("/query", true)
	script := regexp.MustCompile(`src="\.(/assets/[^"]+\.js)"`).FindStringSubmatch(page)
	if status != http.StatusOK || script == nil || !strings.Contains(page, "<title>Prometheus") {
		t.Fatalf("GET /query: %d, and a page without a script of its own: %.300q", status, page)
	}
	if status, code := get(script[1], true); status != http.StatusOK || len(code) < 100_000 {
		t.Errorf("GET %s: %d, %d bytes", script[1], status, len(code))
	}
	if status, _ := get(script[1], false); status != http.StatusUnauthorized {
		t.Errorf("GET %s without a password: %d, want 401", script[1], status)
	}
}

// testBrowser runs the frontend's tests in Chromium against the stack: the pages, the
// dashboard and their live data, and Prometheus' own pages, over TLS with the development CA.
func testBrowser(t *testing.T) {
	o := outputsOf(t, stack)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, []byte(o.CACertificate), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-C", filepath.Join(root, "docker", "frontend"), "-count=1", "-v", "-tags=live", "./browsertest")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "UI_URL="+o.URLs["ui"], "DASHBOARD_URL="+o.URLs["dashboard"],
		"PROMETHEUS_URL="+o.URLs["prometheus"], "PROMETHEUS_PASSWORD="+o.PrometheusPassword, "CA_FILE="+ca, "OUTPUT_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the tests in the browser: %v\n%s", err, last(string(out), 60))
	}
	t.Log(last(string(out), 40))
}

func testRow(t *testing.T) {
	o := outputsOf(t, stack)
	c := browser(t, o.CACertificate)
	symbol := someSymbol(t, c, o)
	// The write empties the cache and nothing reads before the pod is gone, so what
	// is read afterwards comes from the database.
	watch(t, c, o, symbol)

	old := pods(t, namespace)["database"][0]
	if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "another database pod is ready", func(ctx context.Context) (string, bool) {
		p, err := cluster.CoreV1().Pods(namespace).Get(ctx, old.Name, metav1.GetOptions{})
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s, was %s, ready %v", p.UID, old.UID, ready(p)), p.UID != old.UID && ready(p)
	})
	watched(t, c, o, symbol)
}

// upAgain deploys the stack once more and fails if that changes anything.
func upAgain(t *testing.T) {
	t.Helper()
	before := generations(t)
	out := pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes")
	t.Log(last(out, 4))
	if after := generations(t); !reflect.DeepEqual(before, after) {
		t.Errorf("generations of the workloads were %v and are %v", before, after)
	}
}

// generations counts the changes that each workload's specification has seen. The
// API's grows with the autoscaler, too.
func generations(t *testing.T) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	deployments, err := cluster.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		if d.Name != autoscaled {
			found["deployment/"+d.Name] = d.Generation
		}
	}
	sets, err := cluster.AppsV1().StatefulSets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets.Items {
		found["statefulset/"+s.Name] = s.Generation
	}
	return found
}

func testUpAgain(t *testing.T) {
	before := uids(t, namespace)
	upAgain(t)
	if after := uids(t, namespace); !reflect.DeepEqual(before, after) {
		t.Errorf("pods were %v and are %v", before, after)
	}
}

func testRefresh(t *testing.T) {
	out := pulumi(t, "refresh", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes")
	t.Log(last(out, 4))
}

// TestDestroy runs by itself, after every group that shares the cluster: what all of them
// had written is searched.
func TestDestroy(t *testing.T) {
	picture(t, namespace)
	logsShowNoSecret(t, stack, namespace)
	must(t, "destroy")
	gone(t, namespace)
}

// gone checks that a destroyed stack has left its namespace empty or taken it along.
func gone(t *testing.T, ns string) {
	t.Helper()
	_, err := cluster.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		t.Logf("namespace %s does not exist", ns)
	} else if err != nil {
		t.Fatal(err)
	}
	if left := contents(t, ns); len(left) > 0 {
		t.Errorf("namespace %s still holds %s", ns, strings.Join(left, ", "))
	}
	eventually(t, 2*time.Minute, "no volume of "+ns, func(ctx context.Context) (string, bool) {
		volumes, err := cluster.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error(), false
		}
		var left []string
		for _, v := range volumes.Items {
			if c := v.Spec.ClaimRef; c != nil && c.Namespace == ns {
				left = append(left, fmt.Sprintf("%s (%s)", v.Name, c.Name))
			}
		}
		return fmt.Sprintf("%d volumes in the cluster, of this namespace %v", len(volumes.Items), left), len(left) == 0
	})
}
