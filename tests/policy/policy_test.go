// Package policy holds every stack to the rules of the API server and to our own.
package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	pulumiresource "github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// stack is one recorded stack with its objects decoded.
type stack struct {
	name      string
	recording *recorder.Recording
	objects   []recorder.Object
	workloads []recorder.Workload
}

// usersOwn is in every secret that a stack's user sets in a variant.
const usersOwn = "users-own-secret-"

// variants of the stacks that every rule holds for, beside the stacks as they are.
var variants = map[string]map[string]string{
	"dev":  {},
	"prod": {},
	"prod behind an Ingress": {"edgeExposure": "ingress", "edgeIngressClass": "any",
		"databaseAliases": `["timescaledb","postgres"]`, "cacheAliases": `["redis"]`},
	"prod with a login at the edge":    {"edgeLogin": "basic", "edgeLoginUsers": "ada:$apr1$8sFt66rZ$32NPfbZ3dyKt9ifnAMouy."},
	"prod with a provider at the edge": {"edgeLogin": "oidc", "edgeOidcIssuer": "https://login.example.com:8443/dex", "edgeOidcClientId": "edge", "edgeOidcClientSecret": usersOwn + "12"},
	"prod with single sign-on": {"grafanaLogin": "oidc", "grafanaOidcAuthUrl": "https://login.example.com/auth", "grafanaOidcTokenUrl": "https://login.example.com/token",
		"grafanaOidcApiUrl": "https://login.example.com:8443/userinfo", "grafanaOidcClientId": "grafana", "grafanaOidcClientSecret": usersOwn + "11"},
	"prod behind a Gateway": {"edgeExposure": "gateway", "edgeGateway": "shared", "edgeGatewayNamespace": "gateways"},
	"prod with backups elsewhere": {"databaseBackup": "s3", "databaseBackupStorage": "50Gi", "databaseBackupEndpoint": "s3.example.com:9000",
		"databaseBackupBucket": "acme-backups", "databaseBackupKey": usersOwn + "5", "databaseBackupKeySecret": usersOwn + "6",
		"databaseBackupPassphrase": usersOwn + "7-long-enough", "databaseRestore": "latest", "databaseRestorePath": "/alphapulse/live",
		"databaseRestorePassphrase": usersOwn + "8"},
	"prod with images of its own":    {"databaseImage": "registry.example.com/team/timescale:5", "edgeImage": "registry.example.com/team/edge:5"},
	"dev with logs and traces":       {"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05"},
	"dev with log lines by an image": {"logsBackend": "local", "grafanaLogsPlugin": "/opt/plugins"},
	"prod with logs and traces elsewhere": {"logsBackend": "elasticsearch", "logsUrl": "https://es.example.com:9200", "logsCredential": usersOwn + "9",
		"tracesBackend": "otlp", "tracesUrl": "https://otlp.example.com", "tracesCredential": "Bearer " + usersOwn + "10", "edgeTraceSampling": "0.05"},
	"prod with traces in Elasticsearch": {"tracesBackend": "elasticsearch", "tracesUrl": "https://es.example.com:9200", "tracesCredential": usersOwn + "13",
		"edgeTraceSampling": "0.05"},
	"dev without encryption":      {"wireEncryption": "off"},
	"prod with TLS everywhere":    {"backendTlsPort": "8443", "dashboardTlsPort": "8444", "frontendTlsPort": "8445"},
	"prod with a plain dashboard": {"wireEncryptionExcept": `["dashboard"]`},
	"prod that starts slowly":     {"backendStartupSeconds": "600"},
	"prod with its user's secrets": {"backendSecretEnv": `{"BINANCE_API_KEY":"` + usersOwn + `1"}`,
		"alertWebhookUrl": "https://hooks.example.com/" + usersOwn + "2", "heartbeatWebhookUrl": "https://hooks.example.com/" + usersOwn + "3",
		"imagePullCredentials": `{"auths":{"registry.example.com":{"username":"robot","password":"` + usersOwn + `4"}}}`},
	"prod with another team's image": {"backendImage": "registry.example.com/team/api:2.0", "backendMetricsPath": "-",
		"backendReadinessPath": "/health", "engineEnabled": "false", "dashboardEnabled": "false"},
}

func eachStack(t *testing.T, check func(t *testing.T, s stack)) {
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		t.Run(name, func(t *testing.T) {
			base, _, _ := strings.Cut(name, " ")
			s := recorded(t, base, variants[name])
			s.name = name
			check(t, s)
		})
	}
}

// recorded is a stack with settings on top of its file.
func recorded(t *testing.T, base string, with map[string]string) stack {
	t.Helper()
	config, err := recorder.StackConfig(base)
	require.NoError(t, err)
	maps.Copy(config, with)
	var secret []string
	for _, s := range stacks.Settings() {
		if _, set := config[s.Key]; set && s.Secret {
			secret = append(secret, s.Key)
		}
	}
	recording, err := recorder.Run(recorder.Options{Stack: base, Config: config, SecretKeys: secret})
	require.NoError(t, err)
	objects, err := recording.Objects()
	require.NoError(t, err)
	s := stack{name: base, recording: recording, objects: objects, workloads: recorder.Workloads(objects)}
	require.NotEmpty(t, s.workloads)
	return s
}

// matching lists the workloads whose pods a selector selects.
func (s stack) matching(t *testing.T, selector *metav1.LabelSelector) []recorder.Workload {
	m, err := metav1.LabelSelectorAsSelector(selector)
	require.NoError(t, err)
	var found []recorder.Workload
	seen := map[string]bool{}
	for _, w := range s.workloads {
		if m.Matches(labels.Set(w.Template.Labels)) && !seen[nameOf(w)] {
			seen[nameOf(w)] = true
			found = append(found, w)
		}
	}
	return found
}

// lasting are the workloads that nothing ends but a rollout: all but jobs.
func (s stack) lasting() []recorder.Workload {
	return slices.DeleteFunc(slices.Clone(s.workloads), recorder.IsJob)
}

// nameOf is what the pods are called by policies and Services: several jobs are one
// workload.
func nameOf(w recorder.Workload) string { return w.Template.Labels["app.kubernetes.io/name"] }

// TestPodSecurityRestricted asks the API server's own evaluator.
func TestPodSecurityRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(
				podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()},
				&w.Template.ObjectMeta, &w.Template.Spec))
			assert.True(t, result.Allowed, "%s: %s: %s", w.Object, result.ForbiddenReason(), result.ForbiddenDetail())
		}
	})
}

// TestNamespaceEnforcesRestricted holds for all three modes at a pinned version.
func TestNamespaceEnforcesRestricted(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		namespaces := recorder.Of[*corev1.Namespace](s.objects)
		require.Len(t, namespaces, 1)
		for _, mode := range []string{"enforce", "audit", "warn"} {
			l := namespaces[0].Labels
			assert.Equal(t, "restricted", l["pod-security.kubernetes.io/"+mode])
			assert.Regexp(t, `^v1\.\d+$`, l["pod-security.kubernetes.io/"+mode+"-version"], "the version is not pinned")
		}
	})
}

// TestHardening is what "restricted" does not ask for and we do.
func TestHardening(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			spec := w.Template.Spec
			assert.NotNil(t, spec.SecurityContext.RunAsUser, "%s: no numeric user", w.Object)
			assert.NotNil(t, spec.TerminationGracePeriodSeconds, "%s: no grace period", w.Object)
			if assert.NotNil(t, spec.EnableServiceLinks, "%s: variables of Services", w.Object) {
				assert.False(t, *spec.EnableServiceLinks, "%s: variables of Services shadow the application's own", w.Object)
			}
			for _, c := range recorder.Containers(spec) {
				where := fmt.Sprintf("%s container %s", w.Object, c.Name)
				require.NotNil(t, c.SecurityContext, where)
				assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, "%s: the root file system is writable", where)
				for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
					assert.False(t, list.Cpu().IsZero(), "%s: no CPU request or limit", where)
					assert.False(t, list.Memory().IsZero(), "%s: no memory request or limit", where)
				}
				assert.True(t, c.Resources.Requests.Cpu().Cmp(*c.Resources.Limits.Cpu()) <= 0, "%s: request above limit", where)
				assert.True(t, c.Resources.Requests.Memory().Cmp(*c.Resources.Limits.Memory()) <= 0, "%s: request above limit", where)
			}
			for _, v := range spec.Volumes {
				if v.EmptyDir != nil {
					assert.NotNil(t, v.EmptyDir.SizeLimit, "%s: emptyDir %s can fill the node", w.Object, v.Name)
				}
			}
		}
	})
}

// TestUniformLabels holds for every object and every pod.
func TestUniformLabels(t *testing.T) {
	want := []string{"name", "instance", "component", "part-of", "managed-by"}
	eachStack(t, func(t *testing.T, s stack) {
		for _, o := range s.objects {
			for _, key := range want {
				assert.NotEmpty(t, o.Meta().GetLabels()["app.kubernetes.io/"+key], "%s has no label %s", o, key)
			}
		}
		for _, w := range s.workloads {
			for _, key := range want {
				assert.NotEmpty(t, w.Template.Labels["app.kubernetes.io/"+key], "pods of %s have no label %s", w.Object, key)
			}
			if w.Selector == nil {
				continue // a job's, which Kubernetes makes
			}
			m, err := metav1.LabelSelectorAsSelector(w.Selector)
			require.NoError(t, err)
			assert.True(t, m.Matches(labels.Set(w.Template.Labels)), "%s does not select its own pods", w.Object)
			assert.Len(t, s.matching(t, w.Selector), 1, "%s selects pods of another workload, too", w.Object)
		}
	})
}

// TestServiceAccounts: one for each workload, never the default one, and a token
// only where a RoleBinding gives it something to do.
func TestServiceAccounts(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		bound := map[string]bool{}
		for _, b := range recorder.Of[*rbacv1.RoleBinding](s.objects) {
			for _, subject := range b.Subjects {
				bound[subject.Name] = true
			}
		}
		exists := map[string]bool{}
		for _, a := range recorder.Of[*corev1.ServiceAccount](s.objects) {
			exists[a.Name] = true
			assert.False(t, *a.AutomountServiceAccountToken, "ServiceAccount %s offers its token to every pod", a.Name)
		}
		used := map[string]string{}
		for _, w := range s.workloads {
			account := w.Template.Spec.ServiceAccountName
			assert.NotContains(t, []string{"", "default"}, account, "%s uses the default ServiceAccount", w.Object)
			assert.True(t, exists[account], "%s: ServiceAccount %s is not created", w.Object, account)
			assert.Contains(t, []string{"", nameOf(w)}, used[account], "%s shares ServiceAccount %s", w.Object, account)
			used[account] = nameOf(w)
			require.NotNil(t, w.Template.Spec.AutomountServiceAccountToken, "%s", w.Object)
			assert.Equal(t, bound[account], *w.Template.Spec.AutomountServiceAccountToken, "%s: a token goes with a RoleBinding", w.Object)
		}
	})
}

// TestRBACHasNoWildcard: roles are namespaced and name what they allow.
func TestRBACHasNoWildcard(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		assert.Empty(t, recorder.Of[*rbacv1.ClusterRole](s.objects))
		assert.Empty(t, recorder.Of[*rbacv1.ClusterRoleBinding](s.objects))
		roles := recorder.Of[*rbacv1.Role](s.objects)
		require.NotEmpty(t, roles)
		for _, role := range roles {
			for _, rule := range role.Rules {
				for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
					assert.NotContains(t, list, "*", "Role %s", role.Name)
				}
				assert.NotContains(t, rule.Resources, "secrets", "Role %s", role.Name)
				assert.Empty(t, rule.NonResourceURLs, "Role %s", role.Name)
				assert.NotEmpty(t, rule.Resources, "Role %s", role.Name)
				if role.Name == "database" {
					continue // TestMembersHaveNoFurtherRights
				}
				for _, verb := range rule.Verbs {
					assert.Contains(t, []string{"get", "list", "watch"}, verb, "Role %s", role.Name)
				}
			}
		}
	})
}

// TestMembersHaveNoFurtherRights than to keep the cluster's state in four objects, and to
// say on pods who is the primary.
func TestMembersHaveNoFurtherRights(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		changes := map[string][]string{}
		for _, role := range recorder.Of[*rbacv1.Role](s.objects) {
			for _, rule := range role.Rules {
				for _, verb := range rule.Verbs {
					if !slices.Contains([]string{"get", "list", "watch"}, verb) {
						what := role.Name + ": " + verb + " " + strings.Join(rule.Resources, ",")
						changes[what] = append(changes[what], rule.ResourceNames...)
					}
				}
			}
		}
		state := []string{"database-g1-leader", "database-g1-config", "database-g1-sync", "database-g1-failover"}
		assert.Equal(t, map[string][]string{
			"database: create configmaps": nil, "database: patch configmaps": state, "database: update configmaps": state, "database: patch pods": nil,
		}, changes)
	})
}

// runtimeLabel is put on the members' pods by themselves: who is the primary.
const runtimeLabel = "role"

// TestServicesSelectPods: every Service selects one workload's pods, and its target
// port is one that they declare.
func TestServicesSelectPods(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		services := recorder.Of[*corev1.Service](s.objects)
		require.NotEmpty(t, services)
		for _, svc := range services {
			selector := maps.Clone(svc.Spec.Selector)
			if role, ok := selector[runtimeLabel]; ok {
				assert.Contains(t, []string{"primary", "replica"}, role, "Service %s", svc.Name)
				delete(selector, runtimeLabel)
			}
			pods := s.matching(t, &metav1.LabelSelector{MatchLabels: selector})
			if !assert.Len(t, pods, 1, "Service %s", svc.Name) {
				continue
			}
			for _, p := range svc.Spec.Ports {
				_, ok := containerPort(pods[0].Template.Spec, p.TargetPort)
				assert.True(t, ok, "Service %s: no container of %s has port %s", svc.Name, pods[0].Name, p.TargetPort.String())
			}
		}
	})
}

func containerPort(spec corev1.PodSpec, want intstr.IntOrString) (int32, bool) {
	for _, c := range recorder.Containers(spec) {
		for _, p := range c.Ports {
			if p.Name == want.StrVal && want.Type == intstr.String || p.ContainerPort == want.IntVal && want.Type == intstr.Int {
				return p.ContainerPort, true
			}
		}
	}
	return 0, false
}

// TestNetworkPolicies: everything is denied first; then each policy is for one
// workload, each end that it names exists, and each port is one that is listened on.
func TestNetworkPolicies(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		covered := map[string]bool{}
		directions := map[string]map[networkingv1.PolicyType]bool{}
		denied := false
		for _, p := range recorder.Of[*networkingv1.NetworkPolicy](s.objects) {
			everyone := len(p.Spec.PodSelector.MatchLabels) == 0 && len(p.Spec.PodSelector.MatchExpressions) == 0
			if everyone {
				if len(p.Spec.Ingress) == 0 && len(p.Spec.Egress) == 0 && len(p.Spec.PolicyTypes) == 2 {
					denied = true
				}
				assert.Empty(t, p.Spec.Ingress, "NetworkPolicy %s opens every pod", p.Name)
				continue
			}
			owners := s.matching(t, &p.Spec.PodSelector)
			if !assert.Len(t, owners, 1, "NetworkPolicy %s", p.Name) {
				continue
			}
			owner := nameOf(owners[0])
			covered[owner] = true
			if directions[owner] == nil {
				directions[owner] = map[networkingv1.PolicyType]bool{}
			}
			for _, d := range p.Spec.PolicyTypes {
				directions[owner][d] = true
			}
			for _, rule := range p.Spec.Ingress {
				if len(rule.From) == 0 {
					assert.Equal(t, "edge", owners[0].Name, "NetworkPolicy %s lets everybody in", p.Name)
				}
				require.NotEmpty(t, rule.Ports, "NetworkPolicy %s opens every port", p.Name)
				s.peersExist(t, p.Name, rule.From)
				listening(t, p.Name, owners[0], rule.Ports)
			}
			for _, rule := range p.Spec.Egress {
				if len(rule.To) == 0 {
					assert.True(t, outside(owners[0]), "NetworkPolicy %s lets everything out", p.Name)
				}
				require.NotEmpty(t, rule.Ports, "NetworkPolicy %s lets everything out", p.Name)
				for _, target := range s.peersExist(t, p.Name, rule.To) {
					listening(t, p.Name, target, rule.Ports)
				}
			}
		}
		assert.True(t, denied, "no policy denies by default")
		for _, w := range s.workloads {
			if strings.HasPrefix(w.Name, "database-fits-") {
				continue // it talks to nobody
			}
			assert.True(t, covered[nameOf(w)], "%s has no network policy: nothing could reach it or be reached", w.Object)
			assert.Len(t, directions[nameOf(w)], 2, "%s: policies for one direction only", w.Object)
		}
	})
}

// outside tells whether a workload may reach an address that nobody knows beforehand: the
// API server's, a bucket's if it has the bucket's key, that of a server of logs and traces if
// it has that one's credentials, or that of a provider of logins if it has its secret there.
func outside(w recorder.Workload) bool {
	if slices.Contains([]string{"monitoring-prometheus", "monitoring-kube-state-metrics", "database-g1"}, w.Name) {
		return true
	}
	return slices.ContainsFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Secret != nil && slices.ContainsFunc([]string{"pgbackrest-secret", "telemetry-collector-credentials", "telemetry-traces-credentials", "telemetry-indices-credentials", "monitoring-grafana-signon", "edge-login-signon"}, func(key string) bool {
			return strings.Contains(v.Secret.SecretName, key)
		})
	})
}

func (s stack) peersExist(t *testing.T, policy string, peers []networkingv1.NetworkPolicyPeer) []recorder.Workload {
	var targets []recorder.Workload
	for _, peer := range peers {
		if peer.PodSelector == nil {
			require.NotNil(t, peer.IPBlock, "NetworkPolicy %s: a peer is neither pods nor addresses", policy)
			continue
		}
		found := s.matching(t, peer.PodSelector)
		assert.Len(t, found, 1, "NetworkPolicy %s names pods that no workload has: %v", policy, peer.PodSelector.MatchLabels)
		targets = append(targets, found...)
	}
	return targets
}

func listening(t *testing.T, policy string, w recorder.Workload, ports []networkingv1.NetworkPolicyPort) {
	for _, p := range ports {
		_, ok := containerPort(w.Template.Spec, *p.Port)
		assert.True(t, ok, "NetworkPolicy %s: %s does not listen on %s", policy, w.Name, p.Port.String())
	}
}

// TestDisruptionBudgetsAllowADrain: a budget that never lets a pod go blocks every
// upgrade of a node.
func TestDisruptionBudgetsAllowADrain(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		budgets := recorder.Of[*policyv1.PodDisruptionBudget](s.objects)
		protected := map[string]bool{}
		for _, b := range budgets {
			owners := s.matching(t, b.Spec.Selector)
			if !assert.Len(t, owners, 1, "PodDisruptionBudget %s", b.Name) {
				continue
			}
			protected[owners[0].Name] = true
			least := s.leastReplicas(owners[0])
			switch {
			case b.Spec.MaxUnavailable != nil:
				n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, least, true)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, n, 1, "PodDisruptionBudget %s never lets a pod go", b.Name)
			default:
				n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, least, true)
				require.NoError(t, err)
				assert.Less(t, n, least, "PodDisruptionBudget %s never lets a pod go", b.Name)
			}
			// By Kubernetes' default a pod that never gets ready stays for ever, since
			// none is healthy that could be spared.
			if policy := b.Spec.UnhealthyPodEvictionPolicy; assert.NotNil(t, policy, "PodDisruptionBudget %s", b.Name) {
				assert.Equal(t, policyv1.AlwaysAllow, *policy, "PodDisruptionBudget %s keeps a broken pod on its node", b.Name)
			}
		}
		for _, w := range s.lasting() {
			if stopsFirst(w) || s.leastReplicas(w) > 1 {
				assert.True(t, protected[w.Name], "%s has no PodDisruptionBudget", w.Object)
			}
		}
	})
}

// stopsFirst tells whether a rollout ends the old pod before it starts the new one.
func stopsFirst(w recorder.Workload) bool {
	d, deployment := w.Object.Object.(*appsv1.Deployment)
	return !deployment || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
}

// TestRolloutsThatStopFirstAreAwaited: Pulumi's own await ends too early for them
// (components/internal/pods says why), so each is awaited by the budget of its
// revision: that waits for a healthy pod of the very template, begins anew with every
// template, and comes after the workload.
func TestRolloutsThatStopFirstAreAwaited(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		budgets := map[string]recorder.Object{}
		for _, o := range s.objects {
			if _, ok := o.Object.(*policyv1.PodDisruptionBudget); ok {
				budgets[o.Recorded.Name] = o
			}
		}
		awaited := 0
		for _, w := range s.lasting() {
			revision := w.Template.Labels[revisionLabel]
			if !stopsFirst(w) {
				assert.Empty(t, revision, "%s", w.Object)
				continue
			}
			awaited++
			require.NotEmpty(t, revision, "%s: its pods do not say which template they are of", w.Object)
			assert.NotContains(t, w.Selector.MatchLabels, revisionLabel, "%s: the selector would change with every template", w.Object)
			require.Contains(t, budgets, w.Name, "%s is not awaited", w.Object)
			o := budgets[w.Name]
			b := o.Object.(*policyv1.PodDisruptionBudget)
			assert.Equal(t, fmt.Sprintf("jsonpath={.status.currentHealthy}=%d", *w.Replicas), b.Annotations["pulumi.com/waitFor"], "%s", o)
			assert.Equal(t, w.Name+"-"+revision, b.Name, "its status would be that of the old pods")
			assert.Equal(t, revision, b.Spec.Selector.MatchLabels[revisionLabel], "%s counts the old pods, too", o)
			assert.True(t, slices.ContainsFunc(o.Recorded.RPC.GetDependencies(), func(urn string) bool {
				return strings.HasSuffix(urn, w.Object.Recorded.Type+"::"+w.Object.Recorded.Name)
			}), "%s does not depend on %s", o, w.Object)
			assert.Equal(t, w.Object.Recorded.RPC.GetCustomTimeouts().GetUpdate(), o.Recorded.RPC.GetCustomTimeouts().GetCreate(), "%s", o)
		}
		assert.GreaterOrEqual(t, awaited, 6, "database, cache, Prometheus, Alertmanager, Grafana, kube-state-metrics")
	})
}

// revisionLabel marks the pods of one template.
const revisionLabel = "alphapulse.io/revision"

// TestTimeoutsCoverTheProbes: Pulumi waits at least as long as the start-up probes
// and the grace periods of all replicas allow, one wave after the other; Kubernetes
// as long as one of them.
func TestTimeoutsCoverTheProbes(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			start := 0
			for _, c := range w.Template.Spec.Containers {
				if p := c.StartupProbe; p != nil {
					start = max(start, int(p.PeriodSeconds*p.FailureThreshold))
				}
			}
			waves := s.mostReplicas(w)
			if w.Surge > 1 {
				waves = (waves + w.Surge - 1) / w.Surge
			}
			need := time.Duration(waves) * time.Duration(start+int(*w.Template.Spec.TerminationGracePeriodSeconds)) * time.Second
			timeouts := w.Object.Recorded.RPC.GetCustomTimeouts()
			for what, limit := range map[string]string{"create": timeouts.GetCreate(), "update": timeouts.GetUpdate(), "delete": timeouts.GetDelete()} {
				d, err := time.ParseDuration(limit)
				if assert.NoError(t, err, "%s leaves the time-out of a %s to chance", w.Object, what) {
					assert.Greater(t, d, need, "%s: time-out of a %s", w.Object, what)
				}
			}
			if d, ok := w.Object.Object.(*appsv1.Deployment); ok && assert.NotNil(t, d.Spec.ProgressDeadlineSeconds, "%s", w.Object) {
				assert.Greater(t, int(*d.Spec.ProgressDeadlineSeconds), start, "%s is given up while its probe still waits", w.Object)
			}
		}
	})
}

func (s stack) autoscaler(w recorder.Workload) *autoscalingv2.HorizontalPodAutoscaler {
	for _, h := range recorder.Of[*autoscalingv2.HorizontalPodAutoscaler](s.objects) {
		if h.Spec.ScaleTargetRef.Name == w.Name && h.Spec.ScaleTargetRef.Kind == w.Object.Recorded.Kind() {
			return h
		}
	}
	return nil
}

func (s stack) leastReplicas(w recorder.Workload) int {
	if h := s.autoscaler(w); h != nil {
		return int(*h.Spec.MinReplicas)
	}
	if w.Replicas == nil {
		return 1
	}
	return int(*w.Replicas)
}

func (s stack) mostReplicas(w recorder.Workload) int {
	if h := s.autoscaler(w); h != nil {
		return int(h.Spec.MaxReplicas)
	}
	return s.leastReplicas(w)
}

// TestAutoscalerOwnsReplicas: a replicas field beside an autoscaler would undo its
// work at every update, and conflict with it under server-side apply.
func TestAutoscalerOwnsReplicas(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		scaled := 0
		for _, w := range s.lasting() {
			if s.autoscaler(w) != nil {
				scaled++
				assert.Nil(t, w.Replicas, "%s sets replicas and has an autoscaler", w.Object)
			} else {
				assert.NotNil(t, w.Replicas, "%s sets no replicas and has no autoscaler", w.Object)
			}
		}
		assert.Equal(t, 1, scaled)
	})
}

// TestRolloutAtMaximumScaleFitsTheQuota adds up, from the objects themselves, what
// exists when every workload rolls at its maximum scale at once, and no pod that is
// replaced has ended yet; a StatefulSet's pods are not replaced before.
func TestRolloutAtMaximumScaleFitsTheQuota(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		quotas := recorder.Of[*corev1.ResourceQuota](s.objects)
		require.Len(t, quotas, 1)
		need := map[corev1.ResourceName]*resource.Quantity{}
		add := func(name corev1.ResourceName, q resource.Quantity) {
			if need[name] == nil {
				need[name] = &resource.Quantity{}
			}
			need[name].Add(q)
		}
		jobs := map[string]int{}
		for _, w := range s.workloads {
			pods := s.mostReplicas(w) + w.Surge
			if w.Selector == nil {
				// One by schedule and one by hand: no two schedules come at one time.
				if jobs[nameOf(w)]++; jobs[nameOf(w)] > 2 {
					continue
				}
			} else if _, ordered := w.Object.Object.(*appsv1.StatefulSet); !ordered {
				pods += s.mostReplicas(w)
			}
			for range pods {
				add("pods", resource.MustParse("1"))
				for _, r := range []corev1.ResourceName{"cpu", "memory"} {
					add("requests."+r, effective(w.Template.Spec, func(c corev1.Container) resource.Quantity { return c.Resources.Requests[r] }))
					add("limits."+r, effective(w.Template.Spec, func(c corev1.Container) resource.Quantity { return c.Resources.Limits[r] }))
				}
			}
		}
		for _, claim := range recorder.Of[*corev1.PersistentVolumeClaim](s.objects) {
			add("persistentvolumeclaims", resource.MustParse("1"))
			add("requests.storage", claim.Spec.Resources.Requests["storage"])
		}
		add("services", *resource.NewQuantity(int64(len(recorder.Of[*corev1.Service](s.objects))), resource.DecimalSI))
		// What is kept free for others is not used up by a container that nobody counts.
		for name, q := range platform.Sum(platform.Headroom).Hard() {
			add(corev1.ResourceName(name), resource.MustParse(q))
		}
		for name, q := range need {
			hard, limited := quotas[0].Spec.Hard[name]
			require.True(t, limited, "the quota does not limit %s", name)
			assert.True(t, hard.Cmp(*q) >= 0, "%s: a rollout at maximum scale, while pods terminate, needs %s, the quota allows %s", name, q.String(), hard.String())
		}
		// Room for a job and an operator's pod, but not for a second application.
		extra := quotas[0].Spec.Hard["pods"]
		assert.LessOrEqual(t, extra.Value()-need["pods"].Value(), int64(4))
	})
}

// effective is a pod's request as the scheduler and the quota count it: the sum of
// the containers, or the largest init container if that is more.
func effective(spec corev1.PodSpec, of func(corev1.Container) resource.Quantity) resource.Quantity {
	var sum resource.Quantity
	for _, c := range spec.Containers {
		sum.Add(of(c))
	}
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil { // a native sidecar runs beside the containers
			sum.Add(of(c))
		} else if q := of(c); q.Cmp(sum) > 0 {
			sum = q
		}
	}
	return sum
}

// TestSecretsStayInSecrets: no value that Pulumi knows as secret, and none that was
// generated, appears in any other object, in any form of argument or name.
func TestSecretsStayInSecrets(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		var secrets []string
		for _, r := range s.recording.Find("random:index/randomPassword:RandomPassword", "") {
			secrets = append(secrets, recorder.Generated(r.Name))
		}
		require.NotEmpty(t, secrets)
		secrets = append(secrets, usersOwn)
		for _, r := range s.recording.Resources {
			if r.Kind() == "Secret" || !r.Kubernetes() {
				continue
			}
			assert.False(t, pulumiresource.NewObjectProperty(r.Inputs).ContainsSecrets(), "%s %s carries a secret", r.Kind(), r.Name)
			raw, err := json.Marshal(recorder.Plain(r.Inputs))
			require.NoError(t, err)
			for _, secret := range secrets {
				assert.NotContains(t, string(raw), secret, "%s %s carries a secret", r.Kind(), r.Name)
			}
		}
		for name, v := range s.recording.Outputs {
			raw, err := json.Marshal(v)
			require.NoError(t, err)
			for _, secret := range secrets {
				assert.NotContains(t, string(raw), secret, "plain output %s carries a secret", name)
			}
		}
		for _, o := range s.objects {
			if secret, ok := o.Object.(*corev1.Secret); ok {
				// The agent reads the first again, and a job that was refused is tried again with the second.
				if secret.Name != "database-roles" && secret.Name != "telemetry-indices-credentials" {
					require.NotNil(t, secret.Immutable, "%s", o)
					assert.True(t, *secret.Immutable, "%s", o)
				}
				assert.True(t, o.Recorded.Inputs["stringData"].IsSecret() || o.Recorded.Inputs["data"].IsSecret() ||
					o.Recorded.Inputs["stringData"].ContainsSecrets(), "%s: Pulumi would keep its values in plain text", o)
			}
		}
	})
}

// TestImagesArePinned: every container says which version it runs.
func TestImagesArePinned(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			for _, c := range recorder.Containers(w.Template.Spec) {
				ref, err := reference.ParseNormalizedNamed(c.Image)
				require.NoError(t, err, "%s: %s", w.Object, c.Image)
				tagged, tag := ref.(reference.Tagged)
				_, digest := ref.(reference.Digested)
				assert.True(t, tag || digest, "%s: %s is not pinned", w.Object, c.Image)
				if tag && !digest {
					assert.NotEqual(t, "latest", tagged.Tag(), "%s: %s is not pinned", w.Object, c.Image)
				}
			}
		}
	})
}

// TestProbesSayNoCredential: probe commands and arguments are world-readable.
func TestProbesSayNoCredential(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			for _, c := range w.Template.Spec.Containers {
				words := append(slices.Clone(c.Command), c.Args...)
				for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
					if p != nil && p.Exec != nil {
						words = append(words, p.Exec.Command...)
					}
				}
				for _, e := range c.Env {
					if e.Value != "" && strings.Contains(strings.ToUpper(e.Name), "PASSWORD") && !strings.HasSuffix(strings.ToUpper(e.Name), "FILE") {
						t.Errorf("%s container %s: %s stands in the pod", w.Object, c.Name, e.Name)
					}
				}
				for _, word := range words {
					assert.NotContains(t, word, "PASSWORD", "%s container %s: %q", w.Object, c.Name, word)
				}
			}
		}
	})
}

// TestServedPodsHaveReadiness: a pod behind a Service that is never asked whether it
// is ready gets requests that it cannot answer.
func TestServedPodsHaveReadiness(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, svc := range recorder.Of[*corev1.Service](s.objects) {
			for _, w := range s.matching(t, &metav1.LabelSelector{MatchLabels: svc.Spec.Selector}) {
				ready := slices.ContainsFunc(w.Template.Spec.Containers, func(c corev1.Container) bool { return c.ReadinessProbe != nil })
				assert.True(t, ready, "%s is behind Service %s and has no readiness probe", w.Object, svc.Name)
			}
		}
	})
}

// TestEveryReferenceExists: ConfigMaps, Secrets and claims that pods name are created
// by the same stack, so that no pod waits for what never comes.
func TestEveryReferenceExists(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		exists := map[string]bool{}
		for _, o := range s.objects {
			exists[o.Recorded.Kind()+"/"+o.Meta().GetName()] = true
		}
		need := func(w recorder.Workload, kind, name string) {
			assert.True(t, exists[kind+"/"+name], "%s refers to %s %s, which the stack does not create", w.Object, kind, name)
		}
		for _, w := range s.workloads {
			spec := w.Template.Spec
			for _, v := range spec.Volumes {
				switch {
				case v.ConfigMap != nil:
					need(w, "ConfigMap", v.ConfigMap.Name)
				case v.Secret != nil:
					need(w, "Secret", v.Secret.SecretName)
				case v.PersistentVolumeClaim != nil:
					need(w, "PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName)
				}
			}
			for _, c := range recorder.Containers(spec) {
				for _, from := range c.EnvFrom {
					if from.ConfigMapRef != nil {
						need(w, "ConfigMap", from.ConfigMapRef.Name)
					}
					if from.SecretRef != nil {
						need(w, "Secret", from.SecretRef.Name)
					}
				}
				for _, e := range c.Env {
					if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
						need(w, "Secret", e.ValueFrom.SecretKeyRef.Name)
					}
				}
			}
		}
	})
}
