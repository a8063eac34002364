package unit

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/images"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

var (
	ownPlace = workload.Placement{Namespace: pulumi.String("team")}
	ownSize  = room.ResourcesOf("250m", "512Mi", "1", "2Gi")
	ownImage = pulumi.String("registry.example.com/team/image:1.0.0")
)

func ownSecret(value string) pulumi.StringInput {
	return pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
}

// alone composes one component as a user of it would: no stack, no settings, names
// and images of the user's own.
var alone = map[string]struct {
	// compose creates the component with the arguments that it needs.
	compose func(ctx *pulumi.Context) error
	// registers are some of its objects.
	registers []string
	// broken creates it with several mistakes, which all have to be reported.
	broken func(ctx *pulumi.Context) error
	says   []string
}{
	"Platform": {
		compose: func(ctx *pulumi.Context) error {
			_, err := platform.NewPlatform(ctx, "ground", &platform.Args{Namespace: "team"})
			return err
		},
		registers: []string{"Namespace/ground", "ResourceQuota/ground", "LimitRange/ground"},
		broken: func(ctx *pulumi.Context) error {
			_, err := platform.NewPlatform(ctx, "ground", &platform.Args{Links: []room.Link{{}}, Facts: []room.Facts{{Workloads: []room.Workload{{
				Identity: room.Identity{Name: "app"}, Containers: []room.Resources{{}},
			}}}}})
			return err
		},
		says: []string{"Namespace is empty", "workload app: requests.cpu"},
	},
	"Credentials": {
		compose: func(ctx *pulumi.Context) error {
			_, err := platform.NewCredentials(ctx, "keys", &platform.CredentialsArgs{})
			return err
		},
		registers: []string{"RandomPassword/keys-database-admin", "RandomPassword/keys-grafana-admin"},
	},
	"Guard": {
		compose: func(ctx *pulumi.Context) error {
			_, err := platform.NewGuard(ctx, "keeper", nil)
			return err
		},
		registers: []string{"RandomId/keeper"},
	},
	"Database": {
		compose: func(ctx *pulumi.Context) error {
			_, err := database.NewDatabase(ctx, "ledger", &database.Args{
				Placement: ownPlace, Image: ownImage, ExporterImage: ownImage, Storage: resource.MustParse("10Gi"),
				Resources: ownSize, AliasServices: []string{"postgres"},
				SuperuserPassword: ownSecret("one"), ApplicationPassword: ownSecret("two"), MonitoringPassword: ownSecret("three"),
				AgentImage: ownImage, PoolerImage: ownImage, Instances: 2, Generation: 1, APIServerPorts: []int{443}, MaxConnections: 50,
				PoolingPassword: ownSecret("four"), ReplicationPassword: ownSecret("five"), RewindPassword: ownSecret("six"),
				ControlPassword: ownSecret("seven"), AuthoritySeed: ownSecret("a seed of at least thirty-two bytes"),
			})
			return err
		},
		registers: []string{"StatefulSet/ledger-g1", "PersistentVolumeClaim/data-ledger-g1-0", "PersistentVolumeClaim/data-ledger-g1-1", "Service/ledger",
			"Service/ledger-members", "Service/ledger-read", "Service/ledger-pooler", "Service/postgres", "Deployment/ledger-pooler", "PodDisruptionBudget/ledger-g1"},
		broken: func(ctx *pulumi.Context) error {
			_, err := database.NewDatabase(ctx, "ledger", &database.Args{Resources: room.ResourcesOf("0", "1Gi", "1", "1Gi"), Storage: resource.MustParse("1Mi"), AliasServices: []string{"Not A Name"}, Instances: 4})
			return err
		},
		says: []string{"Namespace is missing", "PoolingPassword is missing", "SuperuserPassword is missing", "requests.cpu", "Storage is 1Mi", `"Not A Name"`, "Instances is 4"},
	},
	"Cache": {
		compose: func(ctx *pulumi.Context) error {
			_, err := cache.NewCache(ctx, "sessions", &cache.Args{
				Placement: ownPlace, Image: ownImage, ExporterImage: ownImage, Storage: resource.MustParse("10Gi"),
				Resources:           ownSize,
				ApplicationPassword: ownSecret("one"), MonitoringPassword: ownSecret("two"),
			})
			return err
		},
		registers: []string{"StatefulSet/sessions", "PersistentVolumeClaim/sessions", "Service/sessions", "PodDisruptionBudget/sessions"},
		broken: func(ctx *pulumi.Context) error {
			_, err := cache.NewCache(ctx, "sessions", &cache.Args{Resources: room.ResourcesOf("1", "1Mi", "1", "1Mi"), Policy: "sometimes", AliasServices: []string{"sessions"}})
			return err
		},
		says: []string{"Namespace is missing", "ApplicationPassword is missing", "limits.memory is 1Mi", `"sometimes"`, `"sessions" is given twice`},
	},
	"Backend": {
		compose: func(ctx *pulumi.Context) error {
			process := backend.Process{
				Image: ownImage, Port: 8080, ReadinessPath: "/ready", StartupSeconds: 30, Resources: ownSize,
				Credentials: pulumi.StringMap{"TOKEN": ownSecret("one")},
			}
			_, err := backend.NewBackend(ctx, "shop", &backend.Args{
				Placement: ownPlace, API: process, Engine: &process,
				Scaling:               backend.Scaling{Min: 2, Max: 4, CPUUtilization: 70, MemoryUtilization: 80},
				RequestTimeoutSeconds: 30,
			})
			return err
		},
		registers: []string{"Deployment/shop", "Deployment/shop-engine", "HorizontalPodAutoscaler/shop", "Service/shop", "Secret/shop-credentials"},
		broken: func(ctx *pulumi.Context) error {
			_, err := backend.NewBackend(ctx, "shop", &backend.Args{
				Scaling: backend.Scaling{Min: 3, Max: 2, CPUUtilization: 700}, RequestTimeoutSeconds: -1,
				API: backend.Process{Image: ownImage, LivenessPath: "alive"},
			})
			return err
		},
		says: []string{"Namespace is missing", "Min 3 and Max 2", "CPUUtilization is 700", "RequestTimeoutSeconds is -1", "API.Port is missing", `path "alive"`},
	},
	"Frontend": {
		compose: func(ctx *pulumi.Context) error {
			_, err := frontend.NewFrontend(ctx, "pages", &frontend.Args{Placement: ownPlace, Image: ownImage})
			return err
		},
		registers: []string{"Deployment/pages", "Service/pages", "PodDisruptionBudget/pages"},
		broken: func(ctx *pulumi.Context) error {
			_, err := frontend.NewFrontend(ctx, "pages", &frontend.Args{Port: 80, LivenessPath: "alive", Env: map[string]string{"a b": "c", "PORT": "1"}})
			return err
		},
		says: []string{"Namespace is missing", "Port 80", `LivenessPath "alive"`, `"a b"`, "PORT follows from Port"},
	},
	"Ingress": {
		compose: func(ctx *pulumi.Context) error {
			_, err := ingress.NewIngress(ctx, "door", &ingress.Args{
				Placement: ownPlace, Image: ownImage, ExporterImage: ownImage, Domain: "example.org", Exposure: ingress.ClusterIP,
				Routes: ingress.Routes{
					UI:  &ingress.Upstream{Host: pulumi.String("pages"), Port: 3000},
					API: &ingress.Upstream{Host: pulumi.String("shop"), Port: 8080},
				},
			})
			return err
		},
		registers: []string{"Deployment/door", "Service/door", "Secret/door-tls", "ConfigMap/door-nginx"},
		broken: func(ctx *pulumi.Context) error {
			_, err := ingress.NewIngress(ctx, "door", &ingress.Args{
				Exposure: "window", HTTPNodePort: 70000, IngressClass: "any", TLS: ingress.TLS{Certificate: pulumi.String("x")},
			})
			return err
		},
		says: []string{"Namespace is missing", `Exposure "window"`, "70000", `IngressClass "any"`, "Certificate and Key go together", "Routes.UI is missing", "Routes.API is missing"},
	},
	"Image": {
		compose: func(ctx *pulumi.Context) error {
			_, err := images.NewImage(ctx, "shop", &images.Args{
				Context: "docker", Dockerfile: "Dockerfile.backend.prod", Sources: []string{"backend/internal"},
				Repository: "registry.example.com:5000/team/shop", Owner: "any", Push: true,
			})
			return err
		},
		registers: []string{"RemoteImage/shop", "RegistryImage/shop"},
		broken: func(ctx *pulumi.Context) error {
			_, err := images.NewImage(ctx, "shop", &images.Args{
				Context: "/srv/shop", Dockerfile: "../Dockerfile", Sources: []string{"/etc"}, Repository: "team/shop:1.0.0", Owner: "not a tag",
			})
			return err
		},
		says: []string{`Context "/srv/shop"`, `Dockerfile "../Dockerfile"`, `"/etc" is not below Context`, `"team/shop:1.0.0": leave the tag`, `Owner "not a tag"`},
	},
	"Telemetry": {
		compose: func(ctx *pulumi.Context) error {
			_, err := telemetry.NewTelemetry(ctx, "signals", &telemetry.Args{
				Placement: ownPlace,
				Collector: telemetry.Collector{Image: ownImage},
				Logs:      telemetry.Signal{Backend: telemetry.OTLP, Remote: telemetry.Remote{URL: "https://otlp.example.org", Credential: ownSecret("one")}},
				Traces:    telemetry.Signal{Backend: telemetry.Local, Store: telemetry.Store{Image: ownImage}},
			})
			return err
		},
		registers: []string{"StatefulSet/signals-collector", "PersistentVolumeClaim/signals-collector", "Service/signals-collector",
			"Secret/signals-collector-credentials", "StatefulSet/signals-traces", "PersistentVolumeClaim/signals-traces"},
		broken: func(ctx *pulumi.Context) error {
			_, err := telemetry.NewTelemetry(ctx, "signals", &telemetry.Args{Logs: telemetry.Signal{Backend: "loki"}, Collector: telemetry.Collector{Storage: resource.MustParse("1Mi")}})
			return err
		},
		says: []string{"Namespace is missing", `"loki"`, `Collector.Storage is "1Mi"`},
	},
	"Monitoring": {
		compose: func(ctx *pulumi.Context) error {
			_, err := monitoring.NewMonitoring(ctx, "watch", &monitoring.Args{
				Placement:   ownPlace,
				Images:      monitoring.Images{Prometheus: ownImage, Alertmanager: ownImage, Grafana: ownImage, KubeStateMetrics: ownImage},
				Grafana:     monitoring.Grafana{Password: ownSecret("one")},
				ExternalURL: pulumi.String("https://watch.example.org"),
			})
			return err
		},
		registers: []string{"StatefulSet/watch-prometheus", "StatefulSet/watch-alertmanager", "StatefulSet/watch-grafana", "Deployment/watch-kube-state-metrics"},
		broken: func(ctx *pulumi.Context) error {
			_, err := monitoring.NewMonitoring(ctx, "watch", &monitoring.Args{Prometheus: monitoring.Prometheus{Retention: "for ever"}})
			return err
		},
		says: []string{"Namespace is missing", "for ever", "Password"},
	},
}

// TestComponentsAlone: each works without the others, owns what it registers, leaves
// the choice of the provider to its user, and makes objects that the API knows.
func TestComponentsAlone(t *testing.T) {
	for name, c := range alone {
		t.Run(name, func(t *testing.T) {
			r := &recorder.Recording{}
			require.NoError(t, r.Program(recorder.Options{Stack: "any"}, c.compose))
			var labels []string
			components := 0
			for _, x := range r.Resources {
				labels = append(labels, x.Label())
				if strings.HasPrefix(x.Type, "alphapulse:index:") {
					components++
					assert.Equal(t, "alphapulse:index:"+name, x.Type)
					continue
				}
				assert.NotContains(t, x.Type, "pulumi:providers", "a provider inside of a component")
				assert.Contains(t, x.RPC.GetParent(), "alphapulse:index:"+name, "%s has another parent", x.Label())
			}
			assert.Equal(t, 1, components)
			assert.Subset(t, labels, c.registers)
			objects, err := r.Objects()
			require.NoError(t, err)
			for _, o := range objects {
				if namespace := o.Meta().GetNamespace(); o.Recorded.Kind() != "Namespace" && o.Recorded.Kind() != "PriorityClass" {
					assert.Equal(t, "team", namespace, "%s", o)
				}
			}
		})
	}
}

// TestComponentsRefuseBadArguments: with every mistake in one error, before anything
// is registered, and with no panic for arguments that are missing as a whole.
func TestComponentsRefuseBadArguments(t *testing.T) {
	for name, c := range alone {
		if c.broken == nil {
			continue // nothing can be wrong with its arguments
		}
		t.Run(name, func(t *testing.T) {
			r := &recorder.Recording{}
			err := r.Program(recorder.Options{Stack: "any"}, c.broken)
			require.Error(t, err)
			for _, part := range c.says {
				assert.Contains(t, err.Error(), part)
			}
			assert.Empty(t, r.Resources)
		})
	}
	for name, create := range map[string]pulumi.RunFunc{
		"Platform":   func(ctx *pulumi.Context) error { _, err := platform.NewPlatform(ctx, "x", nil); return err },
		"Database":   func(ctx *pulumi.Context) error { _, err := database.NewDatabase(ctx, "x", nil); return err },
		"Cache":      func(ctx *pulumi.Context) error { _, err := cache.NewCache(ctx, "x", nil); return err },
		"Backend":    func(ctx *pulumi.Context) error { _, err := backend.NewBackend(ctx, "x", nil); return err },
		"Frontend":   func(ctx *pulumi.Context) error { _, err := frontend.NewFrontend(ctx, "x", nil); return err },
		"Ingress":    func(ctx *pulumi.Context) error { _, err := ingress.NewIngress(ctx, "x", nil); return err },
		"Telemetry":  func(ctx *pulumi.Context) error { _, err := telemetry.NewTelemetry(ctx, "x", nil); return err },
		"Monitoring": func(ctx *pulumi.Context) error { _, err := monitoring.NewMonitoring(ctx, "x", nil); return err },
	} {
		t.Run(name+" without arguments", func(t *testing.T) {
			r := &recorder.Recording{}
			assert.ErrorContains(t, r.Program(recorder.Options{Stack: "any"}, create), "Namespace")
			assert.Empty(t, r.Resources)
		})
	}
}
