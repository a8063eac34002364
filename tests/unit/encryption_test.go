package unit

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// wired is the stack dev with settings, as its processes see it.
type wired struct {
	t       *testing.T
	objects []recorder.Object
}

func wire(t *testing.T, with map[string]string) wired {
	t.Helper()
	r, err := recorder.Stack("dev", with)
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	return wired{t, objects}
}

func (w wired) template(name string) corev1.PodSpec {
	w.t.Helper()
	for _, found := range recorder.Workloads(w.objects) {
		if found.Name == name {
			return found.Template.Spec
		}
	}
	require.Fail(w.t, "no workload "+name)
	return corev1.PodSpec{}
}

// variables of a process of the application, of its Secret and of its container.
func (w wired) variables(name string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, s := range recorder.Of[*corev1.Secret](w.objects) {
		if prefix, _, _ := strings.Cut(s.Name, "-credentials-"); prefix == name && strings.Contains(s.Name, "-credentials-") {
			maps.Copy(all, s.StringData)
		}
	}
	require.NotEmpty(w.t, all, name)
	return all
}

// reaches are the ports at which a workload lets another in.
func (w wired) reaches(from, to string) []int {
	w.t.Helper()
	var ports []int
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](w.objects) {
		if p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"] != to {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			for _, peer := range rule.From {
				if peer.PodSelector != nil && peer.PodSelector.MatchLabels["app.kubernetes.io/name"] == from {
					for _, port := range rule.Ports {
						ports = append(ports, port.Port.IntValue())
					}
				}
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// encrypted asserts that every dialect of a process tells it to check who the stores are,
// with a file that it has.
func (w wired) encrypted(name string) {
	w.t.Helper()
	v := w.variables(name)
	const file = "/etc/alphapulse/authority/ca.crt"
	for _, key := range []string{"DATABASE_URL", "TIMESCALEDB_URL"} {
		u, err := url.Parse(v[key])
		require.NoError(w.t, err)
		assert.Equal(w.t, url.Values{"sslmode": {"verify-full"}, "sslrootcert": {file}}, u.Query(), "%s: %s", name, key)
	}
	u, err := url.Parse(v["REDIS_URL"])
	require.NoError(w.t, err)
	assert.Equal(w.t, [3]string{"rediss", "cache:6380", "ssl_ca_certs=" + file}, [3]string{u.Scheme, u.Host, u.RawQuery}, name)
	for key, want := range map[string]string{
		"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": file, "TIMESCALEDB_SSLMODE": "verify-full", "TIMESCALEDB_SSLROOTCERT": file,
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": file, "REDIS_PORT": "6380", "REDIS_TLS": "true", "REDIS_CA_FILE": file,
	} {
		assert.Equal(w.t, want, v[key], "%s: %s", name, key)
	}
	spec := w.template(name)
	mounted := ""
	for _, m := range spec.Containers[0].VolumeMounts {
		if m.MountPath == "/etc/alphapulse/authority" {
			mounted = m.Name
		}
	}
	for _, volume := range spec.Volumes {
		if volume.Name == mounted && volume.Secret != nil {
			for _, s := range recorder.Of[*corev1.Secret](w.objects) {
				if s.Name == volume.Secret.SecretName {
					assert.Equal(w.t, []string{"ca.crt"}, slices.Collect(maps.Keys(s.StringData)), "%s has more than it has to check with", name)
					return
				}
			}
		}
	}
	assert.Fail(w.t, "no such file", "%s: %s", name, file)
}

// plain asserts that nothing tells a process of TLS.
func (w wired) plain(name string) {
	w.t.Helper()
	v := w.variables(name)
	for key, value := range v {
		assert.NotContains(w.t, strings.ToLower(key+value), "ssl", "%s: %s", name, key)
		assert.NotContains(w.t, value, "/etc/alphapulse/authority", "%s: %s", name, key)
	}
	assert.Contains(w.t, v["REDIS_URL"], "@cache:6379/", name)
	assert.Equal(w.t, "6379", v["REDIS_PORT"], name)
	for _, m := range w.template(name).Containers[0].VolumeMounts {
		assert.NotEqual(w.t, "/etc/alphapulse/authority", m.MountPath, name)
	}
}

func (w wired) file(name, key string) string {
	w.t.Helper()
	return secretFile(w.t, w.objects, name, key)
}

func (w wired) cachePorts() []int32 {
	var ports []int32
	for _, s := range recorder.Of[*corev1.Service](w.objects) {
		if s.Name == "cache" {
			for _, p := range s.Spec.Ports {
				ports = append(ports, p.Port)
			}
		}
	}
	return ports
}

var application = []string{"backend", "backend-engine", "backend-dashboard"}

func TestEncryptionPreferred(t *testing.T) {
	w := wire(t, nil)
	assert.Contains(t, w.file("database-pooler-config-", "pgbouncer.ini"), "client_tls_sslmode = allow\n")
	assert.Contains(t, w.file("cache-config-", "redis.conf"), "\nport 6379\n")
	assert.Contains(t, w.file("cache-config-", "redis.conf"), "\ntls-port 6380\n")
	assert.Equal(t, []int32{6379, 6380}, w.cachePorts())
	for _, name := range application {
		w.encrypted(name)
		assert.Equal(t, []int{6379, 6380}, w.reaches(name, "cache"), "%s, and its pods that have not been told yet", name)
	}
}

func TestEncryptionRequired(t *testing.T) {
	w := wire(t, map[string]string{"wireEncryption": "required"})
	assert.Contains(t, w.file("database-pooler-config-", "pgbouncer.ini"), "client_tls_sslmode = require\n")
	conf := w.file("cache-config-", "redis.conf")
	assert.Contains(t, conf, "\nport 0\n")
	assert.NotContains(t, conf, "6379")
	assert.Equal(t, []int32{6380}, w.cachePorts())
	for _, name := range application {
		w.encrypted(name)
		assert.Equal(t, []int{6380}, w.reaches(name, "cache"), name)
		// A pooler would refuse the question before it knows whether there is a database.
		wait := w.template(name).InitContainers[0]
		assert.Equal(t, "wait-for-database", wait.Name)
		assert.Contains(t, wait.Env, corev1.EnvVar{Name: "DATABASE_HOST", Value: "database"}, name)
	}
	// Probes and exporter find the one port that there is, and check who answers.
	cache := w.template("cache")
	for _, probe := range []*corev1.Probe{cache.Containers[0].StartupProbe, cache.Containers[0].LivenessProbe, cache.Containers[0].ReadinessProbe} {
		assert.Contains(t, strings.Join(probe.Exec.Command, " "), "--tls --cacert /etc/redis-tls/ca.crt -h localhost -p 6380")
	}
	assert.Contains(t, cache.Containers[1].Env, corev1.EnvVar{Name: "REDIS_ADDR", Value: "rediss://localhost:6380"})
	assert.Contains(t, cache.Containers[1].Env, corev1.EnvVar{Name: "REDIS_EXPORTER_TLS_CA_CERT_FILE", Value: "/etc/redis-tls/ca.crt"})
	assert.Contains(t, w.file("cache-exporter-", "passwords.json"), `"rediss://monitoring@localhost:6380"`)
	for _, m := range cache.Containers[1].VolumeMounts {
		for _, v := range cache.Volumes {
			if v.Name == m.Name && v.Secret != nil && m.MountPath == "/etc/redis-tls" {
				require.Len(t, v.Secret.Items, 1, "the exporter has the server's key")
				assert.Equal(t, "ca.crt", v.Secret.Items[0].Key)
			}
		}
	}
}

// Those that are excepted, and nobody else, go on as they were.
func TestEncryptionRequiredButForOne(t *testing.T) {
	w := wire(t, map[string]string{"wireEncryption": "required", "wireEncryptionExcept": `["dashboard"]`})
	assert.Contains(t, w.file("database-pooler-config-", "pgbouncer.ini"), "client_tls_sslmode = allow\n")
	assert.Equal(t, []int32{6379, 6380}, w.cachePorts())
	for _, name := range application[:2] {
		w.encrypted(name)
		assert.Equal(t, []int{6380}, w.reaches(name, "cache"), name)
	}
	w.plain("backend-dashboard")
	assert.Equal(t, []int{6379}, w.reaches("backend-dashboard", "cache"))
}

func TestEncryptionOff(t *testing.T) {
	w := wire(t, map[string]string{"wireEncryption": "off"})
	assert.NotContains(t, w.file("database-pooler-config-", "pgbouncer.ini"), "client_tls")
	assert.NotContains(t, w.file("cache-config-", "redis.conf"), "tls")
	assert.Equal(t, []int32{6379}, w.cachePorts())
	for _, name := range application {
		w.plain(name)
		assert.Equal(t, []int{6379}, w.reaches(name, "cache"), name)
	}
	// Members replicate and take sessions past the poolers over TLS all the same.
	for line := range strings.Lines(w.file("database-patroni-", "patroni.yml")) {
		if rule := strings.Trim(line, " -\n"); strings.HasPrefix(rule, "host ") {
			assert.True(t, strings.HasSuffix(rule, " reject") || strings.Contains(rule, " 127.0.0.1/32 "), "without TLS over the network: %s", rule)
		}
	}
}

// Patroni's port, which the database's members ask each other at, and poolers and probes
// them: over TLS unless all encryption is off, by names that are in the certificate.
func TestEncryptionOfPatroni(t *testing.T) {
	for encryption, secure := range map[string]bool{"required": true, "preferred": true, "off": false} {
		w := wire(t, map[string]string{"wireEncryption": encryption, "databaseInstances": "3"})
		patroni := w.file("database-patroni-", "patroni.yml")
		assert.Equal(t, secure, strings.Contains(patroni, "\nrestapi:\n  certfile: /etc/database-tls/tls.crt\n  keyfile: /etc/database-tls/tls.key\n"), encryption)
		assert.NotContains(t, patroni, "verify_client", "%s: probes have no certificate", encryption)
		var server, agent corev1.Container
		for _, c := range w.template("database-g1").Containers {
			switch c.Name {
			case "postgresql":
				server = c
			case "agent":
				agent = c
			}
		}
		scheme := corev1.URIScheme("")
		if secure {
			scheme = corev1.URISchemeHTTPS
		}
		for _, probe := range []*corev1.Probe{server.StartupProbe, server.LivenessProbe, server.ReadinessProbe} {
			assert.Equal(t, scheme, probe.HTTPGet.Scheme, "%s: %s", encryption, probe.HTTPGet.Path)
		}
		assert.Empty(t, agent.ReadinessProbe.HTTPGet.Scheme, "the agent's own has no TLS")
		handover := server.Lifecycle.PreStop.Exec.Command
		for _, flags := range [][]string{agent.Args, handover} {
			i := slices.Index(flags, "-patroni")
			require.Equal(t, secure, i >= 0, "%s: %q", encryption, flags)
			if !secure {
				continue
			}
			found := certificates(t, w.objects)["database-tls"]
			pool := x509.NewCertPool()
			for _, root := range found.roots {
				pool.AddCert(root)
			}
			_, err := found.leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: flags[i+1]})
			assert.NoError(t, err, "Patroni as %s", flags[i+1])
		}
		pooler := w.template("database-pooler").InitContainers[0].Args
		assert.Equal(t, secure, slices.Contains(pooler, "-patroni-tls"), "%s: %q", encryption, pooler)
	}
}

// Poolers ask members either way, and those of before do not: in an update members start
// anew only when the poolers have.
func TestPoolersAreToldOfPatroniFirst(t *testing.T) {
	update, _ := internalRotation(t, "", nil)
	poolers, members := update.Find("kubernetes:apps/v1:Deployment", "database-pooler"), update.Find("kubernetes:apps/v1:StatefulSet", "database-g1")
	require.Len(t, poolers, 1)
	require.Len(t, members, 1)
	assert.Contains(t, members[0].RPC.GetDependencies(), urn(poolers[0]))
}

// What a client is told to connect to is a name in the certificate of who answers there,
// under every name that a stack gives it.
func TestCertificatesHaveTheNamesThatClientsAreTold(t *testing.T) {
	for direct, database := range map[string]string{"false": "database-pooler-tls", "true": "database-tls"} {
		with := map[string]string{"databaseDirect": direct, "maxConnections": "2", "databaseAliases": `["timescaledb"]`, "cacheAliases": `["redis"]`}
		w := wire(t, with)
		v := w.variables("backend")
		found := certificates(t, w.objects)
		for secret, names := range map[string][]string{database: {v["DB_HOST"], "timescaledb"}, "cache-tls": {v["REDIS_HOST"], "redis", "localhost"}} {
			pool := x509.NewCertPool()
			for _, root := range found["backend-authority"].roots {
				pool.AddCert(root)
			}
			for _, name := range names {
				_, err := found[secret].leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
				assert.NoError(t, err, "databaseDirect %s: %s as %s", direct, secret, name)
			}
		}
	}
}

// nginx is the edge's configuration.
func (w wired) nginx() string { return w.file("edge-nginx-", "nginx.conf") }

// The edge asks a workload over TLS where its build speaks it, and nobody else may ask it
// without but who watches it.
func TestEncryptionFromTheEdge(t *testing.T) {
	ports := map[string]string{"backendTlsPort": "8443", "dashboardTlsPort": "8444", "frontendTlsPort": "8445"}
	behind := map[string]struct {
		upstream    string
		plain, port int
	}{"backend": {"api", 8000, 8443}, "backend-dashboard": {"dashboard", 8050, 8444}, "frontend": {"ui", 3000, 8445}}
	for encryption, both := range map[string]bool{"required": false, "preferred": true} {
		with := maps.Clone(ports)
		with["wireEncryption"] = encryption
		w := wire(t, with)
		conf := w.nginx()
		assert.Contains(t, conf, "proxy_ssl_verify on;")
		assert.Contains(t, conf, "proxy_ssl_trusted_certificate /etc/edge-authority/ca.crt;")
		found := certificates(t, w.objects)
		pool := x509.NewCertPool()
		for _, root := range found["edge-authority"].roots {
			pool.AddCert(root)
		}
		for name, b := range behind {
			assert.Contains(t, conf, fmt.Sprintf("server %s-pods.alphapulse-dev.svc@domain@:%d resolve", name, b.port))
			assert.Contains(t, conf, fmt.Sprintf("\n    %s %s-pods;\n", b.upstream, name), "whoever answers is believed")
			assert.Contains(t, conf, "proxy_pass https://"+b.upstream+";")
			assert.NotContains(t, conf, "proxy_pass http://"+b.upstream+";")
			_, err := found[name+"-tls"].leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name + "-pods"})
			assert.NoError(t, err, name)
			want := []int{b.port}
			if both {
				want = []int{b.plain, b.port}
			}
			slices.Sort(want)
			assert.Equal(t, want, w.reaches("edge", name), "%s: %s", encryption, name)
			container := w.template(name).Containers[0]
			assert.Contains(t, container.Env, corev1.EnvVar{Name: "TLS_PORT", Value: fmt.Sprint(b.port)})
			assert.Contains(t, container.Env, corev1.EnvVar{Name: "TLS_CERT_FILE", Value: "/etc/alphapulse/tls/tls.crt"})
			assert.Contains(t, container.Env, corev1.EnvVar{Name: "TLS_KEY_FILE", Value: "/etc/alphapulse/tls/tls.key"})
		}
		assert.Contains(t, conf, "proxy_pass http://grafana;")
	}
	// Without encryption they offer it, and nobody asks: so the way over loses nothing.
	with := maps.Clone(ports)
	with["wireEncryption"] = "off"
	w := wire(t, with)
	assert.NotContains(t, w.nginx(), "proxy_ssl")
	assert.Equal(t, []int{8000}, w.reaches("edge", "backend"))
	assert.Contains(t, w.template("backend").Containers[0].Env, corev1.EnvVar{Name: "TLS_PORT", Value: "8443"})
}

// An edge that asks at a port of theirs which is new comes after them.
func TestTheEdgeComesAfterWhatItAsksOverTLS(t *testing.T) {
	for port, want := range map[string]bool{"8443": true, "0": false} {
		r, err := recorder.Stack("dev", map[string]string{"backendTlsPort": port})
		require.NoError(t, err)
		edge, api := r.Find("kubernetes:apps/v1:Deployment", "edge"), r.Find("kubernetes:apps/v1:Deployment", "backend")
		require.Len(t, edge, 1)
		require.Len(t, api, 1)
		assert.Equal(t, want, slices.Contains(edge[0].RPC.GetDependencies(), urn(api[0])), "backendTlsPort %s", port)
	}
}

func TestEncryptionThatIsRefused(t *testing.T) {
	for says, with := range map[string]map[string]string{
		`wireEncryption: "sometimes"`: {"wireEncryption": "sometimes"},
		`"exporter" is no process of the application: choose from api, engine, dashboard`: {"wireEncryptionExcept": `["exporter"]`},
		"wireEncryptionExcept: api: with databaseDirect true it reaches the members, who": {"wireEncryptionExcept": `["api"]`, "databaseDirect": "true", "maxConnections": "10"},
		"wireEncryptionExcept: it has an effect only while wireEncryption is not off":     {"wireEncryptionExcept": `["api"]`, "wireEncryption": "off"},
		"backendTlsPort: 8000 is backendPort, too: choose another":                        {"backendTlsPort": "8000"},
		"backendEnv.PGSSLMODE: the program sets this variable, from wireEncryption":       {"backendEnv": `{"PGSSLMODE":"disable"}`},
	} {
		assert.Contains(t, refused(t, recorder.Options{Config: with}), says)
	}
}

// TestDocumentedEncryption: what the page shows can be set as it stands there, and has an
// effect.
func TestDocumentedEncryption(t *testing.T) {
	root, err := recorder.Root()
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "encryption.md"))
	require.NoError(t, err)
	before := prod(t, nil)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		with, err := recorder.Config([]byte("config:\n" + regexp.MustCompile("(?m)^").ReplaceAllString(strings.TrimSpace(block[1]), "  ") + "\n"))
		require.NoError(t, err)
		require.NotEmpty(t, with)
		assert.NotEmpty(t, recorder.Changed(before, prod(t, with)), "%v", with)
	}
}
