// Package config reads what a process is told by its environment. Builds of the
// application read their credentials in several dialects; all of them are
// understood here, so the reference application runs wherever the real one does.
package config

import (
	"errors"
	"math"
	"net"
	"time"
)

// Config is the configuration of one process, whatever its mode.
type Config struct {
	// APIAddress is where the API listens (API_HOST, API_PORT; default 0.0.0.0:8000).
	APIAddress string
	// DashboardAddress is where the dashboard listens (DASHBOARD_HOST,
	// DASHBOARD_PORT; default 0.0.0.0:8050).
	DashboardAddress string
	// MetricsAddress is where the engine serves its health and metrics
	// (METRICS_PORT, default 9090).
	MetricsAddress string
	// MetricsEnabled serves /metrics (PROMETHEUS_ENABLED, default true).
	MetricsEnabled bool
	// Debug logs every request and cycle (DEBUG, default false).
	Debug bool

	// TLSCertificateFile and TLSKeyFile make every listener but that of ProbeAddress
	// speak TLS (TLS_CERT_FILE, TLS_KEY_FILE; PEM; both or none). Renewed files are
	// taken up without a restart.
	TLSCertificateFile, TLSKeyFile string
	// TLSAddress is a place that speaks TLS while the others do not (TLS_PORT, default 0:
	// none, and all do).
	TLSAddress string
	// ProbeAddress is a second place, without TLS, for health, readiness and metrics
	// (PROBE_PORT, default 0: none).
	ProbeAddress string

	Credentials
	// MaxLag is how old what a standby tells may be while the primary cannot be asked
	// (DATABASE_MAX_LAG, default 10s).
	MaxLag time.Duration
	// Patience is how long after the loss of the database requests wait for it, within
	// their own time-out, before they are refused at once (DATABASE_PATIENCE, default
	// 30s; 0 never waits).
	Patience time.Duration
	// JWTKey signs session tokens; JWTPreviousKey is still accepted for those that it
	// has signed (JWT_SECRET_KEY, JWT_SECRET_KEY_PREVIOUS; 32 bytes at least). Without
	// a key there are no sessions.
	JWTKey, JWTPreviousKey string
	// JWTLifetime of a session token from its last use on (JWT_LIFETIME, default 2160h).
	JWTLifetime time.Duration

	// CacheTTL is the longest time that a cached read is served (CACHE_TTL, in
	// seconds, default 300). What the engine has replaced since is not served.
	CacheTTL time.Duration
	// RequestTimeout bounds one request (REQUEST_TIMEOUT, in seconds, default 30).
	RequestTimeout time.Duration
	// DrainTime is how long a stopping process keeps serving after it has said that
	// it is not ready (DRAIN_SECONDS, default 5).
	DrainTime time.Duration
	// MaxConnections bounds the connections of this process to the database and to
	// its standbys and to the cache, each (MAX_CONNECTIONS, default 100). One of those
	// to the database only looks after it.
	MaxConnections int
	// WorkerThreads is how many reads of the database run at once, two
	// for each thread (WORKER_THREADS, default 4).
	WorkerThreads int
	// MaxInFlight bounds the requests that are answered at once; those beyond it get
	// 503 (MAX_REQUESTS_IN_FLIGHT, default 1000).
	MaxInFlight int
	// MaxClients bounds the WebSockets of this process (WS_MAX_CLIENTS, default 1000).
	MaxClients int
	// MaxHandshakes bounds the WebSockets that are opened at once; the others wait their
	// turn for some seconds (WS_MAX_HANDSHAKES, default 16).
	MaxHandshakes int
	// StressTest serves POST /api/stress, which burns CPU time (STRESS_TEST_ENABLED,
	// default false).
	StressTest bool
	// Compliance writes a log record for each trade (COMPLIANCE_REPORTING, default true).
	Compliance bool

	// MaxSymbols is how many symbols the simulated market has (MAX_SYMBOLS, default 3000).
	MaxSymbols int
	// MaxPortfolioRisk is the largest share of the equity that open positions may
	// expose, from 0 to 1 (MAX_PORTFOLIO_RISK, default 0.1).
	MaxPortfolioRisk float64
	// Trading opens positions (TRADING_ENABLED, default false).
	Trading bool
	// PaperTrading trades with made-up money, the only kind that there is here
	// (PAPER_TRADING, default true): false opens no position.
	PaperTrading bool

	// Seed of the simulated market: the same seed gives the same prices at the same
	// time (MARKET_SEED, default 42).
	Seed uint64
	// IngestInterval is the time between two prices of a symbol, whole seconds that
	// divide a minute (INGEST_INTERVAL, default 2s).
	IngestInterval time.Duration
	// SignalHorizon is how long after a signal its accuracy is scored
	// (SIGNAL_HORIZON, default 5m).
	SignalHorizon time.Duration
	// Backfill is how far back the candles of an empty database begin
	// (HISTORY_BACKFILL, default 6h).
	Backfill time.Duration
	// TickRetention, CandleRetention and SignalRetention are how long prices, minute
	// candles and PnL, and signals and closed positions are kept (TICK_RETENTION,
	// default 30m; CANDLE_RETENTION, default 72h; SIGNAL_RETENTION, default 24h).
	TickRetention, CandleRetention, SignalRetention time.Duration
	// StorageBudget is how large the tables may grow, in bytes, before the oldest
	// candles go ahead of their time (STORAGE_BUDGET_MB, default 512).
	StorageBudget int64
	// TopSymbols is how many symbols have a time series of their own in the metrics;
	// the rest share the one labelled other (METRICS_TOP_SYMBOLS, default 20).
	TopSymbols int

	env Environment
}

// Environment looks a variable up, as os.LookupEnv does.
type Environment func(key string) (string, bool)

// FromEnvironment reads the configuration. A variable K that is not set is read
// from the file that K_FILE names, so that no credential needs to be in the
// environment. The error tells every problem, each with the variable, its value
// unless it is a credential, and what would be right.
func FromEnvironment(env Environment) (*Config, error) {
	r := &reader{env: env}
	c := &Config{
		APIAddress:       net.JoinHostPort(r.text("API_HOST", "0.0.0.0"), r.port("API_PORT", 8000)),
		DashboardAddress: net.JoinHostPort(r.text("DASHBOARD_HOST", "0.0.0.0"), r.port("DASHBOARD_PORT", 8050)),
		MetricsAddress:   net.JoinHostPort("0.0.0.0", r.port("METRICS_PORT", 9090)),
		MetricsEnabled:   r.flag("PROMETHEUS_ENABLED", true),
		Debug:            r.flag("DEBUG", false),

		TLSCertificateFile: r.text("TLS_CERT_FILE", ""),
		TLSKeyFile:         r.text("TLS_KEY_FILE", ""),
		TLSAddress:         r.beside("TLS_PORT"),
		ProbeAddress:       r.beside("PROBE_PORT"),

		Credentials:    r.credentials(),
		MaxLag:         r.duration("DATABASE_MAX_LAG", 10*time.Second, time.Second, time.Hour),
		Patience:       r.duration("DATABASE_PATIENCE", 30*time.Second, 0, 5*time.Minute),
		JWTKey:         r.secret("JWT_SECRET_KEY"),
		JWTPreviousKey: r.secret("JWT_SECRET_KEY_PREVIOUS"),
		JWTLifetime:    r.duration("JWT_LIFETIME", 90*24*time.Hour, time.Minute, 365*24*time.Hour),

		CacheTTL:       time.Duration(r.number("CACHE_TTL", 300, 1, 86400)) * time.Second,
		RequestTimeout: time.Duration(r.number("REQUEST_TIMEOUT", 30, 1, 300)) * time.Second,
		DrainTime:      time.Duration(r.number("DRAIN_SECONDS", 5, 0, 300)) * time.Second,
		MaxConnections: r.number("MAX_CONNECTIONS", 100, 2, 1000),
		WorkerThreads:  r.number("WORKER_THREADS", 4, 1, 64),
		MaxInFlight:    r.number("MAX_REQUESTS_IN_FLIGHT", 1000, 1, 100_000),
		MaxClients:     r.number("WS_MAX_CLIENTS", 1000, 1, 100_000),
		MaxHandshakes:  r.number("WS_MAX_HANDSHAKES", 16, 1, 1000),
		StressTest:     r.flag("STRESS_TEST_ENABLED", false),
		Compliance:     r.flag("COMPLIANCE_REPORTING", true),

		MaxSymbols:       r.number("MAX_SYMBOLS", 3000, 1, 10_000),
		MaxPortfolioRisk: r.fraction("MAX_PORTFOLIO_RISK", 0.1),
		Trading:          r.flag("TRADING_ENABLED", false),
		PaperTrading:     r.flag("PAPER_TRADING", true),

		Seed:            uint64(r.number("MARKET_SEED", 42, 0, math.MaxInt32)),
		IngestInterval:  r.duration("INGEST_INTERVAL", 2*time.Second, time.Second, time.Minute),
		SignalHorizon:   r.duration("SIGNAL_HORIZON", 5*time.Minute, time.Minute, 24*time.Hour),
		Backfill:        r.duration("HISTORY_BACKFILL", 6*time.Hour, 2*time.Hour, 30*24*time.Hour),
		TickRetention:   r.duration("TICK_RETENTION", 30*time.Minute, 10*time.Minute, 30*24*time.Hour),
		CandleRetention: r.duration("CANDLE_RETENTION", 72*time.Hour, 3*time.Hour, 365*24*time.Hour),
		SignalRetention: r.duration("SIGNAL_RETENTION", 24*time.Hour, time.Hour, 365*24*time.Hour),
		StorageBudget:   int64(r.number("STORAGE_BUDGET_MB", 512, 64, 1<<20)) << 20,
		TopSymbols:      r.number("METRICS_TOP_SYMBOLS", 20, 0, 200),

		env: env,
	}
	r.together(c)
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// Current reads the credentials anew: those in files may have been renewed since the
// process started.
func (c *Config) Current() (Credentials, error) {
	r := &reader{env: c.env}
	now := r.credentials()
	return now, errors.Join(r.problems...)
}

// together checks what settings say about each other.
func (r *reader) together(c *Config) {
	if i := c.IngestInterval; i > 0 && (i%time.Second != 0 || time.Minute%i != 0) {
		r.problem("INGEST_INTERVAL is %s: use whole seconds that divide a minute, e.g. 2s or 5s", i)
	}
	if c.Backfill > c.CandleRetention {
		r.problem("HISTORY_BACKFILL is %s, longer than CANDLE_RETENTION %s: candles would be written only to be dropped", c.Backfill, c.CandleRetention)
	}
	if (c.TLSCertificateFile == "") != (c.TLSKeyFile == "") {
		r.problem("TLS_CERT_FILE and TLS_KEY_FILE belong together: give both, or none for plain HTTP")
	}
	if c.TLSAddress != "" && c.TLSCertificateFile == "" {
		r.problem("TLS_PORT is given without TLS_CERT_FILE and TLS_KEY_FILE: give a certificate, or no port")
	}
	if c.JWTPreviousKey != "" && c.JWTKey == "" {
		r.problem("JWT_SECRET_KEY_PREVIOUS is given without JWT_SECRET_KEY: give the key that signs, too")
	}
}

// Addresses returns where each mode listens, without looking at any other setting.
func Addresses(env Environment) (map[string]string, error) {
	r := &reader{env: env}
	addresses := map[string]string{
		"api":       net.JoinHostPort(r.text("API_HOST", "0.0.0.0"), r.port("API_PORT", 8000)),
		"dashboard": net.JoinHostPort(r.text("DASHBOARD_HOST", "0.0.0.0"), r.port("DASHBOARD_PORT", 8050)),
		"engine":    net.JoinHostPort("0.0.0.0", r.port("METRICS_PORT", 9090)),
	}
	return addresses, errors.Join(r.problems...)
}
