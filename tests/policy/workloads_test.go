package policy

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestStopsAreGraceful: a pod that serves goes on until the last proxy knows that it
// goes (the edge may take 7 s), and then has time for a whole request.
func TestStopsAreGraceful(t *testing.T) {
	const known, request = 7, 30
	eachStack(t, func(t *testing.T, s stack) {
		seen := map[string]bool{}
		for _, svc := range recorder.Of[*corev1.Service](s.objects) {
			for _, w := range s.matching(t, &metav1.LabelSelector{MatchLabels: svc.Spec.Selector}) {
				grace := *w.Template.Spec.TerminationGracePeriodSeconds
				if stopsFirst(w) {
					assert.GreaterOrEqual(t, grace, int64(30), "%s is killed while it flushes", w.Object)
					continue
				}
				seen[w.Name] = true
				for _, c := range w.Template.Spec.Containers {
					if !slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
						_, ok := containerPort(corev1.PodSpec{Containers: []corev1.Container{c}}, p.TargetPort)
						return ok
					}) {
						continue
					}
					where := w.Object.String() + " container " + c.Name
					require.NotNil(t, c.Lifecycle, "%s stops at once", where)
					require.NotNil(t, c.Lifecycle.PreStop, "%s stops at once", where)
					require.NotNil(t, c.Lifecycle.PreStop.Sleep, "%s: anything but a native sleep needs a shell in the image", where)
					sleep := c.Lifecycle.PreStop.Sleep.Seconds
					assert.Greater(t, sleep, int64(known), "%s stops while requests still come", where)
					assert.Greater(t, grace, sleep, "%s is killed before it may stop", where)
					if w.Name == "backend" || w.Name == "edge" {
						assert.GreaterOrEqual(t, grace-sleep, int64(request), "%s is killed in a request", where)
					}
				}
			}
		}
		for _, name := range []string{"backend", "frontend", "edge"} {
			assert.True(t, seen[name], "%s is behind no Service", name)
		}
	})
}

// TestNamesAreNotWaitedFor: a question that goes to a DNS pod on a lost node is asked again
// before the reference API gives a connection up, after five seconds.
func TestNamesAreNotWaitedFor(t *testing.T) {
	const given = 5
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.lasting() {
			options := map[string]int{}
			require.NotNil(t, w.Template.Spec.DNSConfig, w.Object)
			for _, o := range w.Template.Spec.DNSConfig.Options {
				require.NotNil(t, o.Value, w.Object)
				n, err := strconv.Atoi(*o.Value)
				require.NoError(t, err, w.Object)
				options[o.Name] = n
			}
			assert.Greater(t, options["attempts"], 1, "%s asks once", w.Object)
			assert.Positive(t, options["timeout"], w.Object)
			assert.Less(t, options["attempts"]*options["timeout"], given, "%s waits too long", w.Object)
		}
	})
}

// TestRolloutsNeverShrink: a new pod is ready before an old one goes.
func TestRolloutsNeverShrink(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.lasting() {
			if stopsFirst(w) {
				continue
			}
			rolling := w.Object.Object.(*appsv1.Deployment).Spec.Strategy.RollingUpdate
			if assert.NotNil(t, rolling, "%s", w.Object) {
				assert.Equal(t, intstr.FromInt32(0), *rolling.MaxUnavailable, "%s", w.Object)
				assert.Positive(t, rolling.MaxSurge.IntValue(), "%s", w.Object)
			}
		}
	})
}

// TestAutoscalerDefaults are those of the application's first manifests.
func TestAutoscalerDefaults(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		if s.name != "prod" {
			return
		}
		for _, w := range s.workloads {
			h := s.autoscaler(w)
			if h == nil {
				continue
			}
			assert.Equal(t, []int32{3, 10}, []int32{*h.Spec.MinReplicas, h.Spec.MaxReplicas})
			targets := map[corev1.ResourceName]int32{}
			for _, m := range h.Spec.Metrics {
				targets[m.Resource.Name] = *m.Resource.Target.AverageUtilization
			}
			assert.Equal(t, map[corev1.ResourceName]int32{"cpu": 70, "memory": 80}, targets)
			up, down := h.Spec.Behavior.ScaleUp, h.Spec.Behavior.ScaleDown
			assert.Equal(t, []int32{60, 100, 15}, []int32{*up.StabilizationWindowSeconds, up.Policies[0].Value, up.Policies[0].PeriodSeconds})
			assert.Equal(t, []int32{300, 50, 60}, []int32{*down.StabilizationWindowSeconds, down.Policies[0].Value, down.Policies[0].PeriodSeconds})
		}
	})
}

// TestOnlyTheEngineTrades: whatever the stack sets, an autoscaled pod never does, and
// the one that may is one.
func TestOnlyTheEngineTrades(t *testing.T) {
	env := func(w recorder.Workload) map[string]string {
		found := map[string]string{}
		for _, e := range w.Template.Spec.Containers[0].Env {
			found[e.Name] = e.Value
		}
		return found
	}
	for _, c := range []struct {
		config map[string]string
		trades string
	}{
		{nil, "false"},
		{map[string]string{"tradingEnabled": "true"}, "true"},
	} {
		engines := 0
		for _, w := range recorded(t, "prod", c.config).workloads {
			switch w.Name {
			case "backend", "backend-dashboard":
				assert.Subset(t, env(w), map[string]string{"TRADING_ENABLED": "false", "PAPER_TRADING": "true", "WEB_CONCURRENCY": "1"}, "%s with %v", w.Object, c.config)
			case "backend-engine":
				engines++
				assert.Subset(t, env(w), map[string]string{"TRADING_ENABLED": c.trades, "PAPER_TRADING": "true", "WEB_CONCURRENCY": "1"}, "%s with %v", w.Object, c.config)
				assert.True(t, stopsFirst(w), "two engines would trade during a rollout")
				assert.Equal(t, int32(1), *w.Replicas)
			}
		}
		assert.Equal(t, 1, engines)
	}
}

// TestApplicationFilesystem: the images set their users by name, which runAsNonRoot
// cannot check, and the backend's write to five places under a read-only root.
func TestApplicationFilesystem(t *testing.T) {
	users := map[string]int64{"backend": 1000, "backend-engine": 1000, "backend-dashboard": 1000, "frontend": 1001}
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			user, ours := users[w.Name]
			if !ours {
				continue
			}
			assert.Equal(t, user, *w.Template.Spec.SecurityContext.RunAsUser, "%s", w.Object)
			if user != 1000 {
				continue
			}
			for _, want := range []string{"/app/logs", "/app/models", "/app/cache", "/app/data", "/tmp"} {
				i := slices.IndexFunc(w.Template.Spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == want && !m.ReadOnly })
				if assert.GreaterOrEqual(t, i, 0, "%s cannot write to %s", w.Object, want) {
					assert.NotNil(t, volumeNamed(w, w.Template.Spec.Containers[0].VolumeMounts[i].Name).EmptyDir, "%s: %s", w.Object, want)
				}
			}
		}
	})
}

func volumeNamed(w recorder.Workload, name string) corev1.Volume {
	i := slices.IndexFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		return corev1.Volume{}
	}
	return w.Template.Spec.Volumes[i]
}

// TestReplicasSpread over zones and hosts; tests/scheduler shows what that does.
func TestReplicasSpread(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		required := strings.HasPrefix(s.name, "prod")
		for _, w := range s.workloads {
			if s.mostReplicas(w) < 2 {
				continue
			}
			want := map[string]corev1.UnsatisfiableConstraintAction{"topology.kubernetes.io/zone": corev1.ScheduleAnyway}
			if required {
				want["kubernetes.io/hostname"] = corev1.DoNotSchedule
			} else {
				terms := w.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
				require.Len(t, terms, 1, "%s may run on one host", w.Object)
				assert.Equal(t, "kubernetes.io/hostname", terms[0].PodAffinityTerm.TopologyKey)
				m, err := metav1.LabelSelectorAsSelector(terms[0].PodAffinityTerm.LabelSelector)
				require.NoError(t, err)
				assert.True(t, m.Matches(labels.Set(w.Template.Labels)), "%s keeps away from other pods", w.Object)
			}
			for _, c := range w.Template.Spec.TopologySpreadConstraints {
				assert.Equal(t, want[c.TopologyKey], c.WhenUnsatisfiable, "%s over %s", w.Object, c.TopologyKey)
				m, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
				require.NoError(t, err)
				assert.True(t, m.Matches(labels.Set(w.Template.Labels)), "%s spreads other pods over %s", w.Object, c.TopologyKey)
				assert.Equal(t, int32(1), c.MaxSkew, "%s over %s", w.Object, c.TopologyKey)
				assert.Equal(t, corev1.NodeInclusionPolicyHonor, *c.NodeTaintsPolicy, "%s over %s", w.Object, c.TopologyKey)
				delete(want, c.TopologyKey)
			}
			assert.Empty(t, want, "%s is not spread", w.Object)
		}
	})
}

// TestDataIsInClaimsOfItsOwn: a claim template belongs to its StatefulSet, which could
// never be given a larger volume, so the claims of the database's members are there
// before theirs; and whoever holds data is the last to be preempted.
func TestDataIsInClaimsOfItsOwn(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		classes := recorder.Of[*schedulingv1.PriorityClass](s.objects)
		require.Len(t, classes, 1)
		assert.Positive(t, classes[0].Value)
		assert.False(t, classes[0].GlobalDefault, "every pod would hold data")
		users := map[string]string{}
		for _, w := range s.workloads {
			holds := false
			for _, v := range w.Template.Spec.Volumes {
				if c := v.PersistentVolumeClaim; c != nil {
					holds = true
					assert.Empty(t, users[c.ClaimName], "%s is on the volume of %s, too", w.Object, users[c.ClaimName])
					users[c.ClaimName] = w.Name
				}
			}
			set, stateful := w.Object.Object.(*appsv1.StatefulSet)
			if stateful && len(set.Spec.VolumeClaimTemplates) > 0 {
				holds = true
				assert.Equal(t, "database-g1", set.Name)
				for i := range *set.Spec.Replicas {
					users[fmt.Sprintf("%s-%s-%d", set.Spec.VolumeClaimTemplates[0].Name, set.Name, i)] = w.Name
				}
			}
			// Jaeger's set is the same one, whether it has a volume or an Elasticsearch.
			away := s.name == "prod with traces in Elasticsearch" && w.Name == "telemetry-traces"
			assert.Equal(t, stateful && !away, holds, "%s", w.Object)
			if stateful {
				assert.Equal(t, classes[0].Name, w.Template.Spec.PriorityClassName, "%s", w.Object)
			} else {
				assert.Empty(t, w.Template.Spec.PriorityClassName, "%s holds nothing", w.Object)
			}
		}
		for _, claim := range recorder.Of[*corev1.PersistentVolumeClaim](s.objects) {
			assert.NotEmpty(t, users[claim.Name], "nobody uses the claim %s", claim.Name)
		}
		claims := 8
		switch s.name {
		case "dev", "dev without encryption":
			claims = 5 // with one member, and no backup
		case "prod with backups elsewhere", "dev with log lines by an image":
			claims = 7
		case "prod with logs and traces elsewhere", "prod with traces in Elasticsearch":
			claims = 9 // what waits for them
		}
		assert.Len(t, users, claims)
	})
}

// TestDatabasePod: its data lies below the mount, where no lost+found is in initdb's
// way, with checksums; passwords are never sent; shared memory is sized; what clients get
// depends on what the server has replayed.
func TestDatabasePod(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		i := slices.IndexFunc(s.workloads, func(w recorder.Workload) bool { return w.Name == "database-g1" })
		require.GreaterOrEqual(t, i, 0)
		w := s.workloads[i]
		server := w.Template.Spec.Containers[0]
		assert.Equal(t, "/read-only-quorum", server.ReadinessProbe.HTTPGet.Path)
		var file struct {
			Bootstrap struct {
				Initdb []any `json:"initdb"`
			} `json:"bootstrap"`
			PostgreSQL struct {
				Data string `json:"data_dir"`
			} `json:"postgresql"`
		}
		for _, o := range recorder.Of[*corev1.ConfigMap](s.objects) {
			if text := o.Data["patroni.yml"]; text != "" {
				require.NoError(t, yaml.Unmarshal([]byte(text), &file))
			}
		}
		assert.Contains(t, file.Bootstrap.Initdb, "data-checksums")
		assert.Contains(t, file.Bootstrap.Initdb, map[string]any{"auth-host": "scram-sha-256"})
		mounts := map[string]corev1.Volume{}
		for _, m := range server.VolumeMounts {
			mounts[m.MountPath] = volumeNamed(w, m.Name)
		}
		on := slices.IndexFunc(server.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(file.PostgreSQL.Data) })
		require.GreaterOrEqual(t, on, 0, "%q is not a folder of a volume", file.PostgreSQL.Data)
		assert.Equal(t, w.Object.Object.(*appsv1.StatefulSet).Spec.VolumeClaimTemplates[0].Name, server.VolumeMounts[on].Name)
		memory := mounts["/dev/shm"].EmptyDir
		require.NotNil(t, memory, "/dev/shm has the 64 MiB that a container gets")
		assert.Equal(t, corev1.StorageMediumMemory, memory.Medium)
		assert.Negative(t, memory.SizeLimit.Cmp(*server.Resources.Limits.Memory()), "/dev/shm may take the whole memory limit")
	})
}

// TestStartupWaitsForTheDatabase: a process that ends without its database would be
// started ever more seldom, also when the database is back.
func TestStartupWaitsForTheDatabase(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, w := range s.workloads {
			if !strings.HasPrefix(w.Name, "backend") {
				continue
			}
			// A pooler that takes no client without TLS does not tell whether there is a database.
			asked := "database-pooler"
			if slices.ContainsFunc(recorder.Of[*corev1.Secret](s.objects), func(c *corev1.Secret) bool {
				return strings.Contains(c.StringData["pgbouncer.ini"], "client_tls_sslmode = require\n")
			}) {
				asked = "database"
			}
			waits := slices.ContainsFunc(w.Template.Spec.InitContainers, func(c corev1.Container) bool {
				host := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "DATABASE_HOST" && e.Value == asked })
				return host && strings.Contains(strings.Join(c.Command, " "), "until reply=")
			})
			assert.True(t, waits, "%s", w.Object)
		}
	})
}

// TestNothingAwaitsAnAddress: on a cluster without a load balancer or a controller it
// never comes, and a Service without ready pods would fail before its workload does.
func TestNothingAwaitsAnAddress(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		for _, o := range s.objects {
			switch o.Object.(type) {
			case *corev1.Service, *networkingv1.Ingress, *corev1.PersistentVolumeClaim:
				assert.Equal(t, "true", o.Meta().GetAnnotations()["pulumi.com/skipAwait"], "%s", o)
			}
		}
	})
}

// TestExceptionsLieWithinTheirBlock: the API server refuses any other, and a block
// that is its own exception allows nothing.
func TestExceptionsLieWithinTheirBlock(t *testing.T) {
	s := recorded(t, "prod", map[string]string{"egressCidrs": `["0.0.0.0/0","10.0.0.0/8","192.168.7.0/24"]`})
	except := map[string]int{}
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](s.objects) {
		for _, rule := range p.Spec.Egress {
			for _, peer := range rule.To {
				if b := peer.IPBlock; b != nil && p.Name == "platform-backend" {
					except[b.CIDR] = len(b.Except)
				}
			}
		}
	}
	assert.Equal(t, map[string]int{"0.0.0.0/0": 5, "10.0.0.0/8": 0, "192.168.7.0/24": 0}, except,
		"private addresses are left out, unless they are listed")
}

// TestScrapedPortsAreServed: the port that a pod asks to be scraped on is one that it
// declares, and the servers that speak no Prometheus have somebody beside them who does.
func TestScrapedPortsAreServed(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		by := map[string]string{}
		for _, w := range s.workloads {
			a := w.Template.Annotations
			if a["prometheus.io/scrape"] != "true" {
				continue
			}
			lasting := slices.Clone(w.Template.Spec.Containers)
			for _, c := range w.Template.Spec.InitContainers {
				if c.RestartPolicy != nil { // a sidecar
					lasting = append(lasting, c)
				}
			}
			for _, prefix := range room.ScrapePrefixes {
				asked, is := a["prometheus.io/"+prefix+"port"]
				if prefix != "" && !is {
					continue
				}
				port, err := strconv.Atoi(asked)
				require.NoError(t, err, "%s", w.Object)
				assert.True(t, strings.HasPrefix(a["prometheus.io/"+prefix+"path"], "/"), "%s: path %q", w.Object, a["prometheus.io/"+prefix+"path"])
				for _, c := range lasting {
					if _, ok := containerPort(corev1.PodSpec{Containers: []corev1.Container{c}}, intstr.FromInt(port)); ok {
						by[prefix+w.Name] = c.Name
					}
				}
				assert.NotEmpty(t, by[prefix+w.Name], "%s: no container that goes on has the port %d", w.Object, port)
			}
		}
		for name, server := range map[string]string{
			"database-g1": "exporter", "cache": "exporter", "edge": "exporter",
			// What the exporter does not know, and PgBouncer.
			"beside-database-g1": "agent", "database-pooler": "agent",
		} {
			assert.Equal(t, server, by[name], "%s", name)
		}
	})
}

// TestLimitRangeHelpsStrangers: under a quota a pod that asks for nothing is refused;
// what it gets instead fits into the room that the quota leaves.
func TestLimitRangeHelpsStrangers(t *testing.T) {
	eachStack(t, func(t *testing.T, s stack) {
		ranges := recorder.Of[*corev1.LimitRange](s.objects)
		require.Len(t, ranges, 1)
		require.Len(t, ranges[0].Spec.Limits, 1)
		l := ranges[0].Spec.Limits[0]
		assert.Equal(t, corev1.LimitTypeContainer, l.Type)
		for _, r := range []corev1.ResourceName{"cpu", "memory"} {
			request, limit := l.DefaultRequest[r], l.Default[r]
			assert.False(t, request.IsZero(), "%s", r)
			assert.LessOrEqual(t, request.Cmp(limit), 0, "%s: %s of %s", r, request.String(), limit.String())
		}
	})
}

// TestToSeeEverythingCostsLittle adds up what metrics, logs and traces ask for in the stack
// dev: the servers, and what stands beside those whom they watch.
func TestToSeeEverythingCostsLittle(t *testing.T) {
	beside := []string{"exporter", "counter", "prober", "forwarder"}
	var cpu, memory resource.Quantity
	var seen []string
	for _, w := range recorded(t, "dev", variants["dev with logs and traces"]).lasting() {
		instance := w.Template.Labels["app.kubernetes.io/instance"]
		replicas := int64(1)
		if w.Replicas != nil {
			replicas = int64(*w.Replicas)
		}
		for _, c := range w.Template.Spec.Containers {
			if instance != "monitoring" && instance != "telemetry" && !slices.Contains(beside, c.Name) {
				continue
			}
			seen = append(seen, w.Name+"/"+c.Name)
			for range replicas {
				cpu.Add(*c.Resources.Requests.Cpu())
				memory.Add(*c.Resources.Requests.Memory())
			}
		}
	}
	t.Logf("metrics, logs and traces in dev ask for %s CPU and %d MiB: %v", cpu.String(), memory.Value()>>20, seen)
	for _, want := range []string{"monitoring-prometheus/prometheus", "monitoring-grafana/grafana", "database-g1/exporter", "edge/counter", "edge/forwarder"} {
		assert.Contains(t, seen, want)
	}
	assert.LessOrEqual(t, cpu.MilliValue(), int64(800))
	assert.LessOrEqual(t, memory.Value(), int64(16)<<30/10)
}
