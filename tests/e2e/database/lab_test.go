//go:build cluster

package database

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/tests/e2e/internal/rows"
)

// requestTimeout is that of the writers, as an API has one.
const requestTimeout = 30 * time.Second

var (
	cluster   kubernetes.Interface
	objectsOf dynamic.Interface
	config    *rest.Config
	// local is the program that runs the local cluster.
	local = os.Getenv("LOCAL")
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the laboratory cannot be set up:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if local == "" {
		local = "../../../.local/bin/local"
	}
	out, err := exec.Command(local, "kubeconfig").Output()
	if err != nil {
		return 0, fmt.Errorf("%s kubeconfig: %w", local, err)
	}
	if config, err = clientcmd.BuildConfigFromFlags("", strings.TrimSpace(string(out))); err != nil {
		return 0, err
	}
	config.QPS, config.Burst = 100, 200
	if cluster, err = kubernetes.NewForConfig(config); err != nil {
		return 0, err
	}
	if objectsOf, err = dynamic.NewForConfig(config); err != nil {
		return 0, err
	}
	ctx := context.Background()
	p, err := newPlan()
	if err != nil {
		return 0, err
	}
	if os.Getenv("KEEP") == "" {
		defer func() { err = errors.Join(err, remove(ctx)) }()
	}
	start := time.Now()
	if err := p.apply(ctx); err != nil {
		return 0, err
	}
	if err := ready(ctx, p.instances); err != nil {
		return 0, err
	}
	fmt.Printf("the laboratory was ready after %.0f s\n", time.Since(start).Seconds())
	return m.Run(), nil
}

// now is what was applied last.
var now *plan

// newPlan is the laboratory's state, at first its usual one. Its passwords are the same in every run, its
// certificates are kept beside other temporary files.
func newPlan() (*plan, error) {
	if now != nil {
		p := *now
		p.settings, p.used = slices.Clone(now.settings), slices.Clone(now.used)
		return &p, nil
	}
	p := &plan{instances: 3, poolers: 2, revision: "1", login: appRole, used: logins(appRole), passwords: passwords{}, settings: []patroni.Setting{
		{Name: "max_connections", Value: "100"}, {Name: "max_worker_processes", Value: "21"}, {Name: "max_locks_per_transaction", Value: "128"},
		{Name: "timescaledb.max_background_workers", Value: "16"}, {Name: "timescaledb.telemetry_level", Value: "off"},
		{Name: "shared_buffers", Value: "128MB"}, {Name: "max_wal_size", Value: "1GB"}, {Name: "max_slot_wal_keep_size", Value: "1GB"}, {Name: "jit", Value: "off"},
	}}
	for _, of := range []string{appRole, appRole + "_2", "alphapulse_monitor", "alphapulse_pooler", "alphapulse_replicator", "alphapulse_rewinder", "control", "s3key", "s3secret", "cipher"} {
		sum := sha256.Sum256([]byte("laboratory " + of))
		p.passwords[of] = hex.EncodeToString(sum[:12])
	}
	kept := filepath.Join(os.TempDir(), "alphapulse-dblab.json")
	if raw, err := os.ReadFile(kept); err == nil {
		return p, json.Unmarshal(raw, &p.tls)
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	p.tls = map[string]map[string]string{}
	wild := []string{"*." + members, "*." + members + "." + namespace + ".svc"}
	for secret, c := range map[string][]string{
		name + "-tls":            append([]string{name, name, readName}, wild...),
		name + "-pgbackrest-tls": append([]string{"pgbackrest"}, wild...),
		poolerName + "-tls":      {poolerName, poolerName, poolerName + "." + namespace + ".svc"},
		s3Name + "-tls":          {s3Name, s3Name, s3Name + "." + namespace + ".svc"},
	} {
		if p.tls[secret], err = ca.issue(c[0], c[1:]...); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(p.tls)
	if err != nil {
		return nil, err
	}
	return p, os.WriteFile(kept, raw, 0o600)
}

// apply brings the cluster to the plan.
func (p *plan) apply(ctx context.Context) error {
	now = p
	objects, err := p.objects()
	if err != nil {
		return err
	}
	for _, o := range objects {
		kinds, _, err := scheme.Scheme.ObjectKinds(o)
		if err != nil {
			return err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return err
		}
		delete(content, "status")
		u := &unstructured.Unstructured{Object: content}
		u.SetGroupVersionKind(kinds[0])
		resource, _ := apimeta.UnsafeGuessKindToResource(kinds[0])
		var to dynamic.ResourceInterface = objectsOf.Resource(resource)
		if u.GetNamespace() != "" {
			to = objectsOf.Resource(resource).Namespace(u.GetNamespace())
		}
		if _, err := to.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: "laboratory", Force: true}); err != nil {
			return fmt.Errorf("%s %s: %w", kinds[0].Kind, u.GetName(), err)
		}
	}
	return nil
}

// execute runs a command in a container and returns what it printed.
func execute(ctx context.Context, pod, container string, command ...string) (string, error) {
	req := cluster.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	e, err := remotecommand.NewSPDYExecutor(config, "POST", req.URL())
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
	if err != nil {
		err = fmt.Errorf("in %s: %s: %w: %s", pod, strings.Join(command, " "), err, out.String())
	}
	return out.String(), err
}

func remove(ctx context.Context) error {
	if err := cluster.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, time.Second, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := cluster.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// ready waits until every pod is.
func ready(ctx context.Context, instances int) error {
	var seen string
	err := wait.PollUntilContextTimeout(ctx, time.Second, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			seen = err.Error()
			return false, nil
		}
		n := 0
		seen = ""
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				continue
			}
			if pod.DeletionTimestamp != nil || !isReady(&pod) {
				seen += pod.Name + " "
				continue
			}
			if pod.Labels["app.kubernetes.io/name"] == name {
				n++
			}
		}
		if n != instances {
			seen += fmt.Sprintf("%d of %d members", n, instances)
		}
		return seen == "", nil
	})
	if err != nil {
		return fmt.Errorf("not ready: %s: %w", seen, err)
	}
	return nil
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// logins are all that are declared when the application's is the one named.
func logins(application string) []string {
	return []string{application, "alphapulse_monitor", "alphapulse_pooler", "alphapulse_replicator", "alphapulse_rewinder"}
}

// load is that of an API through the pooler.
func load(t *testing.T) *rows.Load {
	t.Helper()
	l := loadAs(t, appRole, appDatabase)
	if err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func loadAs(t *testing.T, role, inDatabase string) *rows.Load {
	t.Helper()
	s, err := cluster.CoreV1().Services(namespace).Get(t.Context(), poolerName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan()
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, p.passwords[role]), Host: fmt.Sprintf("%s:%d", s.Spec.ClusterIP, pgbouncer.Port), Path: "/" + inDatabase,
		RawQuery: "sslmode=require&connect_timeout=30",
	}
	return &rows.Load{URL: u.String(), Writers: 6, Timeout: requestTimeout, Lifetime: 10 * time.Second}
}

// primary is the pod that has the primary's label.
func primary(t *testing.T) *corev1.Pod {
	t.Helper()
	pods, err := cluster.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: patroni.RoleLabel + "=" + patroni.Primary})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 1 {
		t.Fatalf("%d pods have the primary's label", len(pods.Items))
	}
	return &pods.Items[0]
}

func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(raw))[0]
}
