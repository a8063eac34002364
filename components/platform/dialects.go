package platform

import (
	"maps"
	"net/url"
	"strconv"
)

// DatabaseAccess is how one consumer reaches the database.
type DatabaseAccess struct {
	Host     string
	Port     int
	Name     string
	User     string
	Password string
}

// URL is the connection string in libpq's URI form.
func (d DatabaseAccess) URL() string {
	u := url.URL{
		Scheme: "postgresql",
		User:   url.UserPassword(d.User, d.Password),
		Host:   d.Host + ":" + strconv.Itoa(d.Port),
		Path:   "/" + d.Name,
	}
	return u.String()
}

// Environment gives the same access in the three dialects that builds of the
// application read: DATABASE_URL, DB_* and TIMESCALEDB_*.
func (d DatabaseAccess) Environment() map[string]string {
	port := strconv.Itoa(d.Port)
	return map[string]string{
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
}

// CacheAccess is how one consumer reaches the cache. There is no user name: the
// application's dialect logs in as Redis' default user, by password alone.
type CacheAccess struct {
	Host     string
	Port     int
	Database int
	Password string
}

// URL is the connection string in the form of the IANA "redis" scheme.
func (c CacheAccess) URL() string {
	u := url.URL{
		Scheme: "redis",
		User:   url.UserPassword("", c.Password),
		Host:   c.Host + ":" + strconv.Itoa(c.Port),
		Path:   "/" + strconv.Itoa(c.Database),
	}
	return u.String()
}

// Environment gives the access as REDIS_URL and as REDIS_*.
func (c CacheAccess) Environment() map[string]string {
	return map[string]string{
		"REDIS_URL":      c.URL(),
		"REDIS_HOST":     c.Host,
		"REDIS_PORT":     strconv.Itoa(c.Port),
		"REDIS_DB":       strconv.Itoa(c.Database),
		"REDIS_PASSWORD": c.Password,
		"REDIS_ENABLED":  "true",
	}
}

// ApplicationKeys are the application's own secrets.
type ApplicationKeys struct {
	// JWTSecret signs sessions; Secret is the application's general key.
	JWTSecret, Secret string
}

// Environment renders the keys under the application's names.
func (k ApplicationKeys) Environment() map[string]string {
	return map[string]string{"JWT_SECRET_KEY": k.JWTSecret, "SECRET_KEY": k.Secret}
}

// SecretVariables are those of the environments above whose values are secret: the
// passwords and keys, and the addresses that carry one.
var SecretVariables = []string{
	"DATABASE_URL", "DB_PASSWORD", "TIMESCALEDB_PASSWORD", "TIMESCALEDB_URL",
	"REDIS_URL", "REDIS_PASSWORD", "JWT_SECRET_KEY", "SECRET_KEY",
}

// Merge joins environments; a later one wins.
func Merge(environments ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, e := range environments {
		maps.Copy(merged, e)
	}
	return merged
}
