// Package tables has what the program makes as tables that are reviewed, and whether the
// passwords in them open what they are for.
package tables

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/golden"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// names of generated passwords, so that a table tells whose each one is.
func names(r *recorder.Recording, text string) string {
	for _, x := range r.Find("random:index/randomPassword:RandomPassword", "") {
		text = strings.ReplaceAll(text, recorder.Generated(x.Name), "<"+x.Name+">")
	}
	return text
}

// sorted is what a stack makes, in the order of names and not of registration.
func sorted(t *testing.T, stack string) *recorder.Recording {
	t.Helper()
	r, err := recorder.Stack(stack, nil)
	require.NoError(t, err)
	slices.SortFunc(r.Resources, func(a, b recorder.Resource) int { return strings.Compare(a.Label(), b.Label()) })
	return r
}

// table is lines of a golden file.
type table struct{ strings.Builder }

func (t *table) line(format string, v ...any) { _, _ = fmt.Fprintf(t, format+"\n", v...) }

func (t *table) probe(kind string, p *corev1.Probe) {
	if p == nil {
		return
	}
	ask := ""
	switch {
	case p.Exec != nil:
		ask = strings.Join(p.Exec.Command, " ")
	case p.HTTPGet != nil:
		ask = "GET " + p.HTTPGet.Port.String() + p.HTTPGet.Path
		if p.HTTPGet.Scheme == corev1.URISchemeHTTPS {
			ask += " over TLS"
		}
	case p.TCPSocket != nil:
		ask = "connect to " + p.TCPSocket.Port.String()
	}
	t.line("  %s: %s, every %d s for %d s, gives up after %d", kind, ask, p.PeriodSeconds, p.TimeoutSeconds, p.FailureThreshold)
}

// environment is that of a container, with what its ConfigMaps and Secrets hold.
func environment(c corev1.Container, files map[string]map[string]string) map[string]string {
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			maps.Copy(env, files[from.ConfigMapRef.Name])
		} else {
			maps.Copy(env, files[from.SecretRef.Name])
		}
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env
}

// TestWhatPodsAreAsked, what they read, and how long they may take: a table that is
// reviewed, since each line is something that a user would miss.
func TestWhatPodsAreAsked(t *testing.T) {
	r := sorted(t, "prod")
	objects, err := r.Objects()
	require.NoError(t, err)
	files := map[string]map[string]string{}
	for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
		files[c.Name] = c.Data
	}
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		files[s.Name] = s.StringData
	}
	var out table
	for _, w := range recorder.Workloads(objects) {
		spec := w.Template.Spec
		out.line("%s: grace %d s, surge %d", w.Name, *spec.TerminationGracePeriodSeconds, w.Surge)
		for _, c := range recorder.Containers(spec) {
			out.line(" %s: %s", c.Name, c.Image)
			out.probe("starts", c.StartupProbe)
			out.probe("alive", c.LivenessProbe)
			out.probe("ready", c.ReadinessProbe)
			if c.Lifecycle != nil {
				raw, err := json.Marshal(c.Lifecycle.PreStop)
				require.NoError(t, err)
				out.line("  before it stops: %s", raw)
			}
			if len(c.Command)+len(c.Args) > 0 && !strings.Contains(strings.Join(c.Command, " "), "\n") {
				out.line("  runs: %s", strings.Join(append(slices.Clone(c.Command), c.Args...), " "))
			}
			env := environment(c, files)
			for _, name := range slices.Sorted(maps.Keys(env)) {
				if c.Name != "apply-password" { // it has Grafana's own
					out.line("  %s=%s", name, env[name])
				}
			}
		}
	}
	golden.File(t, "pods.txt", names(r, out.String()))
}

// TestWhoTalksToWhom is a table of the network policies, of the ways in, and of what the
// quota and the autoscaler allow.
func TestWhoTalksToWhom(t *testing.T) {
	r := sorted(t, "prod")
	objects, err := r.Objects()
	require.NoError(t, err)
	var out table
	peer := func(p networkingv1.NetworkPolicyPeer) string {
		switch {
		case p.IPBlock != nil:
			return p.IPBlock.CIDR + " but " + strings.Join(p.IPBlock.Except, ",")
		case p.NamespaceSelector != nil:
			where := "namespaces " + metav1.FormatLabelSelector(p.NamespaceSelector)
			if p.PodSelector != nil {
				where += ", pods " + metav1.FormatLabelSelector(p.PodSelector)
			}
			return where
		}
		return p.PodSelector.MatchLabels["app.kubernetes.io/name"]
	}
	ports := func(ports []networkingv1.NetworkPolicyPort) string {
		var all []string
		for _, p := range ports {
			all = append(all, fmt.Sprintf("%s/%s", *p.Protocol, p.Port.String()))
		}
		return strings.Join(all, " ")
	}
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
		out.line("policy %s of %s: %v", p.Name, p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"], p.Spec.PolicyTypes)
		for _, rule := range p.Spec.Ingress {
			if len(rule.From) == 0 {
				out.line("  from anybody: %s", ports(rule.Ports))
			}
			for _, from := range rule.From {
				out.line("  from %s: %s", peer(from), ports(rule.Ports))
			}
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 {
				out.line("  to anybody: %s", ports(rule.Ports))
			}
			for _, to := range rule.To {
				out.line("  to %s: %s", peer(to), ports(rule.Ports))
			}
		}
	}
	for _, s := range recorder.Of[*corev1.Service](objects) {
		var all []string
		for _, p := range s.Spec.Ports {
			all = append(all, fmt.Sprintf("%d→%s", p.Port, p.TargetPort.String()))
		}
		out.line("service %s: %s %s %s, not ready %t: %s", s.Name, s.Spec.Type, s.Spec.ClusterIP, s.Spec.ExternalTrafficPolicy,
			s.Spec.PublishNotReadyAddresses, strings.Join(all, " "))
	}
	for _, q := range recorder.Of[*corev1.ResourceQuota](objects) {
		for _, name := range slices.Sorted(maps.Keys(q.Spec.Hard)) {
			amount := q.Spec.Hard[name]
			out.line("quota %s: %s", name, amount.String())
		}
	}
	for _, h := range recorder.Of[*autoscalingv2.HorizontalPodAutoscaler](objects) {
		raw, err := json.Marshal(h.Spec)
		require.NoError(t, err)
		out.line("autoscaler %s: %s", h.Name, raw)
	}
	for _, c := range recorder.Of[*corev1.PersistentVolumeClaim](objects) {
		out.line("claim %s: %s %v", c.Name, c.Spec.Resources.Requests.Storage(), c.Spec.AccessModes)
	}
	for _, d := range recorder.Of[*appsv1.Deployment](objects) {
		out.line("deployment %s: %s, %d s to get on", d.Name, d.Spec.Strategy.Type, *d.Spec.ProgressDeadlineSeconds)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Secrets)) {
		out.line("secret output %s: %v", name, r.Secrets[name])
	}
	golden.File(t, "links.txt", names(r, out.String()))
}

// TestWhatContainersAreAsked is the table of a Docker host.
func TestWhatContainersAreAsked(t *testing.T) {
	r := sorted(t, "single")
	containers, err := r.Containers()
	require.NoError(t, err)
	var out table
	for _, c := range containers {
		if c.Carrier() {
			continue
		}
		out.line("%s: restart %s, stops by %s within %d s", c.Name, c.Restart, c.StopSignal, c.StopTimeout)
		if h := c.Healthcheck; h != nil {
			out.line("  healthy: %s, every %s for %s, %d times, after %s", strings.Join(h.Tests, " "), h.Interval, h.Timeout, h.Retries, h.StartPeriod)
		}
		for _, n := range c.NetworksAdvanced {
			out.line("  on %s as %s", n.Name, strings.Join(n.Aliases, ", "))
		}
		for _, p := range c.Ports {
			out.line("  publishes %s:%d→%d", p.IP, p.External, p.Internal)
		}
		slices.Sort(c.Envs)
		for _, e := range c.Envs {
			out.line("  %s", e)
		}
	}
	golden.File(t, "containers.txt", names(r, out.String()))
}
