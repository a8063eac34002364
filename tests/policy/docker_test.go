package policy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// host is the recorded stack of a Docker host.
type host struct {
	recording  *recorder.Recording
	containers []recorder.Container
}

// hosts are variants that every rule holds for.
var hosts = map[string]map[string]string{
	"single":                             {},
	"single with Grafana and Prometheus": {"grafanaLoopbackPort": "13000", "prometheusLoopbackPort": "19090"},
	"single with receivers":              {"alertWebhookUrl": "https://hooks.example.com/a", "backendSecretEnv": `{"BINANCE_API_KEY":"binance-secret"}`},
	"single with another team's image": {"backendImage": "registry.example.com/team/api:2.0", "backendMetricsPath": "-",
		"engineEnabled": "false", "tradingEnabled": "false", "dashboardEnabled": "false", "frontendMetricsPath": "-",
		// Those of what is off are the defaults again: a size without an effect is refused.
		"engineResources":    `{"requests":{"cpu":"500m","memory":"1Gi"},"limits":{"cpu":"1","memory":"2Gi"}}`,
		"dashboardResources": `{"requests":{"cpu":"250m","memory":"256Mi"},"limits":{"cpu":"500m","memory":"512Mi"}}`},
	"single protected":    {"protect": "true"},
	"single with backups": {"databaseBackup": "path", "databaseBackupHostPath": "/srv/backup", "databaseRestore": "latest"},
	"single with backups elsewhere": {"databaseBackup": "s3", "databaseBackupEndpoint": "s3.example.com", "databaseBackupBucket": "acme-backups",
		"databaseBackupKey": "key-of-the-bucket", "databaseBackupKeySecret": "secret-of-the-bucket"},
	"single with traces in Elasticsearch": {"tracesBackend": "elasticsearch", "tracesUrl": "https://es.example.com:9200", "tracesCredential": "key-of-elasticsearch",
		"edgeTraceSampling": "0.05"},
	"single with logs and traces": {"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05"},
}

func eachHost(t *testing.T, check func(t *testing.T, h host)) {
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		t.Run(name, func(t *testing.T) {
			config, err := recorder.StackConfig("single")
			require.NoError(t, err)
			maps.Copy(config, hosts[name])
			r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: []string{"alertWebhookUrl", "backendSecretEnv", "databaseBackupKey", "databaseBackupKeySecret", "tracesCredential"}})
			require.NoError(t, err)
			containers, err := r.Containers()
			require.NoError(t, err)
			require.Greater(t, len(containers), 15)
			check(t, host{recording: r, containers: containers})
		})
	}
}

// filler begins the name of what fills a volume, and ends; the try follows.
const filler = "alphapulse-single-database-fill-"

// running are the containers that run, and go on.
func (h host) running() []recorder.Container {
	return slices.DeleteFunc(slices.Clone(h.containers), func(c recorder.Container) bool { return c.Carrier() || strings.HasPrefix(c.Name, filler) })
}

// toRepository are the containers that reach a folder of the host with backups, and whether
// they may write there.
var toRepository = map[string]bool{"database": true, "backup": true, "backup-proof": false, "database-fill": true}

// of is a container by its name below the stack's prefix.
func (h host) of(t *testing.T, name string) recorder.Container {
	t.Helper()
	for _, c := range h.containers {
		if c.Name == "alphapulse-single-"+name {
			return c
		}
	}
	require.Fail(t, "no container "+name)
	return recorder.Container{}
}

// ofRoot are containers that run as root, without a capability: the engine's log files
// are root's, and so is a new volume where the image has no folder to take its owner from.
var ofRoot = []string{"telemetry-collector", "telemetry-logs", "telemetry-reader", "telemetry-traces"}

// TestContainersAreHardened: a container that is broken out of finds nothing to write,
// no capability and no way to get one.
func TestContainersAreHardened(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range h.containers {
			assert.False(t, c.Privileged, c.Name)
			assert.Equal(t, []string{"ALL"}, c.Capabilities.Drops, c.Name)
			assert.Empty(t, c.Capabilities.Adds, c.Name)
			assert.Equal(t, []string{"no-new-privileges:true"}, c.SecurityOpts, c.Name)
			for _, m := range c.Mounts {
				if writes, ok := toRepository[recorder.Attempt.ReplaceAllString(strings.TrimPrefix(c.Name, "alphapulse-single-"), "")]; ok && m.Type == "bind" {
					assert.Equal(t, "/srv/backup", m.Source, c.Name)
					assert.Equal(t, !writes, m.ReadOnly, "%s: the repository", c.Name)
				} else if m.Type == "bind" {
					assert.Equal(t, "alphapulse-single-telemetry-reader", c.Name, "%s reaches into the host at %s", c.Name, m.Source)
					assert.Equal(t, "/var/lib/docker/containers", m.Source)
					assert.True(t, m.ReadOnly, "%s can write to the host", c.Name)
				}
			}
			if c.Carrier() {
				assert.Equal(t, "none", c.NetworkMode, c.Name)
				assert.Equal(t, "no", c.Restart, c.Name)
				continue
			}
			assert.True(t, c.ReadOnly, "%s can write to its root", c.Name)
			if slices.Contains(ofRoot, strings.TrimPrefix(c.Name, "alphapulse-single-")) {
				assert.Equal(t, "0:0", c.User, c.Name)
			} else {
				assert.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, c.User, "%s runs as root or as a name", c.Name)
			}
			assert.Equal(t, map[bool]string{true: "no", false: "unless-stopped"}[strings.HasPrefix(c.Name, filler)], c.Restart, c.Name)
		}
	})
}

// TestContainersAreBounded: in memory, without swap behind it, in CPU, in what they
// keep in memory, and in their logs; and each has the time that it needs to stop.
func TestContainersAreBounded(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range slices.DeleteFunc(slices.Clone(h.containers), recorder.Container.Carrier) {
			assert.Positive(t, c.Memory, c.Name)
			assert.Equal(t, c.Memory, c.MemorySwap, "%s may swap", c.Name)
			assert.Positive(t, c.MemoryReservation, c.Name)
			assert.LessOrEqual(t, c.MemoryReservation, c.Memory, c.Name)
			assert.NotEmpty(t, c.Cpus, c.Name)
			assert.GreaterOrEqual(t, c.CPUShares, 2, c.Name)
			assert.Less(t, c.ShmSize, c.Memory, "%s: /dev/shm is part of the memory", c.Name)
			assert.Equal(t, "json-file", c.LogDriver, c.Name)
			assert.NotEmpty(t, c.LogOpts["max-size"], c.Name)
			assert.NotEmpty(t, c.LogOpts["max-file"], c.Name)
			assert.Positive(t, c.DestroyGraceSeconds, c.Name)
			assert.Equal(t, c.DestroyGraceSeconds, c.StopTimeout, c.Name)
			for _, m := range c.Mounts {
				if m.Type == "tmpfs" {
					assert.Positive(t, m.TmpfsOptions.SizeBytes, "%s: %s", c.Name, m.Target)
				}
			}
		}
	})
}

// withoutHealth are exporters whose images hold nothing but their own binary, which
// cannot ask itself. Prometheus notices when one does not answer.
var withoutHealth = []string{"cache-exporter", "edge-exporter", "telemetry-collector", "telemetry-logs", "telemetry-reader", "telemetry-traces"}

// imagesOwn are containers whose images bring their check: any build fits the slot.
var imagesOwn = []string{"backend-1", "backend-2", "backend-engine", "backend-dashboard", "frontend"}

// TestContainersSayWhetherTheyWork, and an update waits until they do.
func TestContainersSayWhetherTheyWork(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range h.running() {
			name := strings.TrimPrefix(c.Name, "alphapulse-single-")
			if slices.Contains(withoutHealth, name) {
				assert.Nil(t, c.Healthcheck, c.Name)
				continue
			}
			require.NotNil(t, c.Wait, c.Name)
			assert.True(t, *c.Wait, "%s: an update does not wait for it", c.Name)
			assert.Positive(t, c.WaitTimeout, c.Name)
			if slices.Contains(imagesOwn, name) {
				assert.Nil(t, c.Healthcheck, "%s overrides the check of its image", c.Name)
				continue
			}
			require.NotNil(t, c.Healthcheck, c.Name)
			assert.Equal(t, "CMD", c.Healthcheck.Tests[0], c.Name)
			assert.Positive(t, c.Healthcheck.Retries, c.Name)
			for _, s := range []string{c.Healthcheck.Interval, c.Healthcheck.Timeout, c.Healthcheck.StartPeriod} {
				d, err := time.ParseDuration(s)
				require.NoError(t, err, c.Name)
				// The engine gives it back in this form; another would be a change for ever.
				assert.Equal(t, d.String(), s, c.Name)
				assert.Positive(t, d, c.Name)
			}
		}
	})
	root, err := recorder.Root()
	require.NoError(t, err)
	for _, file := range []string{"Dockerfile.backend.prod", "Dockerfile.frontend.prod"} {
		text, err := os.ReadFile(filepath.Join(root, "docker", file))
		require.NoError(t, err)
		assert.Contains(t, string(text), "\nHEALTHCHECK ", "%s has no check of its own", file)
	}
}

// TestNoChangeIsOnlyNoted: the provider reports an update of these and makes none, so that
// a server would stay on the volume that a restore has left.
func TestNoChangeIsOnlyNoted(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range h.containers {
			if c.Healthcheck != nil {
				assert.Contains(t, c.Recorded.RPC.GetReplaceOnChanges(), "healthcheck", "%s keeps an old check", c.Name)
			}
			if len(c.Mounts) > 0 {
				assert.Contains(t, c.Recorded.RPC.GetReplaceOnChanges(), "mounts", "%s keeps an old volume", c.Name)
			}
		}
	})
}

// TestOnlyTheEdgePublishes, on every address; Grafana and Prometheus on the host's own
// when asked to.
func TestOnlyTheEdgePublishes(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		published := map[string]string{}
		for _, c := range h.containers {
			for _, p := range c.Ports {
				published[strings.TrimPrefix(c.Name, "alphapulse-single-")] += fmt.Sprintf("%s:%d->%d ", p.IP, p.External, p.Internal)
			}
		}
		want := map[string]string{"edge": "0.0.0.0:30443->8443 0.0.0.0:30080->8080 "}
		if strings.Contains(t.Name(), "Grafana") {
			want["monitoring-grafana"] = "127.0.0.1:13000->3000 "
			want["monitoring-prometheus"] = "127.0.0.1:19090->9090 "
		}
		assert.Equal(t, want, published)
	})
}

// TestSecretsStayInFiles: what `docker inspect` shows holds no credential, and the
// files' contents are Pulumi secrets.
func TestSecretsStayInFiles(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		secrets := map[string]bool{"binance-secret": false, "https://hooks.example.com/a": false}
		for _, x := range h.recording.Find("random:index/randomPassword:RandomPassword", "") {
			secrets[recorder.Generated(x.Name)] = false
		}
		for _, c := range h.containers {
			for i, u := range c.Uploads {
				raw := c.Recorded.Inputs["uploads"]
				for raw.IsSecret() {
					raw = raw.SecretValue().Element
				}
				content := raw.ArrayValue()[i]
				for content.IsSecret() {
					content = content.SecretValue().Element
				}
				marked := c.Recorded.Inputs["uploads"].IsSecret() || raw.ArrayValue()[i].IsSecret() || content.ObjectValue()["content"].IsSecret()
				for s := range secrets {
					if strings.Contains(u.Content, s) {
						assert.True(t, marked, "%s: %s holds a secret and is none", c.Name, u.File)
						secrets[s] = true
					}
				}
				assert.NotEmpty(t, u.Content, "%s: %s: the provider takes no empty file", c.Name, u.File)
			}
			c.Uploads, c.Recorded = nil, recorder.Resource{}
			shown := fmt.Sprintf("%+v %+v", c, c.Healthcheck)
			for s := range secrets {
				assert.NotContains(t, shown, s, "%s shows a secret", c.Name)
			}
		}
		for _, name := range []string{"credentials-database-monitoring", "credentials-database-application", "credentials-grafana-admin"} {
			assert.True(t, secrets[recorder.Generated(name)], "%s reaches no container", name)
		}
		volumes, err := h.recording.Volumes()
		require.NoError(t, err)
		for _, v := range volumes {
			assert.False(t, v.Recorded.Inputs["name"].IsSecret(), v.Name)
			for s := range secrets {
				assert.NotContains(t, v.Name, s)
			}
		}
	})
}

// TestCredentialsGoToTheirReaders only: each process has files for its secrets, by the
// variables' names, and no variable both as a file and as a value.
func TestCredentialsGoToTheirReaders(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range h.running() {
			if !strings.HasPrefix(c.Name, "alphapulse-single-backend") {
				continue
			}
			env := map[string]string{}
			for _, e := range c.Envs {
				k, v, _ := strings.Cut(e, "=")
				env[k] = v
			}
			carried := map[string]bool{}
			for _, u := range h.of(t, strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(c.Name, "alphapulse-single-"), "-1"), "-2")+"-files").Uploads {
				carried["/etc/alphapulse/credentials/"+filepath.Base(u.File)] = true
			}
			files := 0
			for k, v := range env {
				if name, ok := strings.CutSuffix(k, "_FILE"); ok {
					files++
					assert.NotContains(t, env, name, "%s has it twice", c.Name)
					assert.True(t, carried[v], "%s: %s names no file", c.Name, k)
				}
			}
			assert.Equal(t, len(carried), files, c.Name)
			for _, dialect := range []string{"DATABASE_URL_FILE", "DB_HOST", "DB_PASSWORD_FILE", "TIMESCALEDB_HOST", "TIMESCALEDB_URL_FILE",
				"REDIS_URL_FILE", "REDIS_HOST", "REDIS_PASSWORD_FILE", "JWT_SECRET_KEY_FILE", "SECRET_KEY_FILE", "MAX_SYMBOLS"} {
				assert.Contains(t, env, dialect, c.Name)
			}
			dashboard := strings.HasSuffix(c.Name, "dashboard")
			if strings.Contains(t.Name(), "receivers") {
				assert.Equal(t, !dashboard, env["BINANCE_API_KEY_FILE"] != "", c.Name)
			}
			trades := env["TRADING_ENABLED"] == "true"
			assert.Equal(t, strings.HasSuffix(c.Name, "engine"), trades, "%s: trading", c.Name)
		}
	})
}

// TestMountsAreWhole: what is mounted exists, read-only where it is configuration; no
// mount lies in another, whose folder may not be written to; and every file of the
// command lines is there.
func TestMountsAreWhole(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		volumes, err := h.recording.Volumes()
		require.NoError(t, err)
		known := map[string]recorder.Volume{}
		for _, v := range volumes {
			_, twice := known[v.Name]
			assert.False(t, twice, "two volumes called %s", v.Name)
			known[v.Name] = v
		}
		filled := map[string][]string{} // by volume
		for _, c := range h.containers {
			for _, u := range c.Uploads {
				for _, m := range c.Mounts {
					if name, ok := strings.CutPrefix(u.File, m.Target+"/"); ok {
						filled[m.Source] = append(filled[m.Source], name)
					}
				}
			}
		}
		writers := map[string]int{}
		for _, c := range h.running() {
			at := map[string]bool{}
			for _, m := range c.Mounts {
				for _, other := range c.Mounts {
					assert.False(t, strings.HasPrefix(m.Target, other.Target+"/"), "%s: %s lies in %s", c.Name, m.Target, other.Target)
				}
				if m.Type != "volume" {
					continue
				}
				v, ok := known[m.Source]
				require.True(t, ok, "%s mounts %s, which nothing makes", c.Name, m.Source)
				if v.HoldsData() && m.ReadOnly {
					assert.Equal(t, "alphapulse-single-backup", c.Name, "it reads another's data")
				} else if v.HoldsData() {
					writers[v.Name]++
				}
				if names := filled[m.Source]; len(names) > 0 {
					assert.True(t, m.ReadOnly, "%s may write to its configuration at %s", c.Name, m.Target)
					for _, n := range names {
						at[m.Target+"/"+n] = true
					}
				}
			}
			for _, arg := range slices.Concat(c.Entrypoints, c.Command, c.Envs) {
				for _, word := range strings.FieldsFunc(arg, func(r rune) bool { return r == '=' || r == ' ' }) {
					if strings.HasPrefix(word, "/etc/") && filepath.Ext(word) != "" && !at[word] {
						assert.Fail(t, "a file is missing", "%s reads %s", c.Name, word)
					}
				}
			}
		}
		for name, n := range writers {
			assert.Equal(t, 1, n, "%d containers write to %s", n, name)
		}
		assert.Len(t, writers, dataVolumes(t))
	})
}

// dataVolumes is how many volumes hold data in the variant of a test.
func dataVolumes(t *testing.T) int {
	if strings.Contains(t.Name(), "logs_and_traces") {
		return 9
	}
	if strings.Contains(t.Name(), "Elasticsearch") {
		return 6 // what waits for it
	}
	return 5
}

// TestDataOutlivesADestroy unless told otherwise; what can be made again does not.
func TestDataOutlivesADestroy(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		volumes, err := h.recording.Volumes()
		require.NoError(t, err)
		data := 0
		for _, v := range volumes {
			protected := v.HoldsData() && strings.Contains(t.Name(), "protected")
			assert.Equal(t, v.HoldsData(), v.Recorded.RPC.GetRetainOnDelete(), "%s", v.Name)
			assert.Equal(t, protected, v.Recorded.RPC.GetProtect(), "%s", v.Name)
			if v.HoldsData() {
				data++
			}
		}
		assert.Equal(t, dataVolumes(t), data)
		var names []string
		for _, name := range h.recording.Outputs["volumes"].(map[string]string) {
			names = append(names, name)
		}
		assert.Len(t, names, dataVolumes(t))
	})
}

// TestNetworksFollowFromTheLinks: the stores and the exporters have no way out of the
// host, only the edge is where ports are published, and who talks to each other meets.
func TestNetworksFollowFromTheLinks(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		networks := h.recording.Networks()
		on := map[string][]string{}
		for _, c := range h.running() {
			name := strings.TrimPrefix(c.Name, "alphapulse-single-")
			assert.NotEmpty(t, c.NetworksAdvanced, c.Name)
			for _, n := range c.NetworksAdvanced {
				_, ok := networks[n.Name]
				assert.True(t, ok, "%s is on %s, which nothing makes", c.Name, n.Name)
				on[name] = append(on[name], strings.TrimPrefix(n.Name, "alphapulse-single-"))
			}
		}
		for name, internal := range networks {
			zone := strings.TrimPrefix(name, "alphapulse-single-")
			assert.Equal(t, zone != "entry" && zone != "exit", internal, "%s", name)
		}
		elsewhere := strings.Contains(t.Name(), "backups_elsewhere")
		if !elsewhere {
			assert.Equal(t, []string{"data"}, on["database"])
		}
		assert.Equal(t, []string{"data"}, on["cache"])
		assert.Equal(t, []string{"watch"}, on["database-exporter"])
		assert.NotContains(t, on["edge"], "data")
		assert.NotContains(t, on["frontend"], "data")
		for name, zones := range on {
			published := name == "edge" || strings.Contains(t.Name(), "Grafana") && (name == "monitoring-grafana" || name == "monitoring-prometheus")
			assert.Equal(t, published, slices.Contains(zones, "entry"), "%s: entry", name)
			goesOut := strings.HasPrefix(name, "backend-") && name != "backend-dashboard" ||
				name == "monitoring-alertmanager" && strings.Contains(t.Name(), "receivers") ||
				elsewhere && slices.Contains([]string{"database", "backup", "backup-proof"}, name) ||
				name == "telemetry-traces" && strings.Contains(t.Name(), "Elasticsearch") ||
				name == "monitoring-grafana" && strings.Contains(t.Name(), "logs") // its data source of log lines
			assert.Equal(t, goesOut, slices.Contains(zones, "exit"), "%s: exit", name)
		}
		meet := func(a, b string) {
			t.Helper()
			if len(on[a]) == 0 || len(on[b]) == 0 {
				return // a build without it
			}
			assert.True(t, slices.ContainsFunc(on[a], func(z string) bool { return slices.Contains(on[b], z) }), "%s and %s do not meet", a, b)
		}
		for _, to := range []string{"frontend", "backend-1", "backend-2", "backend-dashboard", "monitoring-grafana", "monitoring-prometheus", "edge-exporter", "edge-prober", "edge-counter"} {
			meet("edge", to)
		}
		for _, from := range []string{"backend-1", "backend-2", "backend-engine", "backend-dashboard", "database-reconcile"} {
			meet(from, "database")
		}
		meet("cache-exporter", "cache")
		for _, to := range []string{"monitoring-alertmanager", "monitoring-grafana", "database-exporter", "cache-exporter", "edge-exporter", "edge-prober", "edge-counter"} {
			meet("monitoring-prometheus", to)
		}
	})
}

// TestEveryTargetIsScraped: Prometheus names a container and a port of one for each,
// which it meets.
func TestEveryTargetIsScraped(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		var file string
		for _, u := range h.of(t, "monitoring-prometheus-files").Uploads {
			if strings.HasSuffix(u.File, "/prometheus.yml") {
				file = u.Content
			}
		}
		for _, c := range h.running() {
			name := strings.TrimPrefix(c.Name, "alphapulse-single-")
			scraped := strings.Contains(file, "- "+name+":")
			switch name {
			case "database", "cache", "edge", "database-reconcile", "telemetry-reader":
				assert.False(t, scraped, "%s speaks no Prometheus", name)
			default:
				served := !strings.Contains(t.Name(), "another_team") || !strings.HasPrefix(name, "backend") && name != "frontend"
				assert.Equal(t, served, scraped, name)
			}
		}
	})
}

// TestDockerImagesArePinned by a tag or digest, and containers name them by their IDs,
// as the provider wants it.
func TestDockerImagesArePinned(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		images := h.recording.Images()
		for _, c := range h.containers {
			name, ok := images[c.Image]
			require.True(t, ok, "%s: %s is no image of the stack's", c.Name, c.Image)
			ref, err := reference.ParseNormalizedNamed(name)
			require.NoError(t, err)
			tagged, ok := ref.(reference.Tagged)
			require.True(t, ok, "%s has no tag", name)
			assert.NotEqual(t, "latest", tagged.Tag(), name)
		}
	})
}

// TestContainersAreReplacedOneForOne: two of one name cannot be, so the old one goes first.
// What fills a volume has another name at each try, and stands beside the one of before: a
// server that waits for it would go at once with one that goes first.
func TestContainersAreReplacedOneForOne(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		for _, c := range h.containers {
			assert.Equal(t, !recorder.Attempt.MatchString(c.Name), c.Recorded.RPC.GetDeleteBeforeReplace(), c.Name)
		}
		for _, r := range h.recording.Resources {
			// What depends on what is deleted first is deleted with it, at once: a container
			// whose image is only about to be looked into.
			if r.Type == "docker:index/remoteImage:RemoteImage" {
				assert.True(t, r.RPC.GetDeleteBeforeReplaceDefined() && !r.RPC.GetDeleteBeforeReplace(), r.Name)
			}
		}
	})
}
