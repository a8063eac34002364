// Package config reads what a process is told by its environment. Builds of the
// application read their credentials in several dialects; all of them are
// understood here, so the reference application runs wherever the real one does.
package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
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

	// DatabaseURL is where the database is. DATABASE_URL wins over
	// TIMESCALEDB_URL, that over DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD,
	// those over TIMESCALEDB_HOST, _PORT, _DATABASE, _USERNAME and _PASSWORD.
	DatabaseURL string
	// CacheURL is where the cache is; empty runs without one. REDIS_URL wins over
	// REDIS_HOST, REDIS_PORT, REDIS_USERNAME, REDIS_PASSWORD and REDIS_DB;
	// REDIS_ENABLED=false switches the cache off.
	CacheURL string

	// CacheTTL is the longest time that a cached read is served (CACHE_TTL, in
	// seconds, default 300). What the engine has replaced since is not served.
	CacheTTL time.Duration
	// RequestTimeout bounds one request (REQUEST_TIMEOUT, in seconds, default 30).
	RequestTimeout time.Duration
	// DrainTime is how long a stopping process keeps serving after it has said that
	// it is not ready (DRAIN_SECONDS, default 5).
	DrainTime time.Duration
	// MaxConnections bounds the connections of this process to the database and to
	// the cache, each (MAX_CONNECTIONS, default 100).
	MaxConnections int
	// WorkerThreads is how many reads of the database run at once, two
	// for each thread (WORKER_THREADS, default 4).
	WorkerThreads int
	// MaxClients bounds the WebSockets of this process (WS_MAX_CLIENTS, default 1000).
	MaxClients int
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

		DatabaseURL: r.database(),
		CacheURL:    r.cache(),

		CacheTTL:       time.Duration(r.number("CACHE_TTL", 300, 1, 86400)) * time.Second,
		RequestTimeout: time.Duration(r.number("REQUEST_TIMEOUT", 30, 1, 300)) * time.Second,
		DrainTime:      time.Duration(r.number("DRAIN_SECONDS", 5, 0, 300)) * time.Second,
		MaxConnections: r.number("MAX_CONNECTIONS", 100, 1, 1000),
		WorkerThreads:  r.number("WORKER_THREADS", 4, 1, 64),
		MaxClients:     r.number("WS_MAX_CLIENTS", 1000, 1, 100_000),
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
	}
	if i := c.IngestInterval; i > 0 && (i%time.Second != 0 || time.Minute%i != 0) {
		r.problem("INGEST_INTERVAL is %s: use whole seconds that divide a minute, e.g. 2s or 5s", i)
	}
	if c.Backfill > c.CandleRetention {
		r.problem("HISTORY_BACKFILL is %s, longer than CANDLE_RETENTION %s: candles would be written only to be dropped", c.Backfill, c.CandleRetention)
	}
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return c, nil
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

type reader struct {
	env      Environment
	problems []error
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

// text returns a variable or what the file in its _FILE twin holds. An empty
// variable counts as not set: that is how a template leaves one out.
func (r *reader) text(key, fallback string) string {
	if v, ok := r.env(key); ok && v != "" {
		return v
	}
	path, ok := r.env(key + "_FILE")
	if !ok || path == "" {
		return fallback
	}
	content, err := os.ReadFile(path)
	if err != nil {
		r.problem("%s_FILE: %w", key, err)
		return fallback
	}
	return strings.TrimRight(string(content), "\r\n")
}

func (r *reader) number(key string, fallback, least, most int) int {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.problem("%s is %q: use a number from %d to %d", key, text, least, most)
		return fallback
	}
	return n
}

func (r *reader) port(key string, fallback int) string {
	return strconv.Itoa(r.number(key, fallback, 1, 65535))
}

func (r *reader) flag(key string, fallback bool) bool {
	text := r.text(key, "")
	switch strings.ToLower(text) {
	case "":
		return fallback
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	r.problem("%s is %q: use true or false", key, text)
	return fallback
}

func (r *reader) fraction(key string, fallback float64) float64 {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		r.problem("%s is %q: use a number from 0 to 1", key, text)
		return fallback
	}
	return f
}

func (r *reader) duration(key string, fallback, least, most time.Duration) time.Duration {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		r.problem("%s is %q: use a duration from %s to %s, e.g. %s", key, text, least, most, fallback)
		return fallback
	}
	return d
}

func (r *reader) database() string {
	for _, key := range []string{"DATABASE_URL", "TIMESCALEDB_URL"} {
		text := r.text(key, "")
		if text == "" {
			continue
		}
		// SQLAlchemy names its driver in the scheme.
		if scheme, rest, ok := strings.Cut(text, "://"); ok {
			base, _, _ := strings.Cut(scheme, "+")
			text = base + "://" + rest
		}
		if u, err := url.Parse(text); err != nil || (u.Scheme != "postgresql" && u.Scheme != "postgres") || u.Host == "" {
			r.problem("%s is not of the form postgresql://user:password@host:port/database", key)
		}
		return text
	}
	for _, names := range [][5]string{
		{"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"},
		{"TIMESCALEDB_HOST", "TIMESCALEDB_PORT", "TIMESCALEDB_DATABASE", "TIMESCALEDB_USERNAME", "TIMESCALEDB_PASSWORD"},
	} {
		host := r.text(names[0], "")
		if host == "" {
			continue
		}
		u := url.URL{
			Scheme: "postgresql",
			User:   url.UserPassword(r.text(names[3], "alphapulse_user"), r.text(names[4], "")),
			Host:   net.JoinHostPort(host, r.port(names[1], 5432)),
			Path:   "/" + r.text(names[2], "alphapulse"),
		}
		return u.String()
	}
	r.problem("no database is given: set DATABASE_URL, or DB_HOST, DB_USER and DB_PASSWORD, or the same as TIMESCALEDB_*")
	return ""
}

func (r *reader) cache() string {
	if !r.flag("REDIS_ENABLED", true) {
		return ""
	}
	if text := r.text("REDIS_URL", ""); text != "" {
		if u, err := url.Parse(text); err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Host == "" {
			r.problem("REDIS_URL is not of the form redis://user:password@host:port/database")
		}
		return text
	}
	host := r.text("REDIS_HOST", "")
	if host == "" {
		return ""
	}
	u := url.URL{
		Scheme: "redis",
		Host:   net.JoinHostPort(host, r.port("REDIS_PORT", 6379)),
		Path:   "/" + strconv.Itoa(r.number("REDIS_DB", 0, 0, 1<<15)),
	}
	user, password := r.text("REDIS_USERNAME", ""), r.text("REDIS_PASSWORD", "")
	if user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}
