//go:build integration

package integration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/certtest"
)

// place puts a certificate and its key where only a server can read the key.
func place(t *testing.T, root, name string, uid int, certificate, key []byte) {
	t.Helper()
	for suffix, raw := range map[string][]byte{".crt": certificate, ".key": key} {
		path := filepath.Join(root, name+suffix)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

// Database and cache prove who they are, and a renewed authority is believed without a
// restart.
func TestServersProveTheirNames(t *testing.T) {
	ca, next := certtest.New(t), certtest.New(t)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	trust := func(authorities ...*certtest.Authority) {
		t.Helper()
		var all []byte
		for _, a := range authorities {
			all = append(all, a.PEM...)
		}
		if err := os.WriteFile(trusted, all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(ca)

	later := time.Now().Add(time.Hour)
	renew := func(a *certtest.Authority, names ...string) {
		t.Helper()
		certificate, key := a.Issue(t, 2, later, names...)
		place(t, database.root, "server", databaseUser, certificate, key)
		place(t, cache.root, "server", cacheUser, certificate, key)
	}
	renew(ca, "localhost")
	folders++
	folder := fmt.Sprintf("tls%d", folders)
	db, err := startCluster(database.root, folder, "ssl=on", "ssl_cert_file=/server.crt", "ssl_key_file=/server.key")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.kill() })
	hba := filepath.Join(database.root, "test", folder, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("local all all trust\nhostssl all all all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &pair{}
	p.ask(t, db, "postgres", "SELECT pg_reload_conf()", "CREATE DATABASE alphapulse OWNER alphapulse_user TEMPLATE template0")
	p.ask(t, db, "alphapulse", "CREATE EXTENSION timescaledb SCHEMA public")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	redis := &server{root: cache.root, uid: cacheUser, port: port, ready: listens(port), args: []string{
		"/usr/bin/redis-server", "--port", "0", "--tls-port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp", "--aclfile", "/users.acl",
		"--tls-cert-file", "/server.crt", "--tls-key-file", "/server.key", "--tls-auth-clients", "no",
	}}
	if err := redis.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.kill() })

	databaseOn := func(host string) string {
		return fmt.Sprintf("postgresql://alphapulse_user:%s@%s:%d/alphapulse?sslmode=verify-full&sslrootcert=%s", url.QueryEscape(password), host, db.port, url.QueryEscape(trusted))
	}
	cacheOn := func(host string) string {
		return strings.Replace(cacheURL("app", password+"2", port), "redis://", "rediss://", 1)[:len("rediss://app:")] + url.QueryEscape(password+"2") + fmt.Sprintf("@%s:%d/0", host, port)
	}
	s := newStack(t, "DATABASE_URL", databaseOn("localhost"), "REDIS_URL", cacheOn("localhost"), "REDIS_CA_FILE", trusted)
	api := s.start("api")
	s.start("engine")
	s.ready(api)
	s.await(api.url+"/metrics", 200, "cache_up 1", `stream_source{source="redis"} 1`)

	// Under another name neither is believed, whoever vouches.
	strange := newStack(t, "DATABASE_URL", databaseOn("127.0.0.1"), "REDIS_URL", cacheOn("127.0.0.1"), "REDIS_CA_FILE", trusted)
	deceived := strange.start("api")
	strange.await(deceived.url+"/ready", 503, `"cache":"cannot be reached"`, "the database cannot be used")

	// The authority is changed: first both are trusted, then servers prove themselves by
	// the new one, then the old one is trusted no more.
	trust(ca, next)
	renew(next, "localhost")
	p.ask(t, db, "postgres", "SELECT pg_reload_conf()")
	redis.kill()
	trust(next)
	if err := redis.start(); err != nil {
		t.Fatal(err)
	}
	p.ask(t, db, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'alphapulse_user'")
	s.await(api.url+"/metrics", 200, "cache_up 1", "database_up 1")
	s.ready(api)
	trust(ca)
	p.ask(t, db, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'alphapulse_user'")
	s.await(api.url+"/ready", 503, "the database cannot be used")
}
