package stacks

import (
	"fmt"
	"regexp"

	"github.com/prometheus/common/model"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Application is what the backend's processes read, and which of them there are.
type Application struct {
	backend.Settings
	// EngineEnabled and DashboardEnabled run the process.
	EngineEnabled, DashboardEnabled bool
	// PaperTrading makes the engine trade with simulated money.
	PaperTrading bool
	// DashboardImage is the dashboard's own; nil for the API's.
	DashboardImage pulumi.StringInput
	// SecretEnv are further variables of API and engine, secret.
	SecretEnv map[string]string
	// LatencyMilliseconds is the Latency of the API's objectives.
	LatencyMilliseconds int
}

// starts bounds the memory of a process of the application.
var starts = settings.AtLeast(backend.LeastMemory, "as limits.memory no server starts with it")

// backendSettings has what the other processes have in common with the API, too:
// command, variables and the time to start.
func (s *Stack) backendSettings(set *settings.Set) {
	a, only, off := s.Backend, settings.Only(room.Kubernetes), settings.OrZero("to leave the metric out")
	g := set.Group("Backend", "The application's API. Command, variables and start-up time hold for the engine and the dashboard, too.")
	g.Image(&a.API.Image, "backendImage", "The application's server side: API, engine and dashboard.")
	g.Resources(&a.API.Resources, "backendResources", "one API pod", starts)
	g.Int(&a.Scaling.Min, "backendMinReplicas", "Fewest API pods; all containers of the API on a Docker host.", settings.Between(1, 100))
	g.Int(&a.Scaling.Max, "backendMaxReplicas", "Most API pods.", settings.Between(1, 100), only)
	g.Int(&a.Scaling.CPUUtilization, "backendCpuUtilization", "CPU target of the autoscaler, in percent of the request.", settings.Between(10, 100), settings.In("percent"), off, only)
	g.Int(&a.Scaling.MemoryUtilization, "backendMemoryUtilization", "Memory target of the autoscaler, in percent of the request; 0 for an application that never gives memory back.", settings.Between(10, 100), settings.In("percent"), off, only)
	s.paceSettings(g, &a.Scaling.Up, "backendScaleUp", "added", settings.Between(1, 1000))
	s.paceSettings(g, &a.Scaling.Down, "backendScaleDown", "removed", settings.Between(1, 100))
	g.Image(&a.WaitImage, "waitImage", "busybox, in which a pod waits for the database before API, engine or dashboard start.", only)
	g.List(&a.API.Command, "backendCommand", "Entrypoint of the API; by default the image's own.")
	g.List(&a.API.Args, "backendArgs", "Arguments of the API's entrypoint.")
	g.Port(&a.API.Port, "backendPort", "Port that the API listens on.")
	tlsPort(g, &a.API.TLSPort, "backendTlsPort", "the API", "backendPort", &a.API.Port)
	g.Path(&a.API.LivenessPath, "backendLivenessPath", "Path that answers while the API works; - for none.", only)
	g.Path(&a.API.ReadinessPath, "backendReadinessPath", "Path that answers while the API can serve; - for none.", only)
	g.Path(&a.API.MetricsPath, "backendMetricsPath", "Path of the API's metrics; - for a build that has none.", hidden("API"))
	s.watchSettings(g)
	g.Int(&a.API.StartupSeconds, "backendStartupSeconds", "How long the API, the engine and the dashboard may take to start.", settings.Between(10, 1800), settings.In("seconds"))
	g.Variables(&a.API.Env, "backendEnv", "Further plain variables of API, engine and dashboard.", settings.Each(ownVariable))
	g.Variables(&s.Application.SecretEnv, "backendSecretEnv", "Further secret variables of API and engine, e.g. BINANCE_API_KEY. Set as one secret object.", settings.Secret, settings.Each(ownVariable))
	g.Check(func(p *settings.Problems) {
		if scale := a.Scaling; scale.Min > scale.Max && s.Target == room.Kubernetes {
			p.Add("backendMinReplicas", "%d is above backendMaxReplicas %d: lower the one or raise the other", scale.Min, scale.Max)
		}
		if scale := a.Scaling; scale.CPUUtilization == 0 && scale.MemoryUtilization == 0 {
			p.Add("backendMemoryUtilization", "it is 0, and backendCpuUtilization is 0 too: an autoscaler needs one of them")
		}
		warnOfSecrets(p, "backendEnv", a.API.Env, toSecretEnv)
		warnOfArguments(p, "backendCommand", a.API.Command)
		warnOfArguments(p, "backendArgs", a.API.Args)
	})
}

// watchSettings say how a build counts its requests, and what it promises.
func (s *Stack) watchSettings(g *settings.Group) {
	a, h := s.Backend, &s.Backend.HTTP
	needed := settings.While(func() bool { return a.API.MetricsPath != "" }, "backendMetricsPath is not -")
	g.Text(&h.Requests, "backendRequestsMetric", "The build's counter of requests, for alerts and dashboards; where it tells no path, e.g. http_request_duration_seconds_count.", settings.Valid(metricName), needed)
	g.Text(&h.Duration, "backendDurationMetric", "The build's histogram of the seconds that answers take, without its _bucket.", settings.Valid(metricName), needed)
	g.Text(&h.Status, "backendStatusLabel", "The label of both that has the status code, or its class such as 5xx.", settings.Valid(labelName), needed)
	g.List(&h.Routes, "backendPathLabels", "The labels of both that may have the path.", settings.Each(labelName), needed)
	g.List(&h.Excluded, "backendUncountedPaths", "Paths that count for no objective, beside those of the API's probes and metrics.", settings.Each(countedPath), needed)
	budgets := struct{ Errors, Slow float64 }{a.Objectives.ErrorBudget, a.Objectives.LatencyBudget}
	g.Object("backendAlertLimits", "What the API's objectives allow: errors 0.01 and slow 0.05, the shares of its answers that may fail, and may take longer than backendLatencyMilliseconds.", limits(&budgets), needed)
	g.Check(func(*settings.Problems) {
		a.Objectives.ErrorBudget, a.Objectives.LatencyBudget = budgets.Errors, budgets.Slow
	})
	g.Int(&s.Application.LatencyMilliseconds, "backendLatencyMilliseconds", "Within which 95 % of the API's answers should come, measured at the histogram's nearest bucket.", settings.Between(1, 60000), settings.In("milliseconds"), needed)
}

// wordPath is a path that a word tells from others.
var wordPath = regexp.MustCompile(`^/[!->@-~]*[a-zA-Z0-9][!->@-~]*$`)

// metricName, labelName and countedPath are for settings.Valid and settings.Each.
func metricName(v string) error {
	if !model.LegacyValidation.IsValidMetricName(v) {
		return fmt.Errorf("%q cannot be a metric's name: write it as the build serves it, e.g. http_requests_total", v)
	}
	return nil
}

func labelName(v string) error {
	if !model.LegacyValidation.IsValidLabelName(v) {
		return fmt.Errorf("%q cannot be a label: write it as the build serves it, e.g. status", v)
	}
	return nil
}

func countedPath(v string) error {
	if !wordPath.MatchString(v) {
		return fmt.Errorf("%q is not a path below the root with a letter or digit in it: write e.g. /internal/ping", v)
	}
	return nil
}

// paceSettings are those of one direction of the autoscaler, in which pods are changed.
func (s *Stack) paceSettings(g *settings.Group, p *backend.Pace, key, changed string, percent settings.Option) {
	only, seconds := settings.Only(room.Kubernetes), settings.In("seconds")
	g.Int(&p.StabilizationSeconds, key+"StabilizationSeconds", "How long the load has to ask for it before API pods are "+changed+".", settings.Between(0, 3600), seconds, only)
	g.Int(&p.Percent, key+"Percent", "How many API pods are "+changed+" at most in "+key+"PeriodSeconds, in percent of those there are.", percent, settings.In("percent"), only)
	g.Int(&p.PeriodSeconds, key+"PeriodSeconds", "The time that "+key+"Percent is for.", settings.Between(1, 1800), seconds, only)
}

func (s *Stack) engineSettings(set *settings.Set) {
	a, e := s.Backend, s.Backend.Engine
	needed := settings.While(func() bool { return s.Application.EngineEnabled }, "engineEnabled is true")
	g := set.Group("Engine", "The singleton that collects data and trades.")
	g.Bool(&s.Application.EngineEnabled, "engineEnabled", "Run the singleton trading engine.")
	g.Resources(&e.Resources, "engineResources", "the engine", starts, needed)
	g.List(&e.Args, "engineArgs", "Arguments of the engine's entrypoint.", needed)
	g.Port(&e.Port, "metricsPort", "Port of the engine's metrics.")
	g.Path(&e.MetricsPath, "engineMetricsPath", "Path of the engine's metrics on metricsPort; - for a build that has none.", needed)
	g.Path(&e.LivenessPath, "engineLivenessPath", "Path that answers on metricsPort while the engine works; - for none.", settings.Only(room.Kubernetes), needed)
	g.Object("tradingAlertLimits", "From when on alerts on trading fire: accuracy 0.3 (the share of six hours' scored signals that were right), scored 50 (how many it takes), drawdown 0.1 (below the week's highest equity), silentHours 6 (without a signal), refused 20 (orders in a quarter of an hour), routine [risk_limit] (reasons of refusals that do not count).", limits(&a.Trading), needed)
	g.Bool(&a.TradingEnabled, "tradingEnabled", "Let the engine trade.")
	g.Bool(&s.Application.PaperTrading, "paperTrading", "Trade with simulated money when trading is enabled.")
	g.Check(func(p *settings.Problems) {
		if a.TradingEnabled && !s.Application.EngineEnabled {
			p.Add("tradingEnabled", "true needs engineEnabled true: API pods never trade")
		}
		warnOfArguments(p, "engineArgs", e.Args)
	})
}

func (s *Stack) dashboardSettings(set *settings.Set) {
	d := s.Backend.Dashboard
	needed := settings.While(func() bool { return s.Application.DashboardEnabled }, "dashboardEnabled is true")
	g := set.Group("Dashboard", "The real-time dashboard.")
	g.Bool(&s.Application.DashboardEnabled, "dashboardEnabled", "Run the real-time dashboard.")
	g.Resources(&d.Resources, "dashboardResources", "the dashboard", starts, needed)
	g.Image(&s.Application.DashboardImage, "dashboardImage", "Image of the dashboard; by default backendImage.", needed)
	g.List(&d.Args, "dashboardArgs", "Arguments of the dashboard's entrypoint.", needed)
	g.Port(&d.Port, "dashboardPort", "Port that the dashboard listens on.")
	tlsPort(g, &d.TLSPort, "dashboardTlsPort", "the dashboard", "dashboardPort", &d.Port, needed)
	g.Path(&d.MetricsPath, "dashboardMetricsPath", "Path of the dashboard's metrics; - for a build that has none.", hidden("Dashboard"), needed)
	g.Path(&d.LivenessPath, "dashboardHealthPath", "Path that answers while the dashboard works.", settings.Only(room.Kubernetes), needed)
	g.Check(func(p *settings.Problems) { warnOfArguments(p, "dashboardArgs", d.Args) })
}

func (s *Stack) applicationSettings(set *settings.Set) {
	a := &s.Application
	g := set.Group("Application", "What API, engine and dashboard read from the shared settings.")
	g.Bool(&a.Debug, "debug", "Verbose logging of the application.")
	g.Text(&a.ListenAddress, "listenAddress", "Address that API and dashboard are told to listen on (API_HOST, DASHBOARD_HOST). The reference build serves both families of IP either way; one that takes 0.0.0.0 at its word needs :: where pods have no IPv4.",
		settings.OneOf("0.0.0.0", "::"))
	g.Int(&a.MaxSymbols, "maxSymbols", "Most market symbols that the application follows.", settings.Between(1, 10000))
	g.Fraction(&a.MaxPortfolioRisk, "maxPortfolioRisk", "Largest part of the portfolio at risk, a fraction.")
	g.Int(&a.CacheTTLSeconds, "cacheTtlSeconds", "How long a cached read is served.", settings.Between(1, 86400), settings.In("seconds"))
	g.Int(&a.WorkerThreads, "workerThreads", "Worker threads of one process.", settings.Between(1, 64))
	g.Int(&a.MaxConnections, "maxConnections", "Most connections of one process to the database, as the application reads it.", settings.Between(1, 1000))
	g.Int(&s.Backend.RequestTimeoutSeconds, "requestTimeoutSeconds", "Longest time of one request, and of the drain of a stopping pod.", settings.Between(1, 300), settings.In("seconds"))
	g.Bool(&a.StressTestEnabled, "stressTestEnabled", "The application's stress-test endpoints.")
	g.Bool(&a.ComplianceReporting, "complianceReporting", "The application's compliance reports.")
}

func (s *Stack) arrangeBackend() {
	a, app := s.Backend, &s.Application
	app.APIPort, app.DashboardPort, app.MetricsPort = a.API.Port, a.Dashboard.Port, a.Engine.Port
	app.PrometheusEnabled = a.API.MetricsPath != ""
	app.RequestTimeoutSeconds = a.RequestTimeoutSeconds
	a.Objectives.Latency = float64(app.LatencyMilliseconds) / 1000
	for _, p := range []*backend.Process{a.Engine, a.Dashboard} {
		p.Image, p.Command, p.Env, p.StartupSeconds = a.API.Image, a.API.Command, a.API.Env, a.API.StartupSeconds
	}
	if app.DashboardImage != nil {
		a.Dashboard.Image = app.DashboardImage
	}
	a.Dashboard.ReadinessPath = a.Dashboard.LivenessPath
	if a.Engine.LivenessPath == "" && a.Engine.MetricsPath == "" {
		a.Engine.Port = 0
	}
	if !app.EngineEnabled {
		a.Engine = nil
	}
	if !app.DashboardEnabled {
		a.Dashboard = nil
	}
	a.SpreadRequired = s.Cluster.SpreadRequired
	a.Settings, a.RealMoney = app.Settings, !app.PaperTrading
	// Third-party keys are for who trades, and for who shows it.
	for _, p := range []*backend.Process{&a.API, a.Engine} {
		if p == nil {
			continue
		}
		p.Credentials = pulumi.StringMap{}
		for name, value := range app.SecretEnv {
			if value != "" { // no file is empty, and a variable that is set needs none
				p.Credentials[name] = optionalSecret(value)
			}
		}
	}
}

// backendCredentials gives the application its own keys and those of its stores.
func (s *Stack) backendCredentials(c *platform.Credentials) {
	s.Backend.Access = &backend.Access{
		Database:         backend.DatabaseAccess{Port: database.Port, Name: database.Name, User: s.databaseLogin(), ReadName: s.databaseReadName()},
		Cache:            backend.CacheAccess{Port: cache.Port},
		DatabasePassword: c.DatabaseApplication, CachePassword: c.CacheApplication,
		JWTSecret: c.JWTSecret, FormerJWTSecret: c.FormerJWT, AppSecret: c.AppSecret,
	}
}
