package backend

import (
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DatabaseAccess is how one consumer reaches the database.
type DatabaseAccess struct {
	Host     string
	Port     int
	Name     string
	User     string
	Password string
	// DirectHost leads to the primary past any pooler, for what needs a session; "" where
	// Host does.
	DirectHost string
	// ReadName is the database's name at Host for reads that may be a little old; "" where
	// there is none.
	ReadName string
	// CAFile is a file of those that vouch for the server, which then has to prove its name
	// over TLS; "" leaves it to the driver whether it asks for TLS.
	CAFile string
}

// verified is libpq's sslmode that checks who vouches for the server, and its name.
const verified = "verify-full"

// URL is the connection string in libpq's URI form.
func (d DatabaseAccess) URL() string { return d.url(d.Name) }

func (d DatabaseAccess) url(name string) string {
	u := url.URL{
		Scheme: "postgresql",
		User:   url.UserPassword(d.User, d.Password),
		Host:   d.Host + ":" + strconv.Itoa(d.Port),
		Path:   "/" + name,
	}
	if d.CAFile != "" {
		// Not escaped: not every driver's parser undoes it in a file's name.
		u.RawQuery = "sslmode=" + verified + "&sslrootcert=" + d.CAFile
	}
	return u.String()
}

// Environment gives the same access in the three dialects that builds of the
// application read: DATABASE_URL, DB_* and TIMESCALEDB_*. Builds that know of poolers and
// standbys find DB_DIRECT_* and DATABASE_READ_URL. Those that make an address of the parts
// have libpq's own variables, which all drivers read that take TLS as libpq does, ask for
// TLS.
func (d DatabaseAccess) Environment() map[string]string {
	port := strconv.Itoa(d.Port)
	all := map[string]string{
		"DATABASE_URL":         d.URL(),
		"DB_HOST":              d.Host,
		"DB_PORT":              port,
		"DB_NAME":              d.Name,
		"DB_USER":              d.User,
		"DB_PASSWORD":          d.Password,
		"TIMESCALEDB_HOST":     d.Host,
		"TIMESCALEDB_PORT":     port,
		"TIMESCALEDB_DATABASE": d.Name,
		"TIMESCALEDB_USERNAME": d.User,
		"TIMESCALEDB_PASSWORD": d.Password,
		"TIMESCALEDB_URL":      d.URL(),
	}
	if d.DirectHost != "" {
		all["DB_DIRECT_HOST"], all["DB_DIRECT_PORT"] = d.DirectHost, port
	}
	if d.ReadName != "" {
		all["DATABASE_READ_URL"] = d.url(d.ReadName)
	}
	if d.CAFile != "" {
		for _, prefix := range []string{"DB_SSL", "TIMESCALEDB_SSL", "PGSSL"} {
			all[prefix+"MODE"], all[prefix+"ROOTCERT"] = verified, d.CAFile
		}
	}
	return all
}

// CacheAccess is how one consumer reaches the cache. There is no user name: the
// application's dialect logs in as Redis' default user, by password alone.
type CacheAccess struct {
	Host     string
	Port     int
	Password string
	// CAFile is a file of those that vouch for the server, which then speaks TLS at Port and
	// has to prove its name; "" for none.
	CAFile string
}

// cacheDatabase is the number of the application's database: nobody else has one there.
const cacheDatabase = "0"

// URL is the connection string in the form of the IANA "redis" scheme, and with TLS of its
// sibling "rediss". Who vouches for the server is said as redis-py reads it.
func (c CacheAccess) URL() string {
	u := url.URL{
		Scheme: "redis",
		User:   url.UserPassword("", c.Password),
		Host:   c.Host + ":" + strconv.Itoa(c.Port),
		Path:   "/" + cacheDatabase,
	}
	if c.CAFile != "" {
		u.Scheme, u.RawQuery = "rediss", "ssl_ca_certs="+c.CAFile
	}
	return u.String()
}

// Environment gives the access as REDIS_URL and as REDIS_*.
func (c CacheAccess) Environment() map[string]string {
	all := map[string]string{
		"REDIS_URL":      c.URL(),
		"REDIS_HOST":     c.Host,
		"REDIS_PORT":     strconv.Itoa(c.Port),
		"REDIS_DB":       cacheDatabase,
		"REDIS_PASSWORD": c.Password,
		"REDIS_ENABLED":  "true",
	}
	if c.CAFile != "" {
		all["REDIS_TLS"], all["REDIS_CA_FILE"] = "true", c.CAFile
	}
	return all
}

// ApplicationKeys are the application's own secrets.
type ApplicationKeys struct {
	// JWTSecret signs sessions; Secret is the application's general key.
	JWTSecret, Secret string
	// FormerJWTSecret is accepted for sessions that it has signed; "" for none.
	FormerJWTSecret string
}

// Environment renders the keys under the application's names.
func (k ApplicationKeys) Environment() map[string]string {
	all := map[string]string{"JWT_SECRET_KEY": k.JWTSecret, "SECRET_KEY": k.Secret}
	if k.FormerJWTSecret != "" {
		all["JWT_SECRET_KEY_PREVIOUS"] = k.FormerJWTSecret
	}
	return all
}

// SecretVariables are those of the environments above whose values are secret: the
// passwords and keys, and the addresses that carry one.
var SecretVariables = []string{
	"DATABASE_URL", "DATABASE_READ_URL", "DB_PASSWORD", "TIMESCALEDB_PASSWORD", "TIMESCALEDB_URL",
	"REDIS_URL", "REDIS_PASSWORD", "JWT_SECRET_KEY", "JWT_SECRET_KEY_PREVIOUS", "SECRET_KEY",
}

// Merge joins environments; a later one wins.
func Merge(environments ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, e := range environments {
		maps.Copy(merged, e)
	}
	return merged
}

// Settings are the plain values that every process of the application reads, under the
// keys of its contract.
type Settings struct {
	// Debug turns verbose logging on.
	Debug bool
	// PrometheusEnabled makes the application serve metrics.
	PrometheusEnabled bool
	// ListenAddress is what API and dashboard are told to listen on: 0.0.0.0, or :: for
	// builds that take it at its word, where pods have addresses of IPv6.
	ListenAddress string
	// APIPort and DashboardPort are the ports that the application listens on.
	APIPort, DashboardPort int
	// MetricsPort is the port of workloads that serve nothing but metrics.
	MetricsPort int
	// MaxSymbols bounds the number of market symbols.
	MaxSymbols int
	// MaxPortfolioRisk is a fraction of the portfolio's value, 0 to 1.
	MaxPortfolioRisk float64
	// CacheTTLSeconds is how long a cached read is served.
	CacheTTLSeconds int
	// WorkerThreads of one process.
	WorkerThreads int
	// MaxConnections bounds one process's database connections.
	MaxConnections int
	// RequestTimeoutSeconds bounds one request.
	RequestTimeoutSeconds int
	// StressTestEnabled and ComplianceReporting switch features of the application.
	StressTestEnabled, ComplianceReporting bool
}

// IsZero tells whether nothing was said.
func (s Settings) IsZero() bool { return s == Settings{} }

// Environment renders the settings under the application's names.
func (s Settings) Environment() map[string]string {
	return map[string]string{
		"API_HOST":             s.ListenAddress,
		"API_PORT":             strconv.Itoa(s.APIPort),
		"DASHBOARD_HOST":       s.ListenAddress,
		"DASHBOARD_PORT":       strconv.Itoa(s.DashboardPort),
		"DEBUG":                strconv.FormatBool(s.Debug),
		"PROMETHEUS_ENABLED":   strconv.FormatBool(s.PrometheusEnabled),
		"METRICS_PORT":         strconv.Itoa(s.MetricsPort),
		"MAX_SYMBOLS":          strconv.Itoa(s.MaxSymbols),
		"MAX_PORTFOLIO_RISK":   strconv.FormatFloat(s.MaxPortfolioRisk, 'g', -1, 64),
		"CACHE_TTL":            strconv.Itoa(s.CacheTTLSeconds),
		"STRESS_TEST_ENABLED":  strconv.FormatBool(s.StressTestEnabled),
		"COMPLIANCE_REPORTING": strconv.FormatBool(s.ComplianceReporting),
		"WORKER_THREADS":       strconv.Itoa(s.WorkerThreads),
		"MAX_CONNECTIONS":      strconv.Itoa(s.MaxConnections),
		"REQUEST_TIMEOUT":      strconv.Itoa(s.RequestTimeoutSeconds),
	}
}

// ProgramVariables are the variables that the program gives to every process itself, by
// name: none of a user's may be called like one of them.
func ProgramVariables() []string {
	set := map[string]bool{}
	for _, environment := range []map[string]string{
		Settings{}.Environment(), DatabaseAccess{DirectHost: "any", ReadName: "any", CAFile: "any"}.Environment(), CacheAccess{CAFile: "any"}.Environment(), ApplicationKeys{FormerJWTSecret: "any"}.Environment(), neverTrades, mode(""),
	} {
		for name := range environment {
			set[name] = true
		}
	}
	for _, name := range SecretVariables {
		set[name+"_FILE"] = true // where a Docker host has it
	}
	return slices.Sorted(maps.Keys(set))
}

// Access is how the application reaches its stores, and its own keys.
type Access struct {
	// Database is where the database is; its Host and Password are given below.
	Database DatabaseAccess
	// Cache is where the cache is; its Host and Password are given below.
	Cache CacheAccess
	// DatabaseHost and CacheHost are names that resolve where the application runs.
	DatabaseHost, CacheHost pulumi.StringInput
	// DatabaseDirectHost leads past the poolers; nil where there are none.
	DatabaseDirectHost pulumi.StringInput
	// DatabasePassword, CachePassword, JWTSecret and AppSecret are secrets.
	DatabasePassword, CachePassword, JWTSecret, AppSecret pulumi.StringInput
	// FormerJWTSecret is accepted for sessions that it has signed; nil for none.
	FormerJWTSecret pulumi.StringInput
	// Roots vouch for both stores, PEM: processes reach them over TLS, the cache at
	// CacheTLSPort, but for those that are Plain; nil for all without.
	Roots        pulumi.StringInput
	CacheTLSPort int
	// Secured says that poolers answer nobody without TLS.
	Secured bool
}

// RootsPath is the folder of Access.Roots in a process that has to check who the stores are,
// and rootsFile the file.
const (
	RootsPath = "/etc/alphapulse/authority"
	rootsFile = RootsPath + "/" + workload.RootsFile
)

// over is the access with TLS.
func (a Access) over() *Access {
	a.Database.CAFile, a.Cache.CAFile, a.Cache.Port = rootsFile, rootsFile, a.CacheTLSPort
	return &a
}

// environment is that of the application with the given host names and secrets.
func (a *Access) environment(databaseHost, directHost, databasePassword, cacheHost, cachePassword, jwt, formerJWT, secret string) map[string]string {
	db, cache := a.Database, a.Cache
	db.DirectHost = directHost
	db.Host, db.Password, cache.Host, cache.Password = databaseHost, databasePassword, cacheHost, cachePassword
	return Merge(db.Environment(), cache.Environment(), ApplicationKeys{JWTSecret: jwt, FormerJWTSecret: formerJWT, Secret: secret}.Environment())
}

// variables are the plain and the secret ones by name.
func (a *Access) variables() (plain, secret pulumi.StringMap) {
	plain, secret = pulumi.StringMap{}, pulumi.StringMap{}
	if a == nil {
		return plain, secret
	}
	direct, given := optional(a.DatabaseDirectHost)
	former, had := optional(a.FormerJWTSecret)
	all := pulumi.All(a.DatabaseHost, direct, a.DatabasePassword, a.CacheHost, a.CachePassword, a.JWTSecret, former, a.AppSecret)
	for name := range a.environment("", given, "", "", "", "", had, "") {
		value := all.ApplyT(func(v []any) string {
			s := func(i int) string { return v[i].(string) }
			return a.environment(s(0), s(1), s(2), s(3), s(4), s(5), s(6), s(7))[name]
		}).(pulumi.StringOutput)
		if slices.Contains(SecretVariables, name) {
			secret[name] = pulumi.ToSecret(value).(pulumi.StringOutput)
		} else {
			plain[name] = pulumi.Unsecret(value).(pulumi.StringOutput)
		}
	}
	return plain, secret
}

// optional is a value that may be left out, and something that stands for it.
func optional(value pulumi.StringInput) (pulumi.StringInput, string) {
	if value == nil {
		return pulumi.String(""), ""
	}
	return value, "any"
}
