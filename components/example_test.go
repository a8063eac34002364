package components_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/images"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// preview prints the objects of the kinds that a program asks for.
func preview(program pulumi.RunFunc, kinds ...string) {
	r := &recorder.Recording{}
	if err := r.Program(recorder.Options{Stack: "any"}, program); err != nil {
		fmt.Println(err)
	}
	labels := map[string]bool{}
	for _, x := range r.Resources {
		if kind, _, _ := strings.Cut(x.Label(), "/"); slices.Contains(kinds, kind) {
			labels[x.Label()] = true
		}
	}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		fmt.Println(label)
	}
}

var place = workload.Placement{Namespace: pulumi.String("shop")}

func secret(value string) pulumi.StringInput {
	return pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
}

func Example_platform() {
	preview(func(ctx *pulumi.Context) error {
		_, err := platform.NewPlatform(ctx, "ground", &platform.Args{Namespace: "shop"})
		return err
	}, "Namespace", "ResourceQuota", "NetworkPolicy")
	// Output:
	// Namespace/ground
	// NetworkPolicy/ground-default-deny
	// NetworkPolicy/ground-dns
	// ResourceQuota/ground
}

func Example_credentials() {
	preview(func(ctx *pulumi.Context) error {
		keys, err := platform.NewCredentials(ctx, "keys", nil)
		if err == nil {
			ctx.Export("password", keys.GrafanaAdmin) // a secret output
		}
		return err
	}, "Credentials")
	// Output: Credentials/keys
}

func Example_database() {
	preview(func(ctx *pulumi.Context) error {
		_, err := database.NewDatabase(ctx, "ledger", &database.Args{
			Placement: place, SuperuserPassword: secret("one"), ApplicationPassword: secret("two"), MonitoringPassword: secret("three"),
			PoolingPassword: secret("four"), ReplicationPassword: secret("five"), RewindPassword: secret("six"),
			ControlPassword: secret("seven"), AuthoritySeed: secret("a seed of at least thirty-two bytes"),
			AliasServices: []string{"postgres"},
		})
		return err
	}, "StatefulSet", "Service")
	// Output:
	// Service/ledger
	// Service/ledger-members
	// Service/ledger-pooler
	// Service/ledger-pooler-pods
	// Service/ledger-read
	// Service/postgres
	// StatefulSet/ledger-g1
}

func Example_cache() {
	preview(func(ctx *pulumi.Context) error {
		_, err := cache.NewCache(ctx, "sessions", &cache.Args{
			Placement: place, ApplicationPassword: secret("one"), MonitoringPassword: secret("two"),
		})
		return err
	}, "StatefulSet", "PersistentVolumeClaim")
	// Output:
	// PersistentVolumeClaim/sessions
	// StatefulSet/sessions
}

func Example_backend() {
	preview(func(ctx *pulumi.Context) error {
		_, err := backend.NewBackend(ctx, "shop", &backend.Args{
			Placement: place,
			API:       backend.Process{Image: pulumi.String("registry.example.com/shop:1.0.0"), Port: 8080, ReadinessPath: "/ready"},
			Scaling:   backend.Scaling{Min: 2, Max: 8, CPUUtilization: 70},
		})
		return err
	}, "Deployment", "HorizontalPodAutoscaler")
	// Output:
	// Deployment/shop
	// HorizontalPodAutoscaler/shop
}

func Example_frontend() {
	preview(func(ctx *pulumi.Context) error {
		_, err := frontend.NewFrontend(ctx, "pages", &frontend.Args{
			Placement: place, Image: pulumi.String("registry.example.com/pages:1.0.0"), Port: 8080,
		})
		return err
	}, "Deployment", "PodDisruptionBudget")
	// Output:
	// Deployment/pages
	// PodDisruptionBudget/pages
}

func Example_ingress() {
	preview(func(ctx *pulumi.Context) error {
		_, err := ingress.NewIngress(ctx, "door", &ingress.Args{
			Placement: place, Domain: "example.com",
			Routes: ingress.Routes{
				UI:  &ingress.Upstream{Host: pulumi.String("pages"), Port: 8080},
				API: &ingress.Upstream{Host: pulumi.String("shop"), Port: 8080},
			},
		})
		return err
	}, "Deployment", "Service")
	// Output:
	// Deployment/door
	// Service/door
}

func Example_monitoring() {
	preview(func(ctx *pulumi.Context) error {
		_, err := monitoring.NewMonitoring(ctx, "watch", &monitoring.Args{
			Placement: place, ExternalURL: pulumi.String("https://grafana.example.com"), Grafana: monitoring.Grafana{Password: secret("one")},
		})
		return err
	}, "StatefulSet", "Deployment")
	// Output:
	// Deployment/watch-kube-state-metrics
	// StatefulSet/watch-alertmanager
	// StatefulSet/watch-grafana
	// StatefulSet/watch-prometheus
}

func Example_images() {
	preview(func(ctx *pulumi.Context) error {
		_, err := images.NewImage(ctx, "shop", &images.Args{
			Context: "docker", Dockerfile: "Dockerfile.backend.prod", Sources: []string{"backend"},
			Repository: "registry.example.com/shop", Owner: "any", Push: true,
		})
		return err
	}, "RemoteImage", "RegistryImage")
	// Output:
	// RegistryImage/shop
	// RemoteImage/shop
}

// A component of one's own is a workload with what it says about itself.
func Example_workload() {
	queue := room.Identity{Name: "queue", Instance: "queue", Component: "queue"}
	size := room.ResourcesOf("100m", "64Mi", "500m", "128Mi")
	preview(func(ctx *pulumi.Context) error {
		_, err := workload.Pod{
			Identity: queue, Placement: place, Replicas: pulumi.Int(2), Most: 2, Spread: workload.SpreadPreferred,
			Processes: []workload.Process{{
				Name: "queue", Image: pulumi.String("registry.example.com/queue:1.0.0"), User: 1000, Resources: size,
				Ports: []workload.Port{{Name: "amqp", Number: 5672}}, StartupSeconds: 30, GraceSeconds: 30,
				Alive: &workload.Probe{Port: "amqp", PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3},
			}},
			Services: workload.Balanced("queue", workload.Port{Name: "amqp", Number: 5672}),
		}.Create(ctx)
		return err
	}, "Deployment", "Service", "ServiceAccount", "PodDisruptionBudget")
	// Output:
	// Deployment/queue
	// PodDisruptionBudget/queue
	// Service/queue
	// Service/queue-pods
	// ServiceAccount/queue
}

// On a Docker host the same arguments make containers.
func Example_dockerHost() {
	preview(func(ctx *pulumi.Context) error {
		host, err := workload.NewHost(ctx, "host", &workload.HostArgs{Prefix: "shop"})
		if err != nil {
			return err
		}
		_, err = cache.NewDockerCache(ctx, "sessions", host, &cache.Args{ApplicationPassword: secret("one"), MonitoringPassword: secret("two")})
		return err
	}, "Container")
	// Output:
	// Container/sessions
	// Container/sessions-exporter
	// Container/sessions-exporter-files
	// Container/sessions-files
}
