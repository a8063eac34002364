//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// nameLabel holds a workload's name on its pods.
const nameLabel = "app.kubernetes.io/name"

// cluster and config lead to the local cluster.
var (
	cluster kubernetes.Interface
	config  *rest.Config
)

// connect finds the cluster by the kubeconfig that the program names.
func connect() error {
	cmd := exec.Command(local, "kubeconfig")
	cmd.Dir = root
	path, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("local kubeconfig: %w", err)
	}
	if config, err = clientcmd.BuildConfigFromFlags("", strings.TrimSpace(string(path))); err != nil {
		return err
	}
	// The defaults would make the matrix of connections wait for itself.
	config.QPS, config.Burst = 100, 200
	if cluster, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := cluster.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("the local cluster does not answer: %w", err)
	}
	return nil
}

// By their short names, since every part uses them.
var (
	eventually = livetest.Eventually
	request    = livetest.Request
	last       = livetest.LastLines
)

// pods returns the pods of a namespace that are not on their way out, by workload.
func pods(t testing.TB, ns string) map[string][]corev1.Pod {
	t.Helper()
	list, err := cluster.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]corev1.Pod{}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && metav1.GetControllerOf(&p) != nil {
			found[p.Labels[nameLabel]] = append(found[p.Labels[nameLabel]], p)
		}
	}
	return found
}

// uids names each workload's pods by their identities.
func uids(t testing.TB, ns string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, list := range pods(t, ns) {
		for _, p := range list {
			found[name] = append(found[name], string(p.UID))
		}
		slices.Sort(found[name])
	}
	return found
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// settled waits until every workload of a namespace has all its pods, ready and of
// its present template, and none besides. A workload that is replaced by stopping
// the old pod first has no pod at all for a while: counting ready pods would not
// miss it.
func settled(t testing.TB, ns string) {
	t.Helper()
	eventually(t, 5*time.Minute, "every workload of "+ns+" rolled out", func(ctx context.Context) (string, bool) {
		var waiting []string
		n := 0
		done := func(name string, generation, observed int64, want *int32, counts ...int32) {
			n++
			if generation != observed || want == nil || slices.ContainsFunc(counts, func(c int32) bool { return c != *want }) {
				waiting = append(waiting, fmt.Sprintf("%s %v", name, counts))
			}
		}
		deployments, err := cluster.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error(), false
		}
		for _, d := range deployments.Items {
			s := d.Status
			done(d.Name, d.Generation, s.ObservedGeneration, d.Spec.Replicas, s.Replicas, s.UpdatedReplicas, s.AvailableReplicas)
		}
		sets, err := cluster.AppsV1().StatefulSets(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error(), false
		}
		for _, set := range sets.Items {
			s := set.Status
			done(set.Name, set.Generation, s.ObservedGeneration, set.Spec.Replicas, s.Replicas, s.UpdatedReplicas, s.AvailableReplicas)
		}
		return fmt.Sprintf("%d workloads, still rolling (pods, new, available): %v", n, waiting), n > 0 && len(waiting) == 0
	})
}

// revisionLabel marks the pods of one template, where a rollout stops the old pod
// before it starts the new one.
const revisionLabel = "alphapulse.io/revision"

// arrived checks that a deployment that has ended did await those rollouts: without
// a look back, each of their workloads has all its pods, of the present template and ready.
func arrived(t testing.TB, ns string) {
	t.Helper()
	templates, count := map[string]corev1.PodTemplateSpec{}, map[string]int{}
	deployments, err := cluster.AppsV1().Deployments(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			templates[d.Name], count[d.Name] = d.Spec.Template, 1
		}
	}
	sets, err := cluster.AppsV1().StatefulSets(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets.Items {
		name := s.Spec.Template.Labels[nameLabel] // a generation has a name of its own
		templates[name], count[name] = s.Spec.Template, int(*s.Spec.Replicas)
	}
	running := pods(t, ns)
	for _, name := range sortedKeys(templates) {
		revision := templates[name].Labels[revisionLabel]
		there := slices.DeleteFunc(slices.Clone(running[name]), func(p corev1.Pod) bool { return p.Labels[revisionLabel] != revision || !ready(&p) })
		if revision == "" || len(there) != count[name] || len(running[name]) != count[name] {
			t.Errorf("%s: `pulumi up` ended with %d pods, %d of revision %q and ready among them; want %d", name, len(running[name]), len(there), revision, count[name])
		}
	}
}

// picture prints pods and warnings of a namespace when a test has failed.
func picture(t testing.TB, ns string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var b strings.Builder
		list, err := cluster.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Logf("pods of %s: %v", ns, err)
			return
		}
		for _, p := range list.Items {
			fmt.Fprintf(&b, "%s %s ready=%v", p.Name, p.Status.Phase, ready(&p))
			for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
				switch {
				case c.State.Waiting != nil:
					fmt.Fprintf(&b, " [%s waits: %s %s]", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
				case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
					fmt.Fprintf(&b, " [%s ended: %d %s]", c.Name, c.State.Terminated.ExitCode, c.State.Terminated.Reason)
				}
				if c.RestartCount > 0 {
					fmt.Fprintf(&b, " [%s restarted %d×]", c.Name, c.RestartCount)
				}
			}
			b.WriteByte('\n')
			if strings.HasPrefix(p.Name, "edge-") {
				b.WriteString(lastOf(ctx, ns, p.Name, "nginx", refusal))
			}
			if strings.HasPrefix(p.Name, "database-") {
				for _, c := range p.Spec.Containers {
					b.WriteString(lastOf(ctx, ns, p.Name, c.Name, ofConnections))
				}
			}
		}
		events, err := cluster.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
		if err == nil {
			slices.SortFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
			for _, e := range events.Items[max(0, len(events.Items)-20):] {
				fmt.Fprintf(&b, "%s %s %s/%s: %s\n", e.LastTimestamp.Format(time.TimeOnly), e.Reason, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)
			}
		}
		t.Logf("namespace %s:\n%s", ns, b.String())
	})
}

// refusal is a request that the edge answered with 5xx: which pods were asked, and what
// came of it. ofConnections is what a pooler or a member says of connections that ended
// for another reason than that their client left, and of who is the primary.
var (
	refusal       = regexp.MustCompile(`"status":5`)
	ofConnections = regexp.MustCompile(`(?i)crash|terminat|FATAL|PANIC|demot|promot|server conn|closing because: [^c]`)
)

// lastOf are the last lines of a container that are of the kind.
func lastOf(ctx context.Context, ns, pod, container string, kind *regexp.Regexp) string {
	raw, err := cluster.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{Container: container, SinceSeconds: new(int64(300))}).DoRaw(ctx)
	if err != nil {
		return fmt.Sprintf("  %s: %v\n", container, err)
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if kind.MatchString(line) {
			lines = append(lines, "  "+container+": "+line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-8):], "")
}

// execute runs a command in a pod's container and returns what it printed.
func execute(ctx context.Context, ns, pod, container string, argv ...string) (string, error) {
	req := cluster.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	e, err := remotecommand.NewSPDYExecutor(config, "POST", req.URL())
	if err != nil {
		return "", err
	}
	// One buffer for each: the streams are copied at the same time, and in a shared
	// one they wrote over each other.
	var out, errs bytes.Buffer
	err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errs})
	return strings.TrimSpace(out.String() + errs.String()), err
}

// startProbe starts a pod of the probe image with the given labels, which ends with
// the test. It is never ready, so that no Service sends it requests that are meant
// for the workload whose labels it carries.
func startProbe(t testing.TB, ns, name string, labels map[string]string, args ...string) *corev1.Pod {
	t.Helper()
	return startProbeOf(t, ns, name, labels, "250m", args...)
}

// startProbeOf is startProbe with so much CPU at most.
func startProbeOf(t testing.TB, ns, name string, labels map[string]string, cpu string, args ...string) *corev1.Pod {
	t.Helper()
	yes, no, grace := true, false, int64(0)
	resources := corev1.ResourceList{corev1.ResourceCPU: quantity("5m"), corev1.ResourceMemory: quantity("16Mi")}
	limits := corev1.ResourceList{corev1.ResourceCPU: quantity(cpu), corev1.ResourceMemory: quantity("48Mi")}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: &grace,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: "docker.io/alphapulse/probe:0.1.0", Args: args,
				Resources: corev1.ResourceRequirements{Requests: resources, Limits: limits},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				ReadinessProbe: &corev1.Probe{
					ProbeHandler:        corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/probe"}}},
					InitialDelaySeconds: 3600, PeriodSeconds: 3600,
				},
			}},
		},
	}
	if _, err := cluster.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatalf("probe %s: %v", name, err)
	}
	t.Cleanup(func() { stopProbe(t, ns, name) })
	for {
		p, err := cluster.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("probe %s: %v", name, err)
		}
		switch p.Status.Phase {
		case corev1.PodRunning:
			return p
		case corev1.PodFailed, corev1.PodSucceeded:
			t.Fatalf("probe %s ended: %+v", name, p.Status.ContainerStatuses)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("probe %s: still %s", name, p.Status.Phase)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func stopProbe(t testing.TB, ns, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cluster.CoreV1().Pods(ns).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("probe %s: %v", name, err)
	}
}

// contents lists every object of every kind that a namespace holds, without what
// Kubernetes itself puts into each one and what expires by itself.
func contents(t testing.TB, ns string) []string {
	t.Helper()
	kinds := strings.Fields(string(output(t, "kubectl", "--", "api-resources", "--namespaced", "--verbs=list,delete", "--output=name")))
	kinds = slices.DeleteFunc(kinds, func(k string) bool {
		return strings.HasPrefix(k, "events") || strings.HasSuffix(k, "metrics.k8s.io")
	})
	found := strings.Fields(string(output(t, "kubectl", "--", "get", strings.Join(kinds, ","), "--namespace="+ns, "--output=name", "--ignore-not-found")))
	t.Logf("of %d kinds namespace %s holds %d objects", len(kinds), ns, len(found))
	return slices.DeleteFunc(found, func(o string) bool {
		return o == "configmap/kube-root-ca.crt" || o == "serviceaccount/default"
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
