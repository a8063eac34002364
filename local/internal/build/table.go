package build

import "strings"

// Versions of what the table builds. go.mod of each module pins the code; these
// are what the binaries say of themselves and what plugin folders are named.
const (
	KubernetesVersion         = "v1.37.2"
	PulumiVersion             = "v3.259.0"
	PulumiLanguageGoVersion   = "v3.66.0"
	KubernetesProviderVersion = "v4.25.0"
	RandomProviderVersion     = "v4.18.0"
	DockerProviderVersion     = "v4.11.2"
	TraefikVersion            = "v3.7.13"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// A Tool is one program, or one folder of pages, that Ensure can build.
type Tool struct {
	Name    string // file name of the binary or of the folder, unique in the table
	Module  string // folder of its module, relative to the repository
	Package string // import path, or a path inside the module
}

// Families of units: what they share is compiled by the first and found by the others,
// unless two of them compile at once.
const (
	kubernetesClients = "k8s.io/client-go and the API types"
	pulumiSDK         = "the SDKs of Pulumi, which the program is on, too"
)

// table lists what can be built, in the order in which it is built when everything is
// missing: the longest way to a deployed stack first. The cluster leads because it
// starts and loads its images while the rest compiles; then what Pulumi consists of,
// whose packages follow one another (see the families); then the programs of images,
// the largest first, so that no long one is left alone at the end.
var table = []unit{
	{
		module: "etcd",
		tools:  map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
		memory: 400 * mib,
	},
	{
		module: "kubernetes",
		tools: map[string]string{
			"hyperkube":      "./cmd/hyperkube",
			"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
			"coredns":        "./cmd/coredns",
		},
		calls: map[string]string{
			"kube-apiserver":          "hyperkube",
			"kube-controller-manager": "hyperkube",
			"kube-scheduler":          "hyperkube",
			"kubelet":                 "hyperkube",
			"kube-proxy":              "hyperkube",
			"kubectl":                 "hyperkube",
			"netpol":                  "hyperkube",
		},
		family: kubernetesClients,
		stamp: map[string]string{
			"k8s.io/component-base/version.gitVersion":   KubernetesVersion,
			"k8s.io/component-base/version.gitMajor":     "1",
			"k8s.io/component-base/version.gitMinor":     "37",
			"k8s.io/component-base/version.gitTreeState": "clean",
			"k8s.io/client-go/pkg/version.gitVersion":    KubernetesVersion,
		},
		memory: 3 * gib,
	},
	{
		module: "helpers",
		tools:  map[string]string{"language-host": "./cmd/language-host", "pause": "./cmd/pause", "probe": "./cmd/probe"},
		memory: 300 * mib,
	},
	{
		module: "local-path-provisioner",
		tools:  map[string]string{"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
		stamp:  map[string]string{"main.VERSION": "v0.0.30"},
		family: kubernetesClients,
		memory: 600 * mib,
	},
	{
		module: "provider-kubernetes",
		tools:  map[string]string{"pulumi-resource-kubernetes": "."},
		stamp: map[string]string{
			"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version": strings.TrimPrefix(KubernetesProviderVersion, "v"),
		},
		family:   pulumiSDK,
		memory:   4400 * mib,
		generate: kubernetesProviderSchema,
	},
	{
		module: "pulumi",
		tools: map[string]string{
			"pulumi":                 "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
			"pulumi-resource-random": "./cmd/pulumi-resource-random",
		},
		stamp: map[string]string{
			"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PulumiVersion,
			"main.providerVersion": RandomProviderVersion,
		},
		family: pulumiSDK,
		memory: 1800 * mib,
	},
	{
		module: "pulumi-language-go",
		tools:  map[string]string{"pulumi-language-go": "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go"},
		stamp: map[string]string{
			"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PulumiLanguageGoVersion,
		},
		memory: 400 * mib,
	},
	{
		module: "prometheus",
		tools:  map[string]string{"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
		stamp:  map[string]string{"github.com/prometheus/common/version.Version": "3.16.0"},
		// Discovery in clouds drags in every cloud's client.
		tags:   "remove_all_sd,enable_kubernetes_sd,enable_dns_sd",
		family: kubernetesClients,
		memory: 1500 * mib,
	},
	{
		module: "kube-state-metrics",
		tools:  map[string]string{"kube-state-metrics": "k8s.io/kube-state-metrics/v2"},
		stamp:  map[string]string{"github.com/prometheus/common/version.Version": "v2.20.0"},
		family: kubernetesClients,
		memory: 1000 * mib,
	},
	{
		dir:    "docker/agent",
		tools:  map[string]string{"agent": "."},
		memory: 400 * mib,
	},
	{
		dir:      "docker/frontend",
		tools:    map[string]string{"frontend": "."},
		memory:   600 * mib,
		generate: userInterface,
	},
	{
		module: "prometheus-ui",
		tools:  map[string]string{"prometheus-ui": "web/ui"},
		memory: 1000 * mib,
		pages:  prometheusPages,
	},
	{
		module: "grafana",
		tools:  map[string]string{"grafana-server": "github.com/grafana/grafana/pkg/cmd/grafana-server"},
		stamp:  map[string]string{"main.version": "6.1.6"},
		memory: 800 * mib,
	},
	{
		module: "exporters",
		tools: map[string]string{
			"nginx-prometheus-exporter": "github.com/nginx/nginx-prometheus-exporter",
			"postgres_exporter":         "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter",
			"redis_exporter":            "github.com/oliver006/redis_exporter",
			"statsd_exporter":           "github.com/prometheus/statsd_exporter",
		},
		stamp: map[string]string{
			"main.BuildVersion": "v1.88.0", // redis_exporter; the others take theirs from the module
		},
		memory: 600 * mib,
	},
	{
		dir:    "docker/backend",
		tools:  map[string]string{"alphapulse": "."},
		memory: 600 * mib,
	},
	{
		module: "provider-docker",
		tools:  map[string]string{"pulumi-resource-docker": "."},
		stamp:  map[string]string{"main.providerVersion": DockerProviderVersion},
		// Compose support drags in BuildKit's and several clouds' clients.
		tags:   "no_compose",
		family: pulumiSDK,
		memory: 1500 * mib,
	},
	{
		module: "versitygw",
		tools:  map[string]string{"versitygw": "github.com/versity/versitygw/cmd/versitygw"},
		stamp:  map[string]string{"main.Version": "v1.8.0"},
		memory: 1500 * mib,
	},
	{
		module: "otelcol",
		tools:  map[string]string{"otelcol-contrib": "."},
		stamp:  map[string]string{"main.version": "0.165.1"},
		memory: 1000 * mib,
	},
	{
		module: "victorialogs",
		tools:  map[string]string{"victoria-logs": "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"},
		stamp:  map[string]string{"github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version": "victoria-logs-v1.52.1"},
		memory: 700 * mib,
	},
	{
		module: "jaeger",
		tools:  map[string]string{"jaeger": "github.com/jaegertracing/jaeger/cmd/jaeger"},
		stamp:  map[string]string{"github.com/jaegertracing/jaeger/internal/version.latestVersion": "v2.13.0"},
		memory: 1500 * mib,
	},
	{
		module: "oauth2-proxy",
		tools:  map[string]string{"oauth2-proxy": "github.com/oauth2-proxy/oauth2-proxy/v7"},
		stamp:  map[string]string{"github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION": "v7.15.6"},
		memory: 700 * mib,
	},
	{
		module: "dex",
		tools:  map[string]string{"dex": "github.com/dexidp/dex/cmd/dex"},
		stamp:  map[string]string{"main.version": "v2.45.1"},
		memory: 1000 * mib,
	},
	{
		module: "certmanager",
		tools:  map[string]string{"cert-manager": "./cmd/cert-manager", "acmesolver": "./cmd/acmesolver"},
		stamp:  map[string]string{"github.com/cert-manager/cert-manager/pkg/util.AppVersion": "v1.21.2"},
		family: kubernetesClients,
		memory: 1500 * mib,
	},
	{
		module:   "traefik",
		tools:    map[string]string{"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
		stamp:    map[string]string{"github.com/traefik/traefik/v3/pkg/version.Version": TraefikVersion},
		family:   kubernetesClients,
		memory:   3 * gib,
		generate: legoWithoutClouds,
	},
}

// Tools returns what Ensure can build, in the table's order.
func Tools() []Tool {
	var all []Tool
	for _, u := range table {
		for _, name := range u.names() {
			all = append(all, Tool{Name: name, Module: u.folder(), Package: u.packages()[name]})
		}
	}
	return all
}
