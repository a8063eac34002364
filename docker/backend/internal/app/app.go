// Package app puts the parts together, one process for each mode.
package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/api"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/dashboard"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/engine"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/stream"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/telemetry"
)

// Process is what the modes take from their surroundings.
type Process struct {
	// Version of the build.
	Version string
	// Log takes JSON lines.
	Log io.Writer
	// Listening, when set, is told the address that the process serves on.
	Listening func(net.Addr)
}

// Modes are the ways to run the binary.
var Modes = map[string]func(context.Context, *config.Config, Process) error{
	"api": API, "dashboard": Dashboard, "engine": Engine,
}

// parts are what every mode has.
type parts struct {
	config   *config.Config
	process  Process
	log      *slog.Logger
	registry *prometheus.Registry
	store    *store.Store
	// client of Redis; nil without a cache.
	client *redis.Client
	cache  *cache.Cache
	router *httpx.Router
	// certificate to serve with; nil without TLS.
	certificate *httpx.Certificate
	// tracing records spans until endTracing has sent the last ones.
	tracing    trace.TracerProvider
	endTracing func(context.Context) error
	// endLog has sent the log's last lines.
	endLog func(context.Context) error
}

func assemble(ctx context.Context, mode string, c *config.Config, p Process) (*parts, error) {
	a := &parts{config: c, process: p, log: telemetry.NewLog(p.Log, mode, c.Debug), registry: telemetry.NewRegistry(mode, p.Version)}
	redis.SetLogger(telemetry.Printf{Log: a.log})
	var err error
	if a.tracing, a.endTracing, err = telemetry.NewTracing(ctx, mode, p.Version, a.log); err != nil {
		return nil, err
	}
	if a.log, a.endLog, err = telemetry.SendLog(ctx, mode, p.Version, a.log); err != nil {
		return nil, err
	}
	a.store, err = store.Open(store.Options{
		Endpoints: endpoints(c.Credentials),
		Current: func() (store.Endpoints, error) {
			now, err := c.Current()
			return endpoints(now), err
		},
		Name: "alphapulse-" + mode, MaxConnections: min(c.MaxConnections-1, 2*c.WorkerThreads), // one is the look's
		QueryTimeout: c.RequestTimeout, Patience: c.Patience, MaxLag: c.MaxLag, Metrics: store.NewMetrics(a.registry), Log: a.log,
		// A statement is told with its parameters' places, not with their values.
		Tracer: otelpgx.NewTracer(otelpgx.WithTracerProvider(a.tracing), otelpgx.WithMeterProvider(noop.NewMeterProvider()), otelpgx.WithDisableConnectionDetailsInAttributes()),
	})
	if err != nil {
		return nil, err
	}
	current := func() (cache.Server, error) {
		now, err := c.Current()
		return cache.Server{URL: now.CacheURL, CAFile: now.CacheCAFile}, err
	}
	a.client, err = cache.NewClient(cache.Server{URL: c.CacheURL, CAFile: c.CacheCAFile}, current, "alphapulse-"+mode, min(c.MaxConnections, 4*c.WorkerThreads))
	if err != nil {
		return nil, err
	}
	if a.client != nil {
		err = redisotel.InstrumentTracing(a.client, redisotel.WithTracerProvider(telemetry.ChildrenOnly(a.tracing)),
			redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
		if err != nil {
			return nil, err
		}
	}
	a.cache = cache.New(cache.Options{
		// A load ends a little before the request that began it, so that the request
		// can still say why.
		Client: a.client, TTL: c.CacheTTL, LoadTimeout: c.RequestTimeout * 19 / 20, Metrics: cache.NewMetrics(a.registry), Log: a.log,
	})
	a.registry.MustRegister(&poolCollector{a.store, a.cache, a.client})
	a.router = httpx.NewRouter(a.log, a.registry, c.RequestTimeout, c.MaxInFlight)
	if c.TLSCertificateFile != "" {
		if a.certificate, err = httpx.LoadCertificate(c.TLSCertificateFile, c.TLSKeyFile, a.registry, a.log); err != nil {
			return nil, err
		}
	}
	if c.MetricsEnabled {
		a.router.HandleProbeHTTP("/metrics", telemetry.Handler(a.registry))
	}
	a.router.HandleProbe("/ready", a.ready)
	return a, nil
}

func endpoints(c config.Credentials) store.Endpoints {
	return store.Endpoints{Primary: c.DatabaseURL, Standby: c.DatabaseReadURL, Direct: c.DatabaseDirectURL}
}

// health answers as long as the process works, whatever its dependencies do.
func (a *parts) health(check func() error) httpx.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if err := check(); err != nil {
			return &httpx.StatusError{Status: http.StatusServiceUnavailable, Message: err.Error()}
		}
		httpx.WriteJSON(w, http.StatusOK, []byte(`{"status":"alive","simulated":true}`))
		return nil
	}
}

// readiness is the answer of /ready.
type readiness struct {
	// Status is ready, degraded or unavailable.
	Status   string `json:"status"`
	Database string `json:"database"`
	Cache    string `json:"cache"`
	Reason   string `json:"reason,omitempty"`
}

// ready answers 200 if requests can be served: the database must be there. A lost
// cache only makes answers slower, so it is told but not held against the process.
//
// It asks nobody, so that it is answered at once whatever the load: what it says was
// found out by the looks at the database and the cache that go on all the time.
func (a *parts) ready(w http.ResponseWriter, _ *http.Request) error {
	answer, status := readiness{Status: "ready", Database: "ok", Cache: "ok"}, http.StatusOK
	switch {
	case a.config.CacheURL == "":
		answer.Cache = "off"
	case a.cache.Broken():
		answer.Cache, answer.Status = "cannot be reached", "degraded"
	}
	// While a lost database is waited for, requests are late but not wrong.
	if lost := a.store.Lost(); lost != "" {
		answer.Database, answer.Status = lost, "degraded"
	}
	var problems []string
	if err := a.store.Check(); err != nil {
		problems = append(problems, err.Error())
	}
	if a.router.Draining() {
		problems = append(problems, "the process is stopping")
	}
	if len(problems) > 0 {
		answer.Status, answer.Reason, status = "unavailable", strings.Join(problems, "; "), http.StatusServiceUnavailable
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, status, raw)
	return nil
}

// run serves on an address, beside what else the mode does, until ctx ends.
func (a *parts) run(ctx context.Context, address string, ending ending, others ...func(context.Context)) error {
	// What the requests need outlives the stop: it ends after the last of them.
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var g errgroup.Group
	for _, f := range append(others, a.store.Watch, a.watchCache) {
		g.Go(func() error { f(background); return nil })
	}
	server := &httpx.Server{
		Address: address, Certificate: a.certificate, TLSAddress: a.config.TLSAddress, ProbeAddress: a.config.ProbeAddress, Router: a.router, Tracing: a.tracing, DrainTime: a.config.DrainTime, OnDrain: ending.drain, Log: a.log, Listening: a.process.Listening,
	}
	err := server.Run(ctx)
	if ending.wait != nil {
		ending.wait()
	}
	end()
	ended := make(chan struct{})
	go func() {
		_ = g.Wait() // none of them returns an error
		a.store.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endTimeout):
		a.log.Warn("something still runs: it ends with the process")
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceTimeout)
	defer cancel()
	if err := a.endTracing(last); err != nil {
		a.log.Warn("the last traces are lost", "error", err)
	}
	if err := a.endLog(last); err != nil {
		a.log.Warn("the last lines are in this log alone", "error", err)
	}
	return err
}

// tracer of the process' own spans.
func (a *parts) tracer() trace.Tracer {
	return a.tracing.Tracer("github.com/alphapulse/alphapulse-infra/docker/backend")
}

// ending is what a mode does beside the server when it is told to stop.
type ending struct {
	// drain begins when the drain does, and does not wait.
	drain func()
	// wait, when set, waits for what has to end before the process does.
	wait func()
}

// closeOver is the longest time over which WebSockets are sent elsewhere.
const closeOver = 2 * time.Second

// ending of the WebSockets: their clients are told early in the drain, so that they
// are at another process before this one has gone.
func (a *parts) ending(hub *stream.Hub) ending {
	return ending{
		drain: func() { hub.Close(min(closeOver, a.config.DrainTime/2)) },
		wait: func() {
			ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
			defer cancel()
			if !hub.Wait(ctx) {
				a.log.Warn("some WebSockets have not answered that they close")
			}
		},
	}
}

// endTimeout is how long what runs beside the server may take to end after it.
const endTimeout = 5 * time.Second

// traceTimeout is how long the last spans may take to be sent.
const traceTimeout = 2 * time.Second

// watchCache notices when the cache is lost and when it is back, and tells it then
// what it could not be told meanwhile.
func (a *parts) watchCache(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, time.Second)
		err := a.cache.Check(look) // the cache remembers what it said
		cancel()
		if err == nil {
			a.cache.Flush(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func alive() error { return nil }

// freshFor is the age up to which a quote counts as current.
func freshFor(c *config.Config) time.Duration { return 5*c.IngestInterval + 5*time.Second }

// live serves the WebSockets and returns what feeds them.
func (a *parts) live() (*stream.Hub, func(context.Context)) {
	m := stream.NewMetrics(a.registry, a.config.MaxClients)
	hub := stream.NewHub(a.config.MaxClients, a.config.MaxHandshakes, m, a.log)
	hub.Tracer = a.tracer()
	for _, path := range []string{"GET /ws", "GET /ws/streaming"} {
		a.router.Handle(path, hub.Serve)
	}
	source := &stream.Source{Client: a.client, Store: a.store, Hub: hub, Interval: a.config.IngestInterval, Metrics: m, Log: a.log}
	return hub, source.Run
}

// API serves REST and WebSockets.
func API(ctx context.Context, c *config.Config, p Process) error {
	a, err := assemble(ctx, "api", c, p)
	if err != nil {
		return err
	}
	a.router.HandleProbe("/health", a.health(alive))
	(&api.API{
		Store: a.store, Cache: a.cache, Fresh: freshFor(c), Sessions: session.NewKeys(c.JWTKey, c.JWTPreviousKey, c.JWTLifetime),
	}).Register(a.router)
	if c.StressTest {
		a.router.Handle("POST /api/stress", api.Stress)
	}
	hub, feed := a.live()
	return a.run(ctx, c.APIAddress, a.ending(hub), feed)
}

// Dashboard serves the live page.
func Dashboard(ctx context.Context, c *config.Config, p Process) error {
	a, err := assemble(ctx, "dashboard", c, p)
	if err != nil {
		return err
	}
	a.router.HandleProbe("/health", a.health(alive))
	a.router.HandleProbe("/api/health", a.health(alive))
	page, err := dashboard.New(a.store, a.cache, freshFor(c))
	if err != nil {
		return err
	}
	page.Register(a.router)
	hub, feed := a.live()
	return a.run(ctx, c.DashboardAddress, a.ending(hub), feed)
}

// Engine runs the market.
func Engine(ctx context.Context, c *config.Config, p Process) error {
	a, err := assemble(ctx, "engine", c, p)
	if err != nil {
		return err
	}
	trades, _ := engine.Trades(c)
	m := engine.NewMetrics(a.registry, c.TopSymbols, c.MaxSymbols, c.MaxPortfolioRisk, c.StorageBudget, trades)
	e := engine.New(c, a.store, publisher{a}, m, a.log)
	e.Tracer = a.tracer()
	a.router.HandleProbe("/health", a.health(e.Check))
	// The engine stops at once: nobody sends it requests that would be dropped.
	a.config.DrainTime = 0
	working, stop := context.WithCancel(ctx)
	defer stop()
	return a.run(ctx, c.MetricsAddress, ending{drain: stop}, func(context.Context) { e.Run(working) })
}

type publisher struct{ a *parts }

// Publish tells the others. What Redis misses, they find in the database.
func (p publisher) Publish(ctx context.Context, b engine.Batch) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	scopes := []string{api.MarketScope}
	if b.SignalsChanged {
		scopes = append(scopes, api.SignalScope)
	}
	p.a.cache.Invalidate(ctx, scopes...)
	raw, err := json.Marshal(b.Batch)
	if err != nil {
		p.a.log.Error("encode batch", "error", err)
		return
	}
	p.a.cache.Publish(ctx, stream.Channel, raw)
}
