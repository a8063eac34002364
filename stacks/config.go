// Package stacks turns a stack's configuration into components: settings are read
// and checked first, all of them, before any resource is registered.
package stacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/ingress/certs"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/platform"
)

// Config is a stack's configuration, checked. Secret values are Pulumi secrets
// only from the moment they are handed to a component: nothing prints a Config.
type Config struct {
	Target               string
	Domain               string
	Namespace            string
	Kubeconfig           string
	KubeContext          string
	Protect              bool
	SpreadRequired       bool
	StorageClass         string
	ImagePullCredentials string

	Images      Images
	Build       Build
	Database    Database
	Cache       Cache
	Backend     Backend
	Application platform.Settings
	Frontend    Frontend
	Edge        Edge
	Monitoring  Monitoring
	EgressCIDRs []string
	Docker      Docker
}

// The values of the setting target.
const (
	TargetKubernetes = "kubernetes"
	TargetDocker     = "docker"
)

// Docker are the settings of a Docker host.
type Docker struct {
	// Prefix of every name on the host.
	Prefix                      string
	Host                        string
	HTTPPort                    int
	DeleteVolumes               bool
	GrafanaPort, PrometheusPort int
	// Registries are those that ImagePullCredentials are for.
	Registries []string
}

// Images are the references of every image.
type Images struct {
	Database, DatabaseExporter                          string
	Cache, CacheExporter                                string
	Backend, Dashboard, Frontend                        string
	Edge, EdgeExporter                                  string
	Prometheus, Alertmanager, Grafana, KubeStateMetrics string
}

// Build says whether the stack builds the application's images, and where they go.
type Build struct {
	Enabled bool
	// Registry is the part of the references before /backend and /frontend.
	Registry           string
	Username, Password string
}

// Database are the database's settings.
type Database struct {
	Resources      platform.Resources
	Storage        resource.Quantity
	MaxConnections int
	Aliases        []string
}

// Cache are the cache's settings.
type Cache struct {
	Resources platform.Resources
	Storage   resource.Quantity
	Aliases   []string
}

// Backend are the settings of API, engine and dashboard.
type Backend struct {
	Resources                                platform.Resources
	MinReplicas, MaxReplicas                 int
	CPUUtilization, MemoryUtilization        int
	Command, Args                            []string
	Port                                     int
	LivenessPath, ReadinessPath, MetricsPath string
	StartupSeconds                           int
	Env, SecretEnv                           map[string]string

	EngineEnabled                         bool
	EngineResources                       platform.Resources
	EngineArgs                            []string
	EngineLivenessPath, EngineMetricsPath string
	TradingEnabled, PaperTrading          bool

	DashboardEnabled     bool
	DashboardResources   platform.Resources
	DashboardArgs        []string
	DashboardHealthPath  string
	DashboardMetricsPath string
}

// Frontend are the settings of the user interface.
type Frontend struct {
	Replicas    int
	Resources   platform.Resources
	Env         map[string]string
	HealthPath  string
	MetricsPath string
}

// The values of the setting edgeExposure.
const (
	ExposureNodePort     = "nodePort"
	ExposureLoadBalancer = "loadBalancer"
	ExposureIngress      = "ingress"
)

// The values of the setting tlsMode.
const (
	TLSDevelopment = "development"
	TLSProvided    = "provided"
)

// Edge are the settings of the way in.
type Edge struct {
	Exposure                    string
	IngressClass                string
	HTTPNodePort, HTTPSNodePort int
	PublicPort                  int
	Replicas                    int
	Resources                   platform.Resources
	TrustedProxies              []string
	APIRate, APIBurst           int
	LoginRate, WebSocketRate    int
	Connections                 int
	HSTSSeconds                 int
	TLSMode                     string
	TLSCertificate              string
	TLSPrivateKey               string
}

// Monitoring are the settings of Prometheus, Alertmanager and Grafana.
type Monitoring struct {
	PrometheusResources       platform.Resources
	PrometheusStorage         resource.Quantity
	Retention                 string
	GrafanaResources          platform.Resources
	GrafanaStorage            resource.Quantity
	AlertmanagerResources     platform.Resources
	KubeStateMetricsResources platform.Resources
	AlertWebhookURL           string
	HeartbeatWebhookURL       string
}

// Parse reads the configuration of the stack called stack. values has the stack's
// keys without the project's name; secretKeys are those that were stored as
// secrets; before is what the stack's last update left. The error names every
// problem, one a line.
func Parse(stack string, values map[string]string, secretKeys []string, before Previous) (*Config, error) {
	r := newReader(values)
	r.unknownKeys()
	for _, s := range settings {
		// The command line passes the defaults, too; an empty one is no secret.
		if v := values[s.Key]; v != "" && v != "{}" && s.Secret && !slices.Contains(secretKeys, s.Key) {
			r.problem(s.Key, "the value is stored in plain text: set it again with `pulumi config set --secret %s`, and renew it", s.Key)
		}
	}

	c := &Config{
		Target:               r.oneOf("target", TargetKubernetes, TargetDocker),
		Domain:               r.text("domain"),
		Namespace:            r.text("namespace"),
		Kubeconfig:           r.text("kubeconfig"),
		KubeContext:          r.text("kubeContext"),
		Protect:              r.toggle("protect"),
		SpreadRequired:       r.toggle("spreadRequired"),
		StorageClass:         r.text("storageClass"),
		ImagePullCredentials: r.text("imagePullCredentials"),
		EgressCIDRs:          r.cidrs("egressCidrs"),
	}
	r.elsewhere(c.Target)
	c.where(r, stack)
	c.images(r)
	c.build(r)
	c.stateful(r)
	c.backend(r)
	c.frontend(r)
	c.edge(r)
	c.monitoring(r)
	c.docker(r, stack)
	c.keeps(r, before)
	if err := r.err(); err != nil {
		return nil, fmt.Errorf("the configuration of stack %s has %d problem(s), nothing was changed:\n%w", stack, len(r.problems), err)
	}
	return c, nil
}

func (c *Config) where(r *reader, stack string) {
	if c.Domain == "" {
		r.problem("domain", "it is not set: `pulumi config set domain example.com` makes alphapulse.example.com the user interface's host")
	} else if problems := validation.IsDNS1123Subdomain(c.Domain); len(problems) > 0 {
		r.problem("domain", "%q is not a domain: use lower-case letters, digits, dots and dashes, e.g. example.com", c.Domain)
	} else if len("dashboard."+c.Domain) > 253 {
		r.problem("domain", "%q is too long for the host names below it", c.Domain)
	}
	if c.Target != TargetKubernetes {
		return
	}
	if c.Namespace == "" {
		c.Namespace = "alphapulse-" + strings.ToLower(stack)
	}
	if problems := validation.IsDNS1123Label(c.Namespace); len(problems) > 0 {
		r.problem("namespace", "%q cannot be a namespace: %s", c.Namespace, problems[0])
	}
	if reserved := []string{"default", "kube-system", "kube-public", "kube-node-lease"}; slices.Contains(reserved, c.Namespace) {
		r.problem("namespace", "%q belongs to the cluster: choose one of the stack's own", c.Namespace)
	}
	if v := c.StorageClass; v != "" {
		if problems := validation.IsDNS1123Subdomain(v); len(problems) > 0 {
			r.problem("storageClass", "%q cannot be a StorageClass: %s", v, problems[0])
		}
	}
}

// docker reads what a Docker host needs, and what an engine that builds does.
func (c *Config) docker(r *reader, stack string) {
	c.Docker = Docker{
		Prefix:         "alphapulse-" + strings.ToLower(stack),
		Host:           r.text("dockerHost"),
		HTTPPort:       r.number("edgePublicHttpPort", 0, 65535),
		DeleteVolumes:  r.toggle("deleteVolumes"),
		GrafanaPort:    r.number("grafanaLoopbackPort", 0, 65535),
		PrometheusPort: r.number("prometheusLoopbackPort", 0, 65535),
	}
	d := c.Docker
	if d.Host != "" && c.Target != TargetDocker && !c.Build.Enabled {
		r.problem("dockerHost", "it has no meaning with target %s and buildImages false: `pulumi config rm dockerHost` removes it", c.Target)
	}
	if u, err := url.Parse(d.Host); d.Host != "" && (err != nil || !slices.Contains([]string{"unix", "tcp", "ssh"}, u.Scheme)) {
		r.problem("dockerHost", "%q is not the address of an engine: write e.g. unix:///var/run/docker.sock or ssh://user@host", d.Host)
	}
	if c.Target != TargetDocker {
		return
	}
	if c.Protect && d.DeleteVolumes {
		r.problem("deleteVolumes", "true contradicts protect true: a protected stack's data outlives a destroy; set one of them to false")
	}
	taken := map[int]string{c.Edge.PublicPort: "edgePublicPort"}
	for _, p := range []struct {
		key  string
		port int
	}{{"edgePublicHttpPort", d.HTTPPort}, {"grafanaLoopbackPort", d.GrafanaPort}, {"prometheusLoopbackPort", d.PrometheusPort}} {
		if p.port == 0 {
			continue
		}
		if other := taken[p.port]; other != "" {
			r.problem(p.key, "%d is %s too: choose two ports", p.port, other)
		}
		taken[p.port] = p.key
	}
	if c.ImagePullCredentials == "" {
		return
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal([]byte(c.ImagePullCredentials), &file); err != nil || len(file.Auths) == 0 {
		r.problem("imagePullCredentials", "the value is no config.json of Docker with a registry below auths") // a secret: not repeated here
	}
	c.Docker.Registries = slices.Sorted(maps.Keys(file.Auths))
}

func (c *Config) images(r *reader) {
	image := func(key string) string { return r.image(key, c.Protect) }
	c.Images = Images{
		Database: image("databaseImage"), DatabaseExporter: image("databaseExporterImage"),
		Cache: image("cacheImage"), CacheExporter: image("cacheExporterImage"),
		Backend: image("backendImage"), Frontend: image("frontendImage"),
		Edge: image("edgeImage"), EdgeExporter: image("edgeExporterImage"),
		Prometheus: image("prometheusImage"), Alertmanager: image("alertmanagerImage"),
		Grafana: image("grafanaImage"), KubeStateMetrics: image("kubeStateMetricsImage"),
	}
	c.Images.Dashboard = c.Images.Backend
	if r.text("dashboardImage") != "" {
		c.Images.Dashboard = image("dashboardImage")
	}
}

// build reads who makes the application's images. A value that would have no effect
// is refused: a registry without a build pushes nothing.
func (c *Config) build(r *reader) {
	c.Build = Build{
		Enabled:  r.toggle("buildImages"),
		Registry: r.text("registry"),
		Username: r.text("registryUsername"),
		Password: r.text("registryPassword"),
	}
	b := c.Build
	if !b.Enabled {
		for _, key := range []string{"registry", "registryUsername", "registryPassword"} {
			if r.text(key) != "" {
				r.problem(key, "it is set, and buildImages is false, so nothing is pushed: set buildImages true, or `pulumi config rm %s`; to pull private images set imagePullCredentials", key)
			}
		}
		return
	}
	for _, key := range []string{"backendImage", "frontendImage"} {
		if v := r.text(key); v != r.setting(key).Default {
			r.problem(key, "%q is named, and buildImages is true: `pulumi config rm %s` to build the image, or set buildImages false to deploy the named one", v, key)
		}
	}
	if b.Registry == "" && c.Target == TargetKubernetes {
		r.problem("registry", "it is not set, and buildImages is true: nodes pull what a registry has, set e.g. ghcr.io/acme")
	} else if b.Registry == "" && b.Username+b.Password != "" {
		r.problem("registry", "it is not set, and its credentials are: set e.g. ghcr.io/acme, or remove registryUsername and registryPassword")
	} else if b.Registry == "" {
		return // the engine that the stack runs on builds its images
	} else if named, err := reference.ParseNormalizedNamed(b.Registry + "/backend"); err != nil || !reference.IsNameOnly(named) {
		r.problem("registry", "%q is not a registry: write host, port and path without scheme and tag, in lower case, e.g. ghcr.io/acme", b.Registry)
	}
	if b.Username != "" && b.Password == "" {
		r.problem("registryPassword", "it is not set, and registryUsername is: `pulumi config set --secret registryPassword`, or remove both")
	}
	if b.Username == "" && b.Password != "" {
		r.problem("registryUsername", "it is not set, and registryPassword is: name the user, or remove both")
	}
}

func (c *Config) stateful(r *reader) {
	c.Database = Database{
		Resources:      r.resources("databaseResources"),
		Storage:        r.storage("databaseStorage"),
		MaxConnections: r.number("databaseMaxConnections", database.LeastConnections, 1000),
		Aliases:        r.serviceNames("databaseAliases"),
	}
	c.Cache = Cache{
		Resources: r.resources("cacheResources"),
		Storage:   r.storage("cacheStorage"),
		Aliases:   r.serviceNames("cacheAliases"),
	}
	db, store := c.Database, c.Cache
	least := func(key string, have, want resource.Quantity, why string) {
		if have.Cmp(want) < 0 {
			r.problem(key, "%s is too small, %s: set at least %s", have.String(), why, want.String())
		}
	}
	least("databaseResources", db.Resources.Limits.Memory, database.LeastMemory, "as limits.memory PostgreSQL with TimescaleDB does not start with it")
	least("databaseStorage", db.Storage, database.LeastStorage, "the write-ahead log does not fit")
	if most := database.MostConnections(db.Resources.Limits.Memory.Value()); db.MaxConnections > most {
		r.problem("databaseMaxConnections", "%d is too many for databaseResources.limits.memory %s: set at most %d or raise the memory",
			db.MaxConnections, db.Resources.Limits.Memory.String(), most)
	}
	least("cacheResources", store.Resources.Limits.Memory, cache.LeastMemory, "as limits.memory Redis does not start with it")
	file := resource.NewQuantity(cache.LeastStorage(cache.MaxMemory(store.Resources.Limits.Memory.Value())), resource.BinarySI)
	if c.Target == TargetDocker {
		c.Cache.Storage, store.Storage = *file, *file // no setting, and no bound, there
	}
	least("cacheStorage", store.Storage, *file, "the append-only file of cacheResources.limits.memory "+store.Resources.Limits.Memory.String()+" may outgrow it")
	taken := map[string]string{}
	for key, aliases := range map[string][]string{"databaseAliases": db.Aliases, "cacheAliases": store.Aliases} {
		for _, a := range aliases {
			if other := taken[a]; other != "" || slices.Contains(serviceNames, a) {
				r.problem(key, "%q is the name of another Service of the stack already: remove it", a)
			}
			taken[a] = key
		}
	}
}

// serviceNames are the Services that the components create themselves.
var serviceNames = []string{
	databaseName, databaseName + "-headless", cacheName, cacheName + "-headless",
	backendName, backendName + "-pods", backendName + "-dashboard", backendName + "-dashboard-pods",
	frontendName, frontendName + "-pods", edgeName,
	monitoringName + "-prometheus", monitoringName + "-alertmanager", monitoringName + "-grafana",
}

func (c *Config) backend(r *reader) {
	c.Backend = Backend{
		Resources:         r.resources("backendResources"),
		MinReplicas:       r.number("backendMinReplicas", 1, 100),
		MaxReplicas:       r.number("backendMaxReplicas", 1, 100),
		CPUUtilization:    r.number("backendCpuUtilization", 10, 100),
		MemoryUtilization: r.number("backendMemoryUtilization", 10, 100),
		Command:           r.list("backendCommand"),
		Args:              r.list("backendArgs"),
		Port:              r.port("backendPort"),
		LivenessPath:      r.path("backendLivenessPath"),
		ReadinessPath:     r.path("backendReadinessPath"),
		MetricsPath:       r.path("backendMetricsPath"),
		StartupSeconds:    r.number("backendStartupSeconds", 10, 1800),
		Env:               r.strings("backendEnv"),
		SecretEnv:         r.strings("backendSecretEnv"),

		EngineEnabled:      r.toggle("engineEnabled"),
		EngineResources:    r.resources("engineResources"),
		EngineArgs:         r.list("engineArgs"),
		EngineLivenessPath: r.path("engineLivenessPath"),
		EngineMetricsPath:  r.path("engineMetricsPath"),
		TradingEnabled:     r.toggle("tradingEnabled"),
		PaperTrading:       r.toggle("paperTrading"),

		DashboardEnabled:     r.toggle("dashboardEnabled"),
		DashboardResources:   r.resources("dashboardResources"),
		DashboardArgs:        r.list("dashboardArgs"),
		DashboardHealthPath:  r.path("dashboardHealthPath"),
		DashboardMetricsPath: r.path("dashboardMetricsPath"),
	}
	b := c.Backend
	if b.MinReplicas > b.MaxReplicas && c.Target == TargetKubernetes {
		r.problem("backendMinReplicas", "%d is above backendMaxReplicas %d: lower the one or raise the other", b.MinReplicas, b.MaxReplicas)
	}
	if b.TradingEnabled && !b.EngineEnabled {
		r.problem("tradingEnabled", "true needs engineEnabled true: API pods never trade")
	}
	c.Application = platform.Settings{
		Debug:                 r.toggle("debug"),
		PrometheusEnabled:     b.MetricsPath != "",
		APIPort:               b.Port,
		DashboardPort:         r.port("dashboardPort"),
		MetricsPort:           r.port("metricsPort"),
		MaxSymbols:            r.number("maxSymbols", 1, 10000),
		MaxPortfolioRisk:      r.fraction("maxPortfolioRisk"),
		CacheTTLSeconds:       r.number("cacheTtlSeconds", 1, 86400),
		WorkerThreads:         r.number("workerThreads", 1, 64),
		MaxConnections:        r.number("maxConnections", 1, 1000),
		RequestTimeoutSeconds: r.number("requestTimeoutSeconds", 1, 300),
		StressTestEnabled:     r.toggle("stressTestEnabled"),
		ComplianceReporting:   r.toggle("complianceReporting"),
	}
}

func (c *Config) frontend(r *reader) {
	c.Frontend = Frontend{
		Replicas:    r.number("frontendReplicas", 2, 100),
		Resources:   r.resources("frontendResources"),
		Env:         r.strings("frontendEnv"),
		HealthPath:  r.path("frontendHealthPath"),
		MetricsPath: r.path("frontendMetricsPath"),
	}
}

func (c *Config) edge(r *reader) {
	nodePort := func(key string) int {
		n := r.number(key, 0, 32767)
		if n != 0 && n < 30000 {
			r.problem(key, "%d is not a node port: set 30000 to 32767, or 0 to let the cluster choose", n)
		}
		return n
	}
	c.Edge = Edge{
		Exposure:       r.oneOf("edgeExposure", ExposureNodePort, ExposureLoadBalancer, ExposureIngress),
		IngressClass:   r.text("edgeIngressClass"),
		HTTPNodePort:   nodePort("edgeHttpNodePort"),
		HTTPSNodePort:  nodePort("edgeHttpsNodePort"),
		PublicPort:     r.port("edgePublicPort"),
		Replicas:       r.number("edgeReplicas", 2, 50),
		Resources:      r.resources("edgeResources"),
		TrustedProxies: r.cidrs("edgeTrustedProxies"),
		APIRate:        r.number("edgeApiRate", 1, 100000),
		APIBurst:       r.number("edgeApiBurst", 0, 100000),
		LoginRate:      r.number("edgeLoginRate", 1, 100000),
		WebSocketRate:  r.number("edgeWebsocketRate", 1, 100000),
		Connections:    r.number("edgeConnections", 1, 100000),
		HSTSSeconds:    r.number("edgeHstsSeconds", 0, 63072000),
		TLSMode:        r.oneOf("tlsMode", TLSDevelopment, TLSProvided),
		TLSCertificate: r.text("tlsCertificate"),
		TLSPrivateKey:  r.text("tlsPrivateKey"),
	}
	e := c.Edge
	if e.Exposure == ExposureIngress && e.IngressClass == "" {
		r.problem("edgeIngressClass", "it is not set: name the class of the cluster's controller, or choose another edgeExposure")
	}
	if e.Exposure != ExposureNodePort && (e.HTTPNodePort != 0 || e.HTTPSNodePort != 0) {
		r.problem("edgeHttpsNodePort", "node ports are used only when edgeExposure is nodePort, and it is %q: remove them", e.Exposure)
	}
	if e.HTTPNodePort != 0 && e.HTTPNodePort == e.HTTPSNodePort {
		r.problem("edgeHttpNodePort", "%d is edgeHttpsNodePort too: choose two ports", e.HTTPNodePort)
	}
	if e.TLSMode == TLSProvided {
		for key, v := range map[string]string{"tlsCertificate": e.TLSCertificate, "tlsPrivateKey": e.TLSPrivateKey} {
			if v == "" {
				r.problem(key, "it is not set, and tlsMode is provided: `cat FILE | pulumi config set --secret %s`", key)
			}
		}
		if e.TLSCertificate != "" && e.TLSPrivateKey != "" {
			if _, err := certs.Provided(e.TLSCertificate, e.TLSPrivateKey, nginx.HostsOf(c.Domain).All(), time.Now()); err != nil {
				for line := range strings.SplitSeq(err.Error(), "\n") {
					r.problem("tlsCertificate", "%s", line)
				}
			}
		}
	}
}

func (c *Config) monitoring(r *reader) {
	c.Monitoring = Monitoring{
		PrometheusResources:       r.resources("prometheusResources"),
		PrometheusStorage:         r.storage("prometheusStorage"),
		Retention:                 r.text("prometheusRetention"),
		GrafanaResources:          r.resources("grafanaResources"),
		GrafanaStorage:            r.storage("grafanaStorage"),
		AlertmanagerResources:     r.resources("alertmanagerResources"),
		KubeStateMetricsResources: r.resources("kubeStateMetricsResources"),
		AlertWebhookURL:           r.text("alertWebhookUrl"),
		HeartbeatWebhookURL:       r.text("heartbeatWebhookUrl"),
	}
	if d, err := model.ParseDuration(c.Monitoring.Retention); err != nil || d == 0 {
		r.problem("prometheusRetention", "%q is not a duration: write e.g. 200h or 15d", c.Monitoring.Retention)
	}
	for key, v := range map[string]string{"alertWebhookUrl": c.Monitoring.AlertWebhookURL, "heartbeatWebhookUrl": c.Monitoring.HeartbeatWebhookURL} {
		if v == "" {
			continue
		}
		if u, err := url.Parse(v); err != nil || u.Scheme != "https" || u.Hostname() == "" || (u.Port() != "" && u.Port() != "443") {
			r.problem(key, "the value is not an https URL on port 443, which is all that the network policy lets out") // a secret: not repeated here
		}
	}
}
