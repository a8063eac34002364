package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) Environment {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func TestCredentialDialects(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("postgresql://u:from-file@h:1/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env             Environment
		database, cache string
	}{
		"url":                   {env("DATABASE_URL", "postgresql://u:p@h:1/d"), "postgresql://u:p@h:1/d", ""},
		"url of SQLAlchemy":     {env("DATABASE_URL", "postgresql+asyncpg://u:p@h:1/d"), "postgresql://u:p@h:1/d", ""},
		"url of timescale":      {env("TIMESCALEDB_URL", "postgres://u:p@h/d"), "postgres://u:p@h/d", ""},
		"DB_*":                  {env("DB_HOST", "db", "DB_PORT", "5433", "DB_NAME", "n", "DB_USER", "u", "DB_PASSWORD", "p/@:?"), "postgresql://u:p%2F%40%3A%3F@db:5433/n", ""},
		"DB_* defaults":         {env("DB_HOST", "db", "DB_PASSWORD", "p"), "postgresql://alphapulse_user:p@db:5432/alphapulse", ""},
		"TIMESCALEDB_*":         {env("TIMESCALEDB_HOST", "ts", "TIMESCALEDB_PORT", "5", "TIMESCALEDB_DATABASE", "n", "TIMESCALEDB_USERNAME", "u", "TIMESCALEDB_PASSWORD", "p"), "postgresql://u:p@ts:5/n", ""},
		"the url wins":          {env("DATABASE_URL", "postgresql://u:p@h:1/d", "DB_HOST", "other"), "postgresql://u:p@h:1/d", ""},
		"from a file":           {env("DATABASE_URL_FILE", file), "postgresql://u:from-file@h:1/d", ""},
		"a variable beats file": {env("DATABASE_URL", "postgresql://u:p@h:1/d", "DATABASE_URL_FILE", file), "postgresql://u:p@h:1/d", ""},
		"REDIS_URL":             {env("DB_HOST", "db", "REDIS_URL", "redis://user:p@r:1/2"), "postgresql://alphapulse_user:@db:5432/alphapulse", "redis://user:p@r:1/2"},
		"REDIS_*":               {env("DB_HOST", "db", "REDIS_HOST", "r", "REDIS_PORT", "7", "REDIS_PASSWORD", "p@", "REDIS_DB", "3"), "postgresql://alphapulse_user:@db:5432/alphapulse", "redis://:p%40@r:7/3"},
		"REDIS_* without login": {env("DB_HOST", "db", "REDIS_HOST", "r"), "postgresql://alphapulse_user:@db:5432/alphapulse", "redis://r:6379/0"},
		"REDIS_ENABLED=false":   {env("DB_HOST", "db", "REDIS_URL", "redis://r", "REDIS_ENABLED", "false"), "postgresql://alphapulse_user:@db:5432/alphapulse", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromEnvironment(c.env)
			if err != nil {
				t.Fatal(err)
			}
			if got.DatabaseURL != c.database {
				t.Errorf("database %q, want %q", got.DatabaseURL, c.database)
			}
			if got.CacheURL != c.cache {
				t.Errorf("cache %q, want %q", got.CacheURL, c.cache)
			}
		})
	}
}

// The table in docker/README.md has the same defaults.
func TestDefaults(t *testing.T) {
	got, err := FromEnvironment(env("DB_HOST", "db", "DEBUG", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		APIAddress: "0.0.0.0:8000", DashboardAddress: "0.0.0.0:8050", MetricsAddress: "0.0.0.0:9090", MetricsEnabled: true,
		Credentials: Credentials{DatabaseURL: "postgresql://alphapulse_user:@db:5432/alphapulse"},
		MaxLag:      10 * time.Second, Patience: 30 * time.Second, JWTLifetime: 90 * 24 * time.Hour,
		MaxInFlight: 1000, MaxHandshakes: 16,
		CacheTTL: 300 * time.Second, RequestTimeout: 30 * time.Second, DrainTime: 5 * time.Second,
		MaxConnections: 100, WorkerThreads: 4, MaxClients: 1000, Compliance: true,
		MaxSymbols: 3000, MaxPortfolioRisk: 0.1, PaperTrading: true,
		Seed: 42, IngestInterval: 2 * time.Second, SignalHorizon: 5 * time.Minute, Backfill: 6 * time.Hour,
		TickRetention: 30 * time.Minute, CandleRetention: 72 * time.Hour, SignalRetention: 24 * time.Hour,
		StorageBudget: 512 << 20, TopSymbols: 20,
	}
	got.env = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("not as documented:\n%+v, want\n%+v", got, want)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	got, err := FromEnvironment(env(
		"API_HOST", "::1", "API_PORT", "1", "DASHBOARD_HOST", "127.0.0.1", "DASHBOARD_PORT", "2", "METRICS_PORT", "3",
		"PROMETHEUS_ENABLED", "false", "DEBUG", "true",
		"TLS_CERT_FILE", "/c", "TLS_KEY_FILE", "/k", "TLS_PORT", "20", "PROBE_PORT", "19",
		"DATABASE_URL", "postgresql://u:p@h:1/d", "DATABASE_READ_URL", "postgresql://u:p@r:1/d", "DATABASE_DIRECT_URL", "postgresql://u:p@d:1/d",
		"DATABASE_MAX_LAG", "20s", "DATABASE_PATIENCE", "21s", "REDIS_URL", "rediss://r:1/2", "REDIS_CA_FILE", "/ca",
		"JWT_SECRET_KEY", strings.Repeat("a", 32), "JWT_SECRET_KEY_PREVIOUS", strings.Repeat("b", 32), "JWT_LIFETIME", "22h",
		"MAX_REQUESTS_IN_FLIGHT", "23", "WS_MAX_HANDSHAKES", "24",
		"CACHE_TTL", "4", "REQUEST_TIMEOUT", "5", "DRAIN_SECONDS", "6",
		"MAX_CONNECTIONS", "7", "WORKER_THREADS", "8", "WS_MAX_CLIENTS", "9", "STRESS_TEST_ENABLED", "true", "COMPLIANCE_REPORTING", "false",
		"MAX_SYMBOLS", "10", "MAX_PORTFOLIO_RISK", "0.11", "TRADING_ENABLED", "true", "PAPER_TRADING", "false",
		"MARKET_SEED", "12", "INGEST_INTERVAL", "10s", "SIGNAL_HORIZON", "13m", "HISTORY_BACKFILL", "3h",
		"TICK_RETENTION", "15m", "CANDLE_RETENTION", "16h", "SIGNAL_RETENTION", "17h", "STORAGE_BUDGET_MB", "64", "METRICS_TOP_SYMBOLS", "18",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		APIAddress: "[::1]:1", DashboardAddress: "127.0.0.1:2", MetricsAddress: "0.0.0.0:3", Debug: true,
		TLSCertificateFile: "/c", TLSKeyFile: "/k", TLSAddress: "0.0.0.0:20", ProbeAddress: "0.0.0.0:19",
		Credentials: Credentials{
			DatabaseURL: "postgresql://u:p@h:1/d", DatabaseReadURL: "postgresql://u:p@r:1/d", DatabaseDirectURL: "postgresql://u:p@d:1/d",
			CacheURL: "rediss://r:1/2", CacheCAFile: "/ca",
		},
		MaxLag: 20 * time.Second, Patience: 21 * time.Second, JWTLifetime: 22 * time.Hour,
		JWTKey: strings.Repeat("a", 32), JWTPreviousKey: strings.Repeat("b", 32), MaxInFlight: 23, MaxHandshakes: 24,
		CacheTTL: 4 * time.Second, RequestTimeout: 5 * time.Second, DrainTime: 6 * time.Second,
		MaxConnections: 7, WorkerThreads: 8, MaxClients: 9, StressTest: true,
		MaxSymbols: 10, MaxPortfolioRisk: 0.11, Trading: true,
		Seed: 12, IngestInterval: 10 * time.Second, SignalHorizon: 13 * time.Minute, Backfill: 3 * time.Hour,
		TickRetention: 15 * time.Minute, CandleRetention: 16 * time.Hour, SignalRetention: 17 * time.Hour,
		StorageBudget: 64 << 20, TopSymbols: 18,
	}
	got.env = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestBounds(t *testing.T) {
	for key, c := range map[string]struct{ good, bad []string }{
		"API_PORT":               {[]string{"1", "65535"}, []string{"0", "65536", "x"}},
		"DASHBOARD_PORT":         {[]string{"1", "65535"}, []string{"0", "65536"}},
		"METRICS_PORT":           {[]string{"1", "65535"}, []string{"0", "65536"}},
		"PROBE_PORT":             {[]string{"0", "65535"}, []string{"-1", "65536"}},
		"CACHE_TTL":              {[]string{"1", "86400"}, []string{"0", "86401"}},
		"REQUEST_TIMEOUT":        {[]string{"1", "300"}, []string{"0", "301"}},
		"DRAIN_SECONDS":          {[]string{"0", "300"}, []string{"-1", "301"}},
		"MAX_CONNECTIONS":        {[]string{"2", "1000"}, []string{"1", "1001"}},
		"WORKER_THREADS":         {[]string{"1", "64"}, []string{"0", "65"}},
		"MAX_REQUESTS_IN_FLIGHT": {[]string{"1", "100000"}, []string{"0", "100001"}},
		"WS_MAX_CLIENTS":         {[]string{"1", "100000"}, []string{"0", "100001"}},
		"WS_MAX_HANDSHAKES":      {[]string{"1", "1000"}, []string{"0", "1001"}},
		"DATABASE_MAX_LAG":       {[]string{"1s", "1h"}, []string{"999ms", "61m"}},
		"DATABASE_PATIENCE":      {[]string{"0s", "5m"}, []string{"-1s", "301s"}},
		"JWT_LIFETIME":           {[]string{"1m", "8760h"}, []string{"59s", "8761h"}},
		"MAX_SYMBOLS":            {[]string{"1", "10000"}, []string{"0", "10001"}},
		"MAX_PORTFOLIO_RISK":     {[]string{"0", "1"}, []string{"-0.01", "1.01", "NaN"}},
		"MARKET_SEED":            {[]string{"0", "2147483647"}, []string{"-1", "2147483648"}},
		"INGEST_INTERVAL":        {[]string{"1s", "1m"}, []string{"500ms", "61s", "7s", "1500ms"}},
		"SIGNAL_HORIZON":         {[]string{"1m", "24h"}, []string{"59s", "25h"}},
		"HISTORY_BACKFILL":       {[]string{"2h", "72h"}, []string{"119m", "721h"}},
		"TICK_RETENTION":         {[]string{"10m", "720h"}, []string{"9m", "721h"}},
		"CANDLE_RETENTION":       {[]string{"6h", "8760h"}, []string{"2h", "8761h"}},
		"SIGNAL_RETENTION":       {[]string{"1h", "8760h"}, []string{"59m", "8761h"}},
		"STORAGE_BUDGET_MB":      {[]string{"64", "1048576"}, []string{"63", "1048577"}},
		"METRICS_TOP_SYMBOLS":    {[]string{"0", "200"}, []string{"-1", "201"}},
	} {
		for _, value := range c.good {
			if _, err := FromEnvironment(env("DB_HOST", "db", key, value)); err != nil {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
		for _, value := range c.bad {
			if _, err := FromEnvironment(env("DB_HOST", "db", key, value)); err == nil || !strings.Contains(err.Error(), key+" is ") {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
	}
	if _, err := FromEnvironment(env("DB_HOST", "db", "CANDLE_RETENTION", "5h")); err == nil || !strings.Contains(err.Error(), "HISTORY_BACKFILL is 6h0m0s, longer than CANDLE_RETENTION") {
		t.Errorf("candles that go at once: %v", err)
	}
}

func TestFlags(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "True": true, "1": true, "yes": true, "on": true, "false": false, "FALSE": false, "0": false, "no": false, "off": false} {
		c, err := FromEnvironment(env("DB_HOST", "db", "TRADING_ENABLED", text, "PAPER_TRADING", text))
		if err != nil || c.Trading != want || c.PaperTrading != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	const secret = "hunter2"
	_, err := FromEnvironment(env(
		"DATABASE_URL", "mysql://u:"+secret+"@h/d", "REDIS_URL", "http://"+secret+"@r", "API_PORT", "80x", "MAX_PORTFOLIO_RISK", "NaN",
		"TRADING_ENABLED", "maybe", "INGEST_INTERVAL", "7s", "CACHE_TTL", "0", "HISTORY_BACKFILL", "100h", "DB_HOST_FILE", "/nowhere",
	))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"DATABASE_URL is not of the form postgresql://", "REDIS_URL is not of the form redis://", `API_PORT is "80x": use a number from 1 to 65535`,
		`MAX_PORTFOLIO_RISK is "NaN": use a number from 0 to 1`, `TRADING_ENABLED is "maybe": use true or false`,
		"INGEST_INTERVAL is 7s: use whole seconds that divide a minute", `CACHE_TTL is "0": use a number from 1`, "HISTORY_BACKFILL is 100h0m0s, longer than CANDLE_RETENTION",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error quotes a credential:\n%v", err)
	}
	if _, err := FromEnvironment(env()); err == nil || !strings.Contains(err.Error(), "no database is given") {
		t.Errorf("without a database: %v", err)
	}
	if _, err := FromEnvironment(env("DB_HOST", "db", "DB_PASSWORD_FILE", "/nowhere")); err == nil || !strings.Contains(err.Error(), "DB_PASSWORD_FILE") {
		t.Errorf("with a file that is missing: %v", err)
	}
}

func TestOtherWaysToTheDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		env                   Environment
		primary, read, direct string
	}{
		"none":             {env("DATABASE_URL", "postgresql://u:p@h:1/d"), "postgresql://u:p@h:1/d", "", ""},
		"hosts beside DB_": {env("DB_HOST", "h", "DB_PASSWORD", "p/w", "DB_READ_HOST", "r", "DB_DIRECT_HOST", "d", "DB_DIRECT_PORT", "7"), "postgresql://alphapulse_user:p%2Fw@h:5432/alphapulse", "postgresql://alphapulse_user:p%2Fw@r:5432/alphapulse", "postgresql://alphapulse_user:p%2Fw@d:7/alphapulse"},
		"a host beside a URL": {
			env("DATABASE_URL", "postgresql://u:p@h:1/d?sslmode=verify-full&sslrootcert=/ca.pem", "DB_READ_HOST", "r", "DB_READ_PORT", "6"),
			"postgresql://u:p@h:1/d?sslmode=verify-full&sslrootcert=/ca.pem", "postgresql://u:p@r:6/d?sslmode=verify-full&sslrootcert=/ca.pem", "",
		},
		"URLs":             {env("DATABASE_URL", "postgresql://u:p@h:1/d", "DATABASE_READ_URL", "postgresql+psycopg2://u:p@r/d", "DATABASE_DIRECT_URL", "postgres://u:p@d/d"), "postgresql://u:p@h:1/d", "postgresql://u:p@r/d", "postgres://u:p@d/d"},
		"DB_ over TLS":     {env("DB_HOST", "h", "DB_SSLMODE", "verify-full", "DB_SSLROOTCERT", "/ca.pem"), "postgresql://alphapulse_user:@h:5432/alphapulse?sslmode=verify-full&sslrootcert=%2Fca.pem", "", ""},
		"TIMESCALEDB_ TLS": {env("TIMESCALEDB_HOST", "h", "TIMESCALEDB_SSLMODE", "require"), "postgresql://alphapulse_user:@h:5432/alphapulse?sslmode=require", "", ""},
		"asyncpg over TLS": {env("DATABASE_URL", "postgresql+asyncpg://u:p@h:1/d?ssl=verify-full"), "postgresql://u:p@h:1/d?sslmode=verify-full", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromEnvironment(c.env)
			if err != nil {
				t.Fatal(err)
			}
			if got.DatabaseURL != c.primary || got.DatabaseReadURL != c.read || got.DatabaseDirectURL != c.direct {
				t.Errorf("got\n%q, want\n%q", []string{got.DatabaseURL, got.DatabaseReadURL, got.DatabaseDirectURL}, []string{c.primary, c.read, c.direct})
			}
		})
	}
	if got, err := FromEnvironment(env("DB_HOST", "h", "REDIS_URL", "rediss://:p@r:1/2?ssl_ca_certs=/ca&dial_timeout=3s")); err != nil || got.CacheURL != "rediss://:p@r:1/2?dial_timeout=3s" || got.CacheCAFile != "/ca" {
		t.Errorf("redis-py over TLS: %+v, %v", got, err)
	}
	if got, err := FromEnvironment(env("DB_HOST", "h", "REDIS_HOST", "r", "REDIS_TLS", "true", "REDIS_CA_FILE", "/ca")); err != nil || got.CacheURL != "rediss://r:6379/0" {
		t.Errorf("Redis over TLS: %+v, %v", got, err)
	}
}

func TestSettingsThatBelongTogether(t *testing.T) {
	key := strings.Repeat("k", 32)
	for want, e := range map[string]Environment{
		"TLS_PORT is given without TLS_CERT_FILE":                 env("DB_HOST", "h", "TLS_PORT", "8443"),
		"TLS_CERT_FILE and TLS_KEY_FILE belong together":          env("DB_HOST", "h", "TLS_CERT_FILE", "/c"),
		"TLS_CERT_FILE and TLS_KEY_FILE belong":                   env("DB_HOST", "h", "TLS_KEY_FILE", "/k"),
		"REDIS_CA_FILE is given, but":                             env("DB_HOST", "h", "REDIS_URL", "redis://r", "REDIS_CA_FILE", "/c"),
		"JWT_SECRET_KEY_PREVIOUS is given without JWT_SECRET_KEY": env("DB_HOST", "h", "JWT_SECRET_KEY_PREVIOUS", key),
		"JWT_SECRET_KEY has 31 bytes: use at least 32":            env("DB_HOST", "h", "JWT_SECRET_KEY", key[1:]),
		"JWT_SECRET_KEY_PREVIOUS has 31 bytes":                    env("DB_HOST", "h", "JWT_SECRET_KEY", key, "JWT_SECRET_KEY_PREVIOUS", key[1:]),
		"DATABASE_READ_URL is not of the form postgresql://":      env("DB_HOST", "h", "DATABASE_READ_URL", "mysql://x"),
		"DATABASE_DIRECT_URL is not of the form postgresql://":    env("DB_HOST", "h", "DATABASE_DIRECT_URL", "x"),
	} {
		if _, err := FromEnvironment(e); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), key[1:]) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A credential in a file may be renewed while a process runs.
func TestCurrentReadsFilesAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	c, err := FromEnvironment(env("DB_HOST", "h", "DB_USER", "u", "DB_PASSWORD_FILE", file, "DB_READ_HOST", "r"))
	if err != nil {
		t.Fatal(err)
	}
	write("new")
	now, err := c.Current()
	if err != nil || now.DatabaseURL != "postgresql://u:new@h:5432/alphapulse" || now.DatabaseReadURL != "postgresql://u:new@r:5432/alphapulse" {
		t.Errorf("%+v, %v", now, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Current(); err == nil {
		t.Error("a file that is gone is no error")
	}
}

func TestAddressesNeedNothingElse(t *testing.T) {
	a, err := Addresses(env("API_PORT", "1", "DASHBOARD_HOST", "::1", "METRICS_PORT", "3"))
	if err != nil {
		t.Fatal(err)
	}
	if a["api"] != "0.0.0.0:1" || a["dashboard"] != "[::1]:8050" || a["engine"] != "0.0.0.0:3" {
		t.Errorf("got %v", a)
	}
	if _, err := Addresses(env("API_PORT", "x")); err == nil {
		t.Error("a wrong port is no error")
	}
}
