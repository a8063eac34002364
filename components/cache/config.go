package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Paths inside the containers.
const (
	// DataPath is where the volume is mounted.
	DataPath = "/data"
	// ConfigFile, ACLFile and ExporterFile are the files of RenderConfig, of RenderACL
	// and of RenderExporterPasswords. No folder of theirs is within another, where a
	// mount would have no place on a read-only one.
	ConfigFile   = "/etc/redis/redis.conf"
	ACLFile      = "/etc/redis-acl/users.acl"
	ExporterFile = "/etc/alphapulse/exporter/passwords.json"
	// TLSPath is the folder of the server's certificate, its key and the roots.
	TLSPath = "/etc/redis-tls"
)

// Users beside the default one, which the application logs in as by password alone.
const (
	// MonitoringUser is the exporter's.
	MonitoringUser = "monitoring"
	// HealthUser needs no password, and can do nothing but ask whether the server lives.
	HealthUser = "health"
)

// NoEviction drops nothing: a full server refuses writes, as a queue has to.
const NoEviction = "noeviction"

// Policies are the values of maxmemory-policy that a cache may have.
var Policies = []string{
	"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", NoEviction,
}

const miB int64 = 1 << 20

// MaxMemory is how much of a memory limit the data may take: half. A rewrite of
// the append-only file forks the server, and each page that is written meanwhile
// exists twice, all of them at worst; Redis' documentation therefore asks for up to
// twice the memory ("Redis administration", section Memory,
// https://redis.io/docs/latest/operate/oss_and_stack/management/admin/). What a
// rewrite leaves of the other half is for clients' buffers and fragmentation.
func MaxMemory(limit int64) int64 { return limit / 2 / miB * miB }

// rewriteAtLeast is the size below which the append-only file is not rewritten.
const rewriteAtLeast = 64 * miB

// LeastStorage is how large the volume must be: the file may grow to twice the data
// before it is rewritten, and the new one grows beside it meanwhile.
func LeastStorage(maxMemory int64) int64 { return 4*maxMemory + rewriteAtLeast }

// LoadingSeconds is how long the server may read a full append-only file at a
// start, with a minute for everything else: commands replay at about 10 MB/s, and
// the bound takes half of that.
func LoadingSeconds(maxMemory int64) int {
	return 60 + int((2*maxMemory+rewriteAtLeast)/(5*miB))
}

// RenderConfig renders redis.conf.
func RenderConfig(maxMemory int64, policy string, encryption room.Encryption) string {
	lines := []string{
		"# Rendered by the program; an edit here is lost.",
		"bind * -::*",
		fmt.Sprintf("port %d", Port),
		"protected-mode yes",
		"aclfile " + ACLFile,
		// A vanished client pod frees its connection.
		"tcp-keepalive 60",
		"dir " + DataPath,
		// The append-only file survives a restart with at most a second lost; a dump
		// beside it would only double the writing.
		`save ""`,
		"appendonly yes",
		"appendfsync everysec",
		"auto-aof-rewrite-percentage 100",
		fmt.Sprintf("auto-aof-rewrite-min-size %d", rewriteAtLeast),
		fmt.Sprintf("maxmemory %d", maxMemory),
		"maxmemory-policy " + policy,
		// Subscribers that read too slowly are disconnected before their buffers push
		// the data out.
		"maxmemory-clients 20%",
		// Large values are freed beside the one thread that answers.
		"lazyfree-lazy-eviction yes",
		"lazyfree-lazy-expire yes",
		// For the exporter; in milliseconds.
		"latency-monitor-threshold 100",
	}
	if encryption == room.Required {
		lines[slices.Index(lines, fmt.Sprintf("port %d", Port))] = "port 0"
	}
	if encryption != room.Unencrypted {
		lines = append(lines,
			fmt.Sprintf("tls-port %d", TLSPort),
			"tls-cert-file "+path.Join(TLSPath, workload.CertificateFile),
			"tls-key-file "+path.Join(TLSPath, workload.KeyFile),
			// Clients log in with a password.
			"tls-auth-clients no",
		)
	}
	return strings.Join(lines, "\n") + "\n"
}

// RenderACL renders the users. It holds digests only: who reads the file, or a dump
// of it, cannot log in. Redis keeps unsalted SHA-256, so a password must be long
// and random, as the generated ones are.
// formerPassword is accepted beside the application's, unless it is empty.
func RenderACL(applicationPassword, formerPassword, monitoringPassword string) (string, error) {
	if applicationPassword == "" || monitoringPassword == "" {
		return "", errors.New("cache: a password is empty: pass a generated one")
	}
	passwords := "#" + digest(applicationPassword)
	if formerPassword != "" {
		passwords += " #" + digest(formerPassword)
	}
	lines := []string{
		"user default on " + passwords + " ~* &* +@all -@admin",
		// What redis_exporter sends with neither key checks nor CONFIG.
		"user " + MonitoringUser + " on #" + digest(monitoringPassword) +
			" resetkeys resetchannels -@all +ping +info +client|setname +slowlog|len +slowlog|get +latency|latest +latency|histogram",
		// TIME is answered while the data loads, PING only afterwards.
		"user " + HealthUser + " on nopass resetkeys resetchannels -@all +ping +time",
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func digest(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// RenderExporterPasswords renders ExporterFile, which maps the address that the
// exporter asks to the password.
func RenderExporterPasswords(address *url.URL, password string) (string, error) {
	user := *address
	user.User = url.User(MonitoringUser)
	b, err := json.Marshal(map[string]string{user.String(): password})
	return string(b), err
}
