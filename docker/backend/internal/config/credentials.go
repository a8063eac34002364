package config

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Credentials are the addresses of the servers, with what is needed to log in there.
type Credentials struct {
	// DatabaseURL is where the database is. DATABASE_URL wins over
	// TIMESCALEDB_URL, that over DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD,
	// DB_SSLMODE and DB_SSLROOTCERT, those over TIMESCALEDB_HOST, _PORT, _DATABASE,
	// _USERNAME, _PASSWORD, _SSLMODE and _SSLROOTCERT.
	DatabaseURL string
	// DatabaseReadURL is where standbys are read; empty reads the primary only
	// (DATABASE_READ_URL, or DB_READ_HOST and DB_READ_PORT beside what else
	// DatabaseURL says).
	DatabaseReadURL string
	// DatabaseDirectURL leads past the pooler that DatabaseURL names; empty says that
	// there is none (DATABASE_DIRECT_URL, or DB_DIRECT_HOST and DB_DIRECT_PORT).
	DatabaseDirectURL string
	// CacheURL is where the cache is; empty runs without one. REDIS_URL wins over
	// REDIS_HOST, REDIS_PORT, REDIS_USERNAME, REDIS_PASSWORD, REDIS_DB and REDIS_TLS;
	// REDIS_ENABLED=false switches the cache off.
	CacheURL string
	// CacheCAFile has the certificates of those who may vouch for the cache, as PEM;
	// empty trusts the system's (REDIS_CA_FILE, or the parameter ssl_ca_certs of REDIS_URL,
	// as redis-py reads it).
	CacheCAFile string
}

func (r *reader) credentials() Credentials {
	c := Credentials{DatabaseURL: r.database()}
	c.CacheURL, c.CacheCAFile = r.cache()
	c.DatabaseReadURL = r.another(c.DatabaseURL, "DATABASE_READ_URL", "DB_READ_HOST", "DB_READ_PORT")
	c.DatabaseDirectURL = r.another(c.DatabaseURL, "DATABASE_DIRECT_URL", "DB_DIRECT_HOST", "DB_DIRECT_PORT")
	if c.CacheCAFile != "" && strings.HasPrefix(c.CacheURL, "redis://") {
		r.problem("REDIS_CA_FILE is given, but the cache is reached without TLS: use rediss:// in REDIS_URL, or REDIS_TLS=true beside REDIS_HOST")
	}
	return c
}

// database is where the database is, in whichever dialect.
func (r *reader) database() string {
	for _, key := range []string{"DATABASE_URL", "TIMESCALEDB_URL"} {
		if text := r.databaseURL(key); text != "" {
			return text
		}
	}
	for _, names := range [][7]string{
		{"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_SSLMODE", "DB_SSLROOTCERT"},
		{
			"TIMESCALEDB_HOST", "TIMESCALEDB_PORT", "TIMESCALEDB_DATABASE", "TIMESCALEDB_USERNAME", "TIMESCALEDB_PASSWORD",
			"TIMESCALEDB_SSLMODE", "TIMESCALEDB_SSLROOTCERT",
		},
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
		query := url.Values{}
		for parameter, name := range map[string]string{"sslmode": names[5], "sslrootcert": names[6]} {
			if value := r.text(name, ""); value != "" {
				query.Set(parameter, value)
			}
		}
		u.RawQuery = query.Encode()
		return u.String()
	}
	r.problem("no database is given: set DATABASE_URL, or DB_HOST, DB_USER and DB_PASSWORD, or the same as TIMESCALEDB_*")
	return ""
}

// databaseURL reads a URL as libpq understands it, or as SQLAlchemy does, which names
// its driver in the scheme and, with asyncpg, calls sslmode ssl.
func (r *reader) databaseURL(key string) string {
	text := r.text(key, "")
	if text == "" {
		return ""
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		base, _, _ := strings.Cut(scheme, "+")
		text = base + "://" + rest
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgresql" && u.Scheme != "postgres") || u.Host == "" {
		r.problem("%s is not of the form postgresql://user:password@host:port/database", key)
		return text
	}
	if query := u.Query(); query.Has("ssl") {
		query.Set("sslmode", cmp.Or(query.Get("sslmode"), query.Get("ssl")))
		query.Del("ssl")
		u.RawQuery = query.Encode()
		return u.String()
	}
	return text
}

// another is a second way to the same database: a URL, or the first one's with
// another host. "" if neither is given.
func (r *reader) another(first, key, host, port string) string {
	if text := r.databaseURL(key); text != "" {
		return text
	}
	name := r.text(host, "")
	u, err := url.Parse(first)
	if name == "" || err != nil {
		return ""
	}
	u.Host = net.JoinHostPort(name, r.port(port, 5432))
	return u.String()
}

// cache is where the cache is, and the file of those who may vouch for it.
func (r *reader) cache() (address, caFile string) {
	caFile = r.text("REDIS_CA_FILE", "")
	if !r.flag("REDIS_ENABLED", true) {
		return "", caFile
	}
	if text := r.text("REDIS_URL", ""); text != "" {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Host == "" {
			r.problem("REDIS_URL is not of the form redis://user:password@host:port/database")
			return text, caFile
		}
		if query := u.Query(); query.Has("ssl_ca_certs") {
			caFile = cmp.Or(caFile, query.Get("ssl_ca_certs"))
			query.Del("ssl_ca_certs")
			u.RawQuery = query.Encode()
			return u.String(), caFile
		}
		return text, caFile
	}
	host := r.text("REDIS_HOST", "")
	if host == "" {
		return "", caFile
	}
	scheme := "redis"
	if r.flag("REDIS_TLS", false) {
		scheme = "rediss"
	}
	u := url.URL{
		Scheme: scheme,
		Host:   net.JoinHostPort(host, r.port("REDIS_PORT", 6379)),
		Path:   "/" + strconv.Itoa(r.number("REDIS_DB", 0, 0, 1<<15)),
	}
	user, password := r.text("REDIS_USERNAME", ""), r.text("REDIS_PASSWORD", "")
	if user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String(), caFile
}
