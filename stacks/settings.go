package stacks

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Type is a setting's type, in the words of Pulumi.yaml.
type Type string

// The types that Pulumi.yaml knows.
const (
	String  Type = "string"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Array   Type = "array"
	Object  Type = "object"
)

// Setting is one key of a stack's configuration. Pulumi.yaml declares the same
// keys for the command line; a test holds the two equal.
type Setting struct {
	Key  string
	Type Type
	// Items is the type of an array's elements.
	Items Type
	// Default is used when the stack does not set the key; nil for a required key.
	// An empty one has a meaning, which Description tells.
	Default any
	// Secret values are set with `pulumi config set --secret`.
	Secret      bool
	Description string
	// Target is the only one on which the setting has a meaning; "" for every one.
	Target string
}

// isDefault tells whether a raw value is the default.
func (s Setting) isDefault(raw string) bool {
	switch s.Type {
	case Array, Object:
		def, err := json.Marshal(s.Default)
		if err != nil {
			return false
		}
		var a, b any
		return json.Unmarshal([]byte(raw), &a) == nil && json.Unmarshal(def, &b) == nil && reflect.DeepEqual(a, b)
	default:
		return strings.TrimSpace(raw) == fmt.Sprint(s.Default)
	}
}

// only marks settings that have a meaning on one target alone.
func only(target string, s Setting) Setting {
	s.Target = target
	s.Description += " Only with target " + target + "."
	return s
}

func onCluster(s Setting) Setting { return only(TargetKubernetes, s) }

func onDocker(s Setting) Setting { return only(TargetDocker, s) }

func required(key, description string) Setting {
	return Setting{Key: key, Type: String, Description: description}
}

func text(key, def, description string) Setting {
	return Setting{Key: key, Type: String, Default: def, Description: description}
}

func secret(key, description string) Setting {
	return Setting{Key: key, Type: String, Default: "", Secret: true, Description: description}
}

func number(key string, def int, description string) Setting {
	return Setting{Key: key, Type: Integer, Default: def, Description: description}
}

func toggle(key string, def bool, description string) Setting {
	return Setting{Key: key, Type: Boolean, Default: def, Description: description}
}

func list(key string, def []string, description string) Setting {
	return Setting{Key: key, Type: Array, Items: String, Default: def, Description: description}
}

func object(key string, def map[string]any, description string) Setting {
	return Setting{Key: key, Type: Object, Default: def, Description: description}
}

func resources(key, cpuRequest, memoryRequest, cpuLimit, memoryLimit, who string) Setting {
	return object(key, map[string]any{
		"requests": map[string]any{"cpu": cpuRequest, "memory": memoryRequest},
		"limits":   map[string]any{"cpu": cpuLimit, "memory": memoryLimit},
	}, "Requests and limits of "+who+". Keys left out keep their defaults.")
}

// Settings returns every setting of the program. Sizes are those of the first
// manifests of the application; a stack file changes what it must.
func Settings() []Setting { return slices.Clone(settings) }

var settings = []Setting{
	// Where and how.
	text("target", "kubernetes", "Where the stack runs: kubernetes, or docker for one Docker host. It cannot change while there is data."),
	required("domain", "The hosts are alphapulse., api., dashboard. and monitoring. below this domain."),
	onCluster(text("namespace", "", "Namespace of every object; by default alphapulse- and the stack's name. It cannot change later.")),
	onCluster(text("kubeconfig", "", "Path or content of the kubeconfig; by default KUBECONFIG or ~/.kube/config.")),
	onCluster(text("kubeContext", "", "Context of the kubeconfig; by default its current one.")),
	toggle("protect", false, "Production's guard: a destroy is refused, stateful things outlive one that is forced, and the tag latest is refused."),
	onCluster(toggle("spreadRequired", false, "Leave a replica pending rather than put two of a workload on one host.")),
	onCluster(text("storageClass", "", "StorageClass of new volumes; by default the cluster's default class. Existing volumes keep theirs.")),
	text("dockerHost", "", "Address of the Docker engine that the stack runs on, or that builds its images; by default DOCKER_HOST or the local socket."),
	onDocker(toggle("deleteVolumes", false, "Let a destroy delete the data, too; by default it stays on the host and is found again.")),
	secret("imagePullCredentials", "Content of a Docker config.json with credentials for private images."),

	// Images.
	text("databaseImage", "docker.io/timescale/timescaledb:2.19.3-pg17", "TimescaleDB for PostgreSQL 17."),
	text("databaseExporterImage", "docker.io/prometheuscommunity/postgres-exporter:v0.19.1", "Prometheus exporter of the database."),
	text("cacheImage", "docker.io/library/redis:8.0.6", "Redis."),
	text("cacheExporterImage", "docker.io/oliver006/redis_exporter:v1.88.0", "Prometheus exporter of the cache."),
	text("backendImage", "docker.io/alphapulse/backend:0.1.0", "The application's server side: API, engine and dashboard."),
	text("frontendImage", "docker.io/alphapulse/frontend:0.1.0", "The application's user interface."),
	text("edgeImage", "docker.io/nginxinc/nginx-unprivileged:1.30.6", "nginx, 1.28 or later."),
	text("edgeExporterImage", "docker.io/nginx/nginx-prometheus-exporter:1.5.1", "Prometheus exporter of the edge."),
	text("prometheusImage", "docker.io/prom/prometheus:v3.16.0", "Prometheus."),
	text("alertmanagerImage", "docker.io/prom/alertmanager:v0.34.2", "Alertmanager."),
	text("grafanaImage", "docker.io/grafana/grafana:13.2.3", "Grafana."),
	onCluster(text("kubeStateMetricsImage", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0", "kube-state-metrics.")),
	toggle("buildImages", false, "Build the backend's and the frontend's image from docker/ on a Docker engine, and deploy those instead of backendImage and frontendImage."),
	text("registry", "", "Where built images are pushed, e.g. ghcr.io/acme for ghcr.io/acme/backend and ghcr.io/acme/frontend. On one Docker host they need not be pushed."),
	text("registryUsername", "", "User that pushes to the registry; by default it is asked without credentials."),
	secret("registryPassword", "Password or token of registryUsername."),

	// Database.
	resources("databaseResources", "1", "2Gi", "2", "4Gi", "the database; its memory settings follow from the limits"),
	text("databaseStorage", "50Gi", "Size of the database's volume. It can grow, never shrink. A Docker volume has no bound: the write-ahead log's follows from it."),
	number("databaseMaxConnections", 100, "Connections that the database accepts, 25 to 1000 and as many as its memory carries."),
	list("databaseAliases", []string{}, "Further Service names of the database, for builds that hard-code a host name."),

	// Cache.
	resources("cacheResources", "500m", "1Gi", "1", "2Gi", "the cache; its maxmemory follows from the limit"),
	onCluster(text("cacheStorage", "10Gi", "Size of the cache's volume. It can grow, never shrink.")),
	list("cacheAliases", []string{}, "Further Service names of the cache, for builds that hard-code a host name."),

	// Backend.
	resources("backendResources", "500m", "1Gi", "1", "2Gi", "one API pod"),
	number("backendMinReplicas", 3, "Fewest API pods; all containers of the API on a Docker host."),
	onCluster(number("backendMaxReplicas", 10, "Most API pods.")),
	onCluster(number("backendCpuUtilization", 70, "CPU target of the autoscaler, in percent of the request.")),
	onCluster(number("backendMemoryUtilization", 80, "Memory target of the autoscaler, in percent of the request.")),
	list("backendCommand", []string{}, "Entrypoint of the API; by default the image's own."),
	list("backendArgs", []string{"api"}, "Arguments of the API's entrypoint."),
	number("backendPort", 8000, "Port that the API listens on."),
	onCluster(text("backendLivenessPath", "/health", "Path that answers while the API works; - for none.")),
	onCluster(text("backendReadinessPath", "/ready", "Path that answers while the API can serve; - for none.")),
	text("backendMetricsPath", "/metrics", "Path of the API's metrics; - for a build that has none."),
	number("backendStartupSeconds", 180, "How long the API, the engine and the dashboard may take to start."),
	object("backendEnv", map[string]any{}, "Further plain variables of API, engine and dashboard."),
	{Key: "backendSecretEnv", Type: Object, Default: map[string]any{}, Secret: true, Description: "Further secret variables of API and engine, e.g. BINANCE_API_KEY. Set as one secret object."},
	toggle("engineEnabled", true, "Run the singleton trading engine."),
	resources("engineResources", "500m", "1Gi", "1", "2Gi", "the engine"),
	list("engineArgs", []string{"engine"}, "Arguments of the engine's entrypoint."),
	text("engineMetricsPath", "/metrics", "Path of the engine's metrics on metricsPort; - for a build that has none."),
	onCluster(text("engineLivenessPath", "/health", "Path that answers on metricsPort while the engine works; - for none.")),
	toggle("tradingEnabled", false, "Let the engine trade."),
	toggle("paperTrading", true, "Trade with simulated money when trading is enabled."),
	toggle("dashboardEnabled", true, "Run the real-time dashboard."),
	resources("dashboardResources", "250m", "256Mi", "500m", "512Mi", "the dashboard"),
	text("dashboardImage", "", "Image of the dashboard; by default backendImage."),
	list("dashboardArgs", []string{"dashboard"}, "Arguments of the dashboard's entrypoint."),
	text("dashboardMetricsPath", "/metrics", "Path of the dashboard's metrics; - for a build that has none."),
	onCluster(text("dashboardHealthPath", "/api/health", "Path that answers while the dashboard works.")),
	number("dashboardPort", 8050, "Port that the dashboard listens on."),

	// What the application reads from the shared ConfigMap.
	toggle("debug", false, "Verbose logging of the application."),
	number("metricsPort", 9090, "Port of the engine's metrics."),
	number("maxSymbols", 3000, "Most market symbols that the application follows, 1 to 10000."),
	text("maxPortfolioRisk", "0.1", "Largest part of the portfolio at risk, a fraction from 0 to 1."),
	number("cacheTtlSeconds", 300, "How long a cached read is served."),
	number("workerThreads", 4, "Worker threads of one process."),
	number("maxConnections", 100, "Most connections of one process to the database, as the application reads it."),
	number("requestTimeoutSeconds", 30, "Longest time of one request, and of the drain of a stopping pod."),
	toggle("stressTestEnabled", false, "The application's stress-test endpoints."),
	toggle("complianceReporting", true, "The application's compliance reports."),

	// Frontend.
	onCluster(number("frontendReplicas", 2, "Frontend pods, at least 2.")),
	resources("frontendResources", "250m", "512Mi", "500m", "1Gi", "one frontend pod"),
	object("frontendEnv", map[string]any{}, "Further plain variables of the frontend."),
	onCluster(text("frontendHealthPath", "/healthz", "Path that answers while the frontend works.")),
	text("frontendMetricsPath", "/metrics", "Path of the frontend's metrics; - for a build that has none."),

	// Edge.
	onCluster(text("edgeExposure", "loadBalancer", "Way in: nodePort, loadBalancer, or ingress for a standard Ingress object of edgeIngressClass.")),
	onCluster(text("edgeIngressClass", "", "Class of the Ingress object; needed when edgeExposure is ingress.")),
	onCluster(number("edgeHttpNodePort", 0, "Node port of plain HTTP, 30000 to 32767; 0 lets the cluster choose.")),
	onCluster(number("edgeHttpsNodePort", 0, "Node port of HTTPS, 30000 to 32767; 0 lets the cluster choose.")),
	number("edgePublicPort", 443, "Port of HTTPS as users see it; the URLs and redirects carry it. A Docker host publishes it."),
	onDocker(number("edgePublicHttpPort", 80, "Published port of plain HTTP, which redirects to HTTPS; 0 for none.")),
	onCluster(number("edgeReplicas", 2, "nginx pods, at least 2.")),
	resources("edgeResources", "250m", "128Mi", "1", "256Mi", "one nginx pod"),
	list("edgeTrustedProxies", []string{}, "CIDRs of proxies in front of the edge whose X-Forwarded-For is believed."),
	number("edgeApiRate", 10, "API requests a second from one address."),
	number("edgeApiBurst", 20, "API requests from one address beyond the rate before they are refused."),
	number("edgeLoginRate", 1, "Login requests a second from one address."),
	number("edgeWebsocketRate", 5, "New WebSockets a second from one address."),
	number("edgeConnections", 20, "Connections at once from one address."),
	number("edgeHstsSeconds", 31536000, "How long a browser insists on HTTPS after a visit; 0 asks for nothing."),
	text("tlsMode", "development", "development: a certificate authority of the stack's own, stable across runs; provided: tlsCertificate and tlsPrivateKey."),
	text("tlsCertificate", "", "PEM certificate chain for the four hosts, when tlsMode is provided."),
	secret("tlsPrivateKey", "PEM private key of tlsCertificate."),

	// Monitoring.
	resources("prometheusResources", "500m", "1Gi", "1", "2Gi", "Prometheus"),
	text("prometheusStorage", "20Gi", "Size of Prometheus' volume. It can grow, never shrink. A Docker volume has no bound: the oldest samples go by it."),
	text("prometheusRetention", "200h", "How long Prometheus keeps samples."),
	resources("grafanaResources", "250m", "512Mi", "500m", "1Gi", "Grafana"),
	onCluster(text("grafanaStorage", "10Gi", "Size of Grafana's volume. It can grow, never shrink.")),
	resources("alertmanagerResources", "50m", "64Mi", "200m", "128Mi", "Alertmanager"),
	onCluster(resources("kubeStateMetricsResources", "50m", "64Mi", "200m", "128Mi", "kube-state-metrics")),
	onDocker(number("grafanaLoopbackPort", 0, "Port of Grafana on the host's loopback address; 0 for none.")),
	onDocker(number("prometheusLoopbackPort", 0, "Port of Prometheus on the host's loopback address; 0 for none.")),
	secret("alertWebhookUrl", "URL that Alertmanager posts alerts to; without it alerts show in the user interfaces only."),
	secret("heartbeatWebhookUrl", "URL that Alertmanager posts the dead-man's switch to."),

	// Network.
	onCluster(list("egressCidrs", []string{"0.0.0.0/0"}, "Networks that API and engine may reach on TCP 443, for exchanges and news; private addresses only where listed explicitly.")),
}
