//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// otherNamespace is where a pod stands that has nothing to do with the stack.
const otherNamespace = "alphapulse-e2e-stranger"

// A socket is one listening TCP port of a pod.
type socket struct {
	name string // of the workload
	pod  corev1.Pod
	port int
}

func (s socket) String() string { return fmt.Sprintf("%s:%d", s.name, s.port) }

// anchors are connections that must be as they are for the platform to make sense.
// The others follow from the policies; these keep a policy that is wrong from
// proving itself right.
var anchors = map[string]bool{
	"edge → backend:8000":                     true,
	"edge → frontend:3000":                    true,
	"edge → database:5432":                    false,
	"backend → database:5432":                 true,
	"backend → database-pooler:6432":          true,
	"backend → database-pooler:8009":          false,
	"backend → database-pooler:8011":          false,
	"backend → database:8008":                 false,
	"database-pooler → database:8008":         true,
	"frontend → database-pooler:6432":         false,
	"stranger → database-pooler:6432":         false,
	"backend → cache:6379":                    true,
	"backend → cache:6380":                    true,
	"backend-engine → database:5432":          true,
	"backend-dashboard → cache:6379":          true,
	"backend → frontend:3000":                 false,
	"frontend → database:5432":                false,
	"frontend → backend:8000":                 false,
	"database → cache:6379":                   false,
	"monitoring-prometheus → database:9187":   true,
	"monitoring-prometheus → database:8010":   true,
	"monitoring-prometheus → database:5432":   false,
	"monitoring-grafana → database:5432":      false,
	"stranger → database:5432":                false,
	"stranger → backend:8000":                 false,
	"other namespace → database:5432":         false,
	"other namespace → cache:6379":            false,
	"other namespace → backend:8000":          false,
	"other namespace → backend-engine:9090":   false,
	"other namespace → edge:8443":             true,
	"stranger → kube-dns:53":                  true,
	"monitoring-alertmanager → database:5432": false,

	// Prometheus sees the pooler's figures, and not the control, which pauses clients.
	"monitoring-prometheus → database-pooler:9127": true,
	"monitoring-prometheus → database-pooler:8009": false,
}

// testReachability dials from each workload, from a stranger in the namespace and
// from a pod of another namespace to every port of every workload. What may connect
// is computed from the policies, as the Kubernetes API defines their meaning.
func testReachability(t *testing.T) {
	running := pods(t, namespace)
	policies, err := cluster.NetworkingV1().NetworkPolicies(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	namespaces := map[string]map[string]string{}
	list, err := cluster.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list.Items {
		namespaces[n.Name] = n.Labels
	}
	namespaces[otherNamespace] = map[string]string{corev1.LabelMetadataName: otherNamespace}

	var targets []socket
	for _, name := range sortedKeys(running) {
		p := running[name][0]
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			for _, port := range c.Ports {
				targets = append(targets, socket{name, p, int(port.ContainerPort)})
			}
		}
	}
	dns, err := cluster.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil || len(dns.Items) == 0 {
		t.Fatalf("pods of the cluster's DNS: %v", err)
	}
	targets = append(targets, socket{"kube-dns", dns.Items[0], 53})

	createNamespace(t, otherNamespace)
	type source struct {
		name, namespace string
		labels          map[string]string
	}
	sources := []source{
		{"stranger", namespace, map[string]string{"app": "stranger"}},
		{"other namespace", otherNamespace, map[string]string{"app": "stranger"}},
		// Carries the labels of a friend, but stands elsewhere.
		{"impostor", otherNamespace, identity(running["backend"][0].Labels)},
	}
	for _, name := range sortedKeys(running) {
		sources = append(sources, source{name, namespace, identity(running[name][0].Labels)})
	}

	seen := map[string]bool{}
	var mu sync.Mutex
	var wrong []string
	allowed := 0
	// Two at a time: the namespace's quota leaves that much beside a full scale-out.
	slots := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, s := range sources {
		slots <- struct{}{}
		name := fmt.Sprintf("e2e-source-%d", i)
		pod := startProbe(t, s.namespace, name, s.labels, "sleep")
		wg.Go(func() {
			defer func() { stopProbe(t, s.namespace, name); <-slots }()
			var dials sync.WaitGroup
			for _, to := range targets {
				dials.Go(func() {
					want := reaches(policies.Items, namespaces, pod, &to.pod, to.port)
					err := connects(t.Context(), s.namespace, name, to, want)
					// The enforcement on the node learns of a new pod by a watch, and the
					// autoscaler may have taken the pod that was dialled.
					for learn := 0; (err == nil) != want && learn < 10; learn++ {
						time.Sleep(2 * time.Second)
						to = present(t, to)
						err = connects(t.Context(), s.namespace, name, to, want)
					}
					mu.Lock()
					defer mu.Unlock()
					pair := s.name + " → " + to.String()
					if seen[pair] = err == nil; seen[pair] {
						allowed++
					}
					if (err == nil) != want {
						wrong = append(wrong, fmt.Sprintf("%s: the policies say %v, but: %v", pair, verdict(want), result(err)))
					}
				})
			}
			dials.Wait()
		})
	}
	wg.Wait()
	slices.Sort(wrong)
	for _, w := range wrong {
		t.Error(w)
	}
	for pair, want := range anchors {
		if got, ok := seen[pair]; !ok || got != want {
			t.Errorf("%s: %s (tried: %v), want %s", pair, verdict(got), ok, verdict(want))
		}
	}
	t.Logf("%d sources × %d ports = %d connections tried: %d opened, %d did not", len(sources), len(targets), len(seen), allowed, len(seen)-allowed)
	for _, s := range sources {
		var open []string
		for _, to := range targets {
			if seen[s.name+" → "+to.String()] {
				open = append(open, to.String())
			}
		}
		t.Logf("%s → %s", s.name, strings.Join(open, " "))
	}
}

// present returns the socket on a pod that is there: its own, or another one of the
// same workload, whose labels and therefore policies are the same.
func present(t testing.TB, s socket) socket {
	t.Helper()
	list, err := cluster.CoreV1().Pods(s.pod.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set(identity(s.pod.Labels)).String()})
	if err != nil {
		t.Errorf("pods of %s: %v", s.name, err)
		return s
	}
	for _, p := range list.Items {
		if p.UID == s.pod.UID && p.DeletionTimestamp == nil {
			return s
		}
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && ready(&p) && metav1.GetControllerOf(&p) != nil {
			s.pod = p
		}
	}
	return s
}

func verdict(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "refused"
}

func result(err error) string {
	if err == nil {
		return "it connected"
	}
	return err.Error()
}

// connects dials from a pod. Where it ought to succeed, a loaded machine gets more
// than one try; where not, one that succeeds is one too many.
func connects(ctx context.Context, ns, pod string, to socket, want bool) error {
	address := net.JoinHostPort(to.pod.Status.PodIP, strconv.Itoa(to.port))
	tries := 1
	if want {
		tries = 5
	}
	var err error
	for range tries {
		var out string
		if out, err = execute(ctx, ns, pod, "probe", "/probe", "dial", "-timeout", "3s", address); err == nil {
			return nil
		}
		if !strings.Contains(out, "dial tcp") {
			// The dial did not take place: that says nothing about the policies.
			tries++
		}
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// identity returns the labels of a pod without those by which a controller would
// take another pod for its own.
func identity(l map[string]string) map[string]string {
	l = maps.Clone(l)
	maps.DeleteFunc(l, func(k, _ string) bool {
		return k == "pod-template-hash" || k == "controller-revision-hash" || strings.Contains(k, "kubernetes.io/pod-") || strings.HasPrefix(k, "apps.kubernetes.io/") || strings.HasPrefix(k, "statefulset.kubernetes.io/")
	})
	return l
}

func createNamespace(t testing.TB, name string) {
	t.Helper()
	_, err := cluster.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeNamespace(t, name) })
}

// removeNamespace waits, so that a run that follows does not find half of it.
func removeNamespace(t testing.TB, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for {
		err := cluster.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		if err != nil && !apierrors.IsConflict(err) {
			t.Errorf("namespace %s: %v", name, err)
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("namespace %s does not go", name)
			return
		case <-time.After(time.Second):
		}
	}
}

// reaches tells by the policies of the stack's namespace whether one pod may open a
// connection to another one's port.
func reaches(policies []networkingv1.NetworkPolicy, namespaces map[string]map[string]string, from, to *corev1.Pod, port int) bool {
	out, in := true, true
	if rules, isolated := selected(policies, from, networkingv1.PolicyTypeEgress); isolated {
		out = slices.ContainsFunc(rules, func(p networkingv1.NetworkPolicySpec) bool {
			return slices.ContainsFunc(p.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
				return onPort(r.Ports, port) && isPeer(r.To, namespaces, from.Namespace, to)
			})
		})
	}
	if rules, isolated := selected(policies, to, networkingv1.PolicyTypeIngress); isolated {
		in = slices.ContainsFunc(rules, func(p networkingv1.NetworkPolicySpec) bool {
			return slices.ContainsFunc(p.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
				return onPort(r.Ports, port) && isPeer(r.From, namespaces, to.Namespace, from)
			})
		})
	}
	return out && in
}

// selected returns the policies of one direction that hold for a pod.
func selected(policies []networkingv1.NetworkPolicy, pod *corev1.Pod, direction networkingv1.PolicyType) (specs []networkingv1.NetworkPolicySpec, isolated bool) {
	for _, p := range policies {
		if p.Namespace == pod.Namespace && slices.Contains(p.Spec.PolicyTypes, direction) && matches(&p.Spec.PodSelector, pod.Labels) {
			specs = append(specs, p.Spec)
		}
	}
	return specs, len(specs) > 0
}

func matches(s *metav1.LabelSelector, l map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(l))
}

func onPort(ports []networkingv1.NetworkPolicyPort, port int) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		tcp := p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP
		return tcp && (p.Port == nil || *p.Port == intstr.FromInt(port))
	})
}

func isPeer(peers []networkingv1.NetworkPolicyPeer, namespaces map[string]map[string]string, own string, pod *corev1.Pod) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			address := netip.MustParseAddr(pod.Status.PodIP)
			in := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(address) }
			return in(p.IPBlock.CIDR) && !slices.ContainsFunc(p.IPBlock.Except, in)
		}
		inNamespace := pod.Namespace == own
		if p.NamespaceSelector != nil {
			inNamespace = matches(p.NamespaceSelector, namespaces[pod.Namespace])
		}
		return inNamespace && (p.PodSelector == nil || matches(p.PodSelector, pod.Labels))
	})
}
