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
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// ownHost is a host with no link but the one that is given.
func ownHost(ctx *pulumi.Context, links ...room.Link) (*workload.Host, error) {
	return workload.NewHost(ctx, "place", &workload.HostArgs{Prefix: "team", Links: links})
}

// onOwnHost composes one component of a Docker host as a user of it would: names and
// images of the user's own.
var onOwnHost = map[string]struct {
	compose   func(ctx *pulumi.Context, h *workload.Host) error
	registers []string
	// broken creates it with several mistakes, which all have to be reported.
	broken func(ctx *pulumi.Context, h *workload.Host) error
	says   []string
	// without creates it with no arguments; nil where it needs none.
	without func(ctx *pulumi.Context, h *workload.Host) error
}{
	"DockerDatabase": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := database.NewDockerDatabase(ctx, "ledger", h, &database.Args{
				Image: ownImage, ExporterImage: ownImage, Storage: resource.MustParse("10Gi"), Resources: ownSize,
				SuperuserPassword: ownSecret("one"), ApplicationPassword: ownSecret("two"), MonitoringPassword: ownSecret("three"),
			})
			return err
		},
		registers: []string{"Container/ledger", "Container/ledger-reconcile", "Container/ledger-exporter", "Volume/ledger"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := database.NewDockerDatabase(ctx, "ledger", h, &database.Args{Resources: room.ResourcesOf("0", "1Gi", "1", "1Gi"), Storage: resource.MustParse("1Mi"), AliasServices: []string{"Not A Name"}})
			return err
		},
		says: []string{"SuperuserPassword is missing", "requests.cpu", "Storage is 1Mi", `"Not A Name"`},
		without: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := database.NewDockerDatabase(ctx, "x", h, nil)
			return err
		},
	},
	"DockerCache": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := cache.NewDockerCache(ctx, "sessions", h, &cache.Args{
				Image: ownImage, ExporterImage: ownImage, Storage: resource.MustParse("10Gi"), Resources: ownSize,
				ApplicationPassword: ownSecret("one"), MonitoringPassword: ownSecret("two"),
			})
			return err
		},
		registers: []string{"Container/sessions", "Container/sessions-exporter", "Volume/sessions"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := cache.NewDockerCache(ctx, "sessions", h, &cache.Args{Resources: room.ResourcesOf("1", "1Mi", "1", "1Mi"), Policy: "sometimes"})
			return err
		},
		says: []string{"ApplicationPassword is missing", "limits.memory is 1Mi", `"sometimes"`},
		without: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := cache.NewDockerCache(ctx, "x", h, nil)
			return err
		},
	},
	"DockerBackend": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			process := backend.Process{
				Image: ownImage, Port: 8080, StartupSeconds: 30, Resources: ownSize, Credentials: pulumi.StringMap{"TOKEN": ownSecret("one")},
			}
			_, err := backend.NewDockerBackend(ctx, "shop", h, &backend.Args{
				API: process, Engine: &process, Scaling: backend.Scaling{Min: 2},
				RequestTimeoutSeconds: 30,
			}, nil)
			return err
		},
		registers: []string{"Container/shop-1", "Container/shop-2", "Container/shop-engine", "Container/shop-files"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := backend.NewDockerBackend(ctx, "shop", h, &backend.Args{
				API: backend.Process{Image: ownImage, LivenessPath: "alive"}, Scaling: backend.Scaling{Min: -1}, RequestTimeoutSeconds: -1,
			}, nil)
			return err
		},
		says: []string{"Min -1", "RequestTimeoutSeconds is -1", "API.Port is missing", `path "alive"`},
	},
	"DockerFrontend": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := frontend.NewDockerFrontend(ctx, "pages", h, &frontend.Args{Image: ownImage})
			return err
		},
		registers: []string{"Container/pages", "RemoteImage/pages-image"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := frontend.NewDockerFrontend(ctx, "pages", h, &frontend.Args{Port: 80, Env: map[string]string{"PORT": "1"}})
			return err
		},
		says: []string{"Port 80", "PORT follows from Port"},
	},
	"DockerEdge": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := ingress.NewDockerIngress(ctx, "door", h, &ingress.Args{
				Image: ownImage, ExporterImage: ownImage, Domain: "example.org",
				Routes: ingress.Routes{
					UI:  &ingress.Upstream{Host: pulumi.String("pages"), Port: 3000},
					API: &ingress.Upstream{Host: pulumi.String("shop"), Port: 8080},
				},
			}, ingress.DockerArgs{HTTPPort: 80})
			return err
		},
		registers: []string{"Container/door", "Container/door-exporter", "Container/door-prober", "Volume/door-nginx", "Volume/door-tls"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := ingress.NewDockerIngress(ctx, "door", h, &ingress.Args{
				TLS: ingress.TLS{Certificate: pulumi.String("x"), Secret: pulumi.String("x")},
			}, ingress.DockerArgs{HTTPPort: 443})
			return err
		},
		says: []string{"Certificate and Key go together", "Routes.UI is missing", "HTTPPort and PublicHTTPSPort are both 443", "a Docker host has no Secrets"},
		without: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := ingress.NewDockerIngress(ctx, "x", h, nil, ingress.DockerArgs{})
			return err
		},
	},
	"DockerMonitoring": {
		compose: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := monitoring.NewDockerMonitoring(ctx, "watch", h, &monitoring.Args{
				Images:      monitoring.Images{Prometheus: ownImage, Alertmanager: ownImage, Grafana: ownImage},
				Grafana:     monitoring.Grafana{Password: ownSecret("one")},
				ExternalURL: pulumi.String("https://watch.example.org"),
			}, monitoring.DockerArgs{})
			return err
		},
		registers: []string{"Container/watch-prometheus", "Container/watch-alertmanager", "Container/watch-grafana", "Volume/watch-grafana"},
		broken: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := monitoring.NewDockerMonitoring(ctx, "watch", h, &monitoring.Args{Prometheus: monitoring.Prometheus{Retention: "for ever"}}, monitoring.DockerArgs{})
			return err
		},
		says: []string{"for ever", "Password"},
		without: func(ctx *pulumi.Context, h *workload.Host) error {
			_, err := monitoring.NewDockerMonitoring(ctx, "x", h, nil, monitoring.DockerArgs{})
			return err
		},
	},
}

// TestComponentsOfAHostAlone: each works without the others, owns what it registers
// and leaves the choice of the provider to its user.
func TestComponentsOfAHostAlone(t *testing.T) {
	for name, c := range onOwnHost {
		t.Run(name, func(t *testing.T) {
			r := &recorder.Recording{}
			require.NoError(t, r.Program(recorder.Options{Stack: "any"}, func(ctx *pulumi.Context) error {
				h, err := ownHost(ctx)
				if err != nil {
					return err
				}
				return c.compose(ctx, h)
			}))
			var labels []string
			for _, x := range r.Resources {
				labels = append(labels, x.Label())
				if !strings.HasPrefix(x.Type, "alphapulse:index:") {
					assert.NotContains(t, x.Type, "pulumi:providers", "a provider inside of a component")
					assert.Contains(t, x.RPC.GetParent(), "alphapulse:index:"+name, "%s has another parent", x.Label())
				}
			}
			assert.Subset(t, labels, c.registers)
			containers, err := r.Containers()
			require.NoError(t, err)
			for _, container := range containers {
				assert.Equal(t, "none", container.NetworkMode, "%s has no link and is on a network", container.Name)
				assert.True(t, strings.HasPrefix(container.Name, "team-"), container.Name)
			}
		})
	}
}

// TestComponentsOfAHostRefuseBadArguments: with every mistake in one error, before
// anything is registered, and with no panic where arguments or the host are missing.
func TestComponentsOfAHostRefuseBadArguments(t *testing.T) {
	for name, c := range onOwnHost {
		for kind, create := range map[string]func(*pulumi.Context, *workload.Host) error{"with mistakes": c.broken, "without arguments": c.without} {
			if create == nil {
				continue
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				r := &recorder.Recording{}
				err := r.Program(recorder.Options{Stack: "any"}, func(ctx *pulumi.Context) error {
					h, err := ownHost(ctx)
					if err != nil {
						return err
					}
					return create(ctx, h)
				})
				require.Error(t, err)
				if kind == "with mistakes" {
					for _, part := range c.says {
						assert.Contains(t, err.Error(), part)
					}
				}
				require.Len(t, r.Resources, 1, "more than the host was registered")
			})
		}
		t.Run(name+" without a host", func(t *testing.T) {
			r := &recorder.Recording{}
			err := r.Program(recorder.Options{Stack: "any"}, func(ctx *pulumi.Context) error { return c.compose(ctx, nil) })
			assert.ErrorContains(t, err, "pass what NewHost returned")
			assert.Empty(t, r.Resources)
		})
	}
	r := &recorder.Recording{}
	err := r.Program(recorder.Options{Stack: "any"}, func(ctx *pulumi.Context) error {
		_, err := workload.NewHost(ctx, "place", &workload.HostArgs{Prefix: "a b", Links: []room.Link{{From: room.Of(room.Identity{Name: "x"}), To: room.Of(room.Identity{Name: "x"}), Zone: "y"}}})
		return err
	})
	assert.ErrorContains(t, err, `Prefix "a b"`)
	assert.ErrorContains(t, err, "link from x to itself")
	assert.Empty(t, r.Resources)
}
