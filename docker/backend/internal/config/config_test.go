package config

import (
	"os"
	"path/filepath"
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

func TestDefaults(t *testing.T) {
	c, err := FromEnvironment(env("DB_HOST", "db", "DEBUG", ""))
	if err != nil {
		t.Fatal(err)
	}
	for what, ok := range map[string]bool{
		"API on 8000":             c.APIAddress == "0.0.0.0:8000",
		"dashboard on 8050":       c.DashboardAddress == "0.0.0.0:8050",
		"metrics on 9090":         c.MetricsAddress == "0.0.0.0:9090",
		"3000 symbols":            c.MaxSymbols == 3000,
		"risk of 0.1":             c.MaxPortfolioRisk == 0.1,
		"300 s in the cache":      c.CacheTTL == 300*time.Second,
		"30 s for a request":      c.RequestTimeout == 30*time.Second,
		"100 connections":         c.MaxConnections == 100,
		"4 threads":               c.WorkerThreads == 4,
		"no trading":              !c.Trading,
		"trading would be paper":  c.PaperTrading,
		"an empty flag is no set": !c.Debug,
		"metrics are on":          c.MetricsEnabled,
	} {
		if !ok {
			t.Errorf("not as documented: %s", what)
		}
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
