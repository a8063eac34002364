package policy

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// quoted is what stands between backquotes: key=value.
var quoted = regexp.MustCompile("`([A-Za-z]+)=([^`]+)`")

// balancer is a row of the table of docs/clusters.md.
type balancer struct {
	name     string
	settings map[string]string
	renders  map[string]string
}

func balancers(t *testing.T) []balancer {
	text, err := os.ReadFile("../../docs/clusters.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| balancer | settings |")
	require.True(t, found)
	pairs := func(cell string) map[string]string {
		all := map[string]string{}
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			all[m[1]] = m[2]
		}
		return all
	}
	var all []balancer
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], " ---") {
			continue
		}
		all = append(all, balancer{strings.TrimSpace(cells[1]), pairs(cells[2]), pairs(cells[3])})
	}
	require.Len(t, all, 13)
	return all
}

// fields are those of an object's specification, each as JSON writes it.
func fields(t *testing.T, spec any) map[string]string {
	raw, err := json.Marshal(spec)
	require.NoError(t, err)
	var values map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &values))
	all := map[string]string{}
	for key, v := range values {
		all[key] = strings.Trim(string(v), `"`)
	}
	return all
}

// TestBalancersOfTheDocs: each row's settings are accepted, and render what the row says.
func TestBalancersOfTheDocs(t *testing.T) {
	for _, b := range balancers(t) {
		t.Run(b.name, func(t *testing.T) {
			require.NotEmpty(t, b.settings)
			require.NotEmpty(t, b.renders)
			s := recorded(t, "prod", b.settings)
			var service *corev1.Service
			for _, o := range recorder.Of[*corev1.Service](s.objects) {
				if o.Name == "edge" {
					service = o
				}
			}
			require.NotNil(t, service)
			got, annotations := fields(t, service.Spec), service.Annotations
			for _, o := range recorder.Of[*networkingv1.Ingress](s.objects) {
				annotations = o.Annotations
				got["ingressClassName"] = *o.Spec.IngressClassName
			}
			for key, want := range b.renders {
				assert.Equal(t, want, got[key], key)
			}
			if v, ok := b.settings["edgeAnnotations"]; ok {
				var want map[string]string
				require.NoError(t, json.Unmarshal([]byte(v), &want))
				for key, v := range want {
					assert.Equal(t, v, annotations[key])
				}
			}
			if service.Spec.Type != corev1.ServiceTypeLoadBalancer && b.settings["edgeExposure"] != "nodePort" && b.settings["edgeIngressNodePorts"] == "" {
				assert.Equal(t, corev1.ServiceTypeClusterIP, service.Spec.Type)
			}
			proxied := b.settings["edgeProxyProtocol"] == "true"
			for _, c := range recorder.Of[*corev1.ConfigMap](s.objects) {
				if conf := c.Data["nginx.conf"]; conf != "" {
					assert.Equal(t, proxied, strings.Contains(conf, "listen 8443 ssl proxy_protocol;"))
				}
			}
			for _, w := range s.workloads {
				if w.Name != "edge" {
					continue
				}
				port := "http"
				if proxied {
					port = "health"
				}
				probe := w.Template.Spec.Containers[0].ReadinessProbe
				assert.Equal(t, port, probe.HTTPGet.Port.StrVal, "probes send no PROXY protocol header")
				_, there := containerPort(w.Template.Spec, probe.HTTPGet.Port)
				assert.True(t, there, "nobody declares the port that is probed")
			}
		})
	}
}

// TestHiddenClientsAreNamed: a balancer that connects in its own name makes one client of
// all users, which is said; nothing is said where the addresses are known.
func TestHiddenClientsAreNamed(t *testing.T) {
	for _, c := range []struct {
		with  map[string]string
		warns string
	}{
		{map[string]string{"edgeTrafficFromEveryNode": "true"}, "edgeTrafficFromEveryNode: it hides the clients' addresses"},
		{map[string]string{"edgeAnnotations": `{"load-balancer.hetzner.cloud/location":"fsn1"}`}, "edgeAnnotations: a balancer that load-balancer.hetzner.cloud/location is for"},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/do-loadbalancer-name":"a"}`}, "edgeAnnotations"},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/linode-loadbalancer-throttle":"4"}`}, "edgeAnnotations"},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/scw-loadbalancer-type":"LB-S"}`}, "edgeAnnotations"},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout":"3600"}`}, "edgeAnnotations"},
		{map[string]string{"edgeAnnotations": `{"networking.gke.io/load-balancer-type":"Internal"}`}, ""},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type":"ip"}`}, "edgeAnnotations"},
		{map[string]string{"edgeAnnotations": `{"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type":"ip","service.beta.kubernetes.io/aws-load-balancer-target-group-attributes":"preserve_client_ip.enabled=true"}`}, ""},
		{map[string]string{"edgeTrafficFromEveryNode": "true", "edgeProxyProtocol": "true"}, ""},
		{map[string]string{"edgeTrafficFromEveryNode": "true", "edgeTrustedProxies": `["10.0.0.0/8"]`}, ""},
		{nil, ""},
	} {
		warnings := strings.Join(warned(t, c.with), "\n")
		if c.warns == "" {
			assert.NotContains(t, warnings, "share the limits", "%v", c.with)
			continue
		}
		assert.Contains(t, warnings, c.warns)
		assert.Contains(t, warnings, "edgeProxyProtocol", "the remedy")
	}
}

// TestPlacement: what holds for every pod does, and a room's own takes its place.
func TestPlacement(t *testing.T) {
	s := recorded(t, "prod", map[string]string{
		"placement":         `{"nodeSelector":{"kubernetes.io/arch":"amd64"},"tolerations":[{"key":"pool","operator":"Equal","value":"trading","effect":"NoSchedule"}]}`,
		"databasePlacement": `{"tolerations":[{"key":"data","operator":"Exists"},{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":30}]}`,
		"edgePlacement":     `{"nodeSelector":{"edge":true},"tolerations":[]}`,
	})
	seconds := int64(30)
	for _, w := range s.workloads {
		spec := w.Template.Spec
		selector, tolerations := map[string]string{"kubernetes.io/arch": "amd64"}, []corev1.Toleration{{Key: "pool", Operator: "Equal", Value: "trading", Effect: "NoSchedule"}}
		switch w.Template.Labels["app.kubernetes.io/instance"] {
		case "database":
			tolerations = []corev1.Toleration{{Key: "data", Operator: "Exists"}, {Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &seconds}}
		case "edge":
			selector, tolerations = map[string]string{"edge": "true"}, nil
		}
		assert.Equal(t, selector, spec.NodeSelector, w.Name)
		assert.Equal(t, tolerations, spec.Tolerations, w.Name)
	}
	for _, w := range recorded(t, "prod", nil).workloads {
		assert.Empty(t, w.Template.Spec.NodeSelector, w.Name)
		assert.Empty(t, w.Template.Spec.Tolerations, w.Name)
	}
}

// TestAffinity: a room's own, a common one and what keeps a workload's pods apart stand
// side by side, as the API's own types read them.
func TestAffinity(t *testing.T) {
	const zones = `{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"topology.kubernetes.io/zone","operator":"In","values":["a","b"]}],"matchFields":[{"key":"metadata.name","operator":"NotIn","values":["old"]}]}]},` +
		`"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":50,"preference":{"matchExpressions":[{"key":"cpus","operator":"Gt","values":["8"]},{"key":"spot","operator":"DoesNotExist"}]}}]}`
	const neighbours = `{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"batch"}},"topologyKey":"kubernetes.io/hostname","namespaceSelector":{}}],` +
		`"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"labelSelector":{"matchExpressions":[{"key":"noisy","operator":"Exists"}]},"topologyKey":"rack","namespaces":["other"]}}]}`
	common := `{"affinity":{"nodeAffinity":` + zones + `,"podAffinity":` + neighbours + `}}`
	own := `{"affinity":{"podAntiAffinity":` + neighbours + `}}`
	read := func(text string) *corev1.Affinity {
		var p struct{ Affinity *corev1.Affinity }
		require.NoError(t, json.Unmarshal([]byte(text), &p))
		return p.Affinity
	}
	settings := map[string]string{"spreadRequired": "false", "placement": common, "edgePlacement": own}
	apart := map[string]*corev1.Affinity{}
	for _, w := range recorded(t, "prod", map[string]string{"spreadRequired": "false"}).workloads {
		apart[w.Name] = w.Template.Spec.Affinity
	}
	seen := 0
	for _, w := range recorded(t, "prod", settings).workloads {
		want := read(common)
		if w.Template.Labels["app.kubernetes.io/instance"] == "edge" {
			want = read(own)
		}
		if keeps := apart[w.Name]; keeps != nil {
			if want.PodAntiAffinity == nil {
				want.PodAntiAffinity = &corev1.PodAntiAffinity{}
			}
			required := &want.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			*required = append(slices.Clone(keeps.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution), *required...)
			list := &want.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
			*list = append(slices.Clone(keeps.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution), *list...)
			seen++
		}
		assert.Equal(t, want, w.Template.Spec.Affinity, w.Name)
	}
	assert.GreaterOrEqual(t, seen, 3, "workloads whose pods are kept apart")
}

// fromTheRange is what an admission does whose namespace has a range of users (OpenShift's
// restricted-v2: MustRunAsRange): it refuses any other, and fills in what is left out.
func fromTheRange(spec *corev1.PodSpec, first, size int64) (refused []string) {
	check := func(what string, id *int64) {
		if id != nil && (*id < first || *id >= first+size) {
			refused = append(refused, what)
		}
	}
	c := spec.SecurityContext
	check("runAsUser", c.RunAsUser)
	check("fsGroup", c.FSGroup)
	for _, x := range recorder.Containers(*spec) {
		check(x.Name+" runAsUser", x.SecurityContext.RunAsUser)
	}
	if len(refused) == 0 && c.RunAsUser == nil {
		c.RunAsUser, c.FSGroup = &first, &first
	}
	return refused
}

// TestUsersLeftToThePlatform: a cluster with ranges of its own refuses the images' users,
// and admits the pods once assignUserIds is false, as does Pod Security before and after.
// The database's members keep their user, which the server looks up by its number.
func TestUsersLeftToThePlatform(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for setting, refused := range map[string]bool{"true": true, "false": false} {
		for _, w := range recorded(t, "prod", map[string]string{"assignUserIds": setting}).workloads {
			component := w.Template.Labels["app.kubernetes.io/component"]
			refused := refused || component == "database" || component == "backup" || component == "backup-proof"
			assert.Equal(t, refused, len(fromTheRange(&w.Template.Spec, 1000650000, 10000)) > 0, "%s with assignUserIds %s", w.Name, setting)
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &w.Template.ObjectMeta, &w.Template.Spec))
			assert.True(t, result.Allowed, "%s: %s", w.Name, result.ForbiddenDetail())
		}
	}
}

// warned is what prod with further settings warns about.
func warned(t *testing.T, with map[string]string) []string {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, with)
	s, err := stacks.Parse("prod", config, nil, stacks.Previous{})
	require.NoError(t, err)
	return s.Warnings
}

// TestAGivenNamespaceIsLeftAlone: whoever may do nothing outside of a namespace that an
// administrator has made deploys into it, without a label on it and without what belongs to
// the cluster.
func TestAGivenNamespaceIsLeftAlone(t *testing.T) {
	s := recorded(t, "prod", map[string]string{"namespace": "trading", "createNamespace": "false"})
	for _, o := range s.objects {
		m, err := meta.Accessor(o.Object)
		require.NoError(t, err)
		assert.Equal(t, "trading", m.GetNamespace(), "%T %s", o.Object, m.GetName())
	}
	assert.Empty(t, recorder.Of[*corev1.Namespace](s.objects))
	for _, w := range s.workloads {
		assert.Empty(t, w.Template.Spec.PriorityClassName, "%s: a class that nobody may make", w.Name)
	}
}
