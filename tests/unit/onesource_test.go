package unit

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// bothTargets runs the same settings on a cluster and on a Docker host and gives the
// files of each, by workload and name, e.g. "database/pg_hba.conf".
func bothTargets(t *testing.T) (cluster, host map[string]string) {
	t.Helper()
	shared, err := recorder.StackConfig("single")
	require.NoError(t, err)
	for _, s := range stacks.Settings() {
		if !s.On(room.Kubernetes) || s.Key == "target" {
			delete(shared, s.Key)
		}
	}
	shared["alertWebhookUrl"] = "https://hooks.example.com/a"
	shared["databaseAliases"] = `["timescaledb"]`
	run := func(with map[string]string) *recorder.Recording {
		config := maps.Clone(shared)
		maps.Copy(config, with)
		r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: []string{"alertWebhookUrl"}})
		require.NoError(t, err)
		return r
	}

	cluster, host = map[string]string{}, map[string]string{}
	for _, x := range run(map[string]string{"databaseInstances": "1", "wireEncryption": "off"}).Resources {
		for _, field := range []string{"data", "stringData"} {
			data, ok := recorder.Plain(x.Inputs)[field].(map[string]any)
			if !ok || x.Kind() != "ConfigMap" && x.Kind() != "Secret" {
				continue
			}
			parent := x.RPC.GetParent()
			for file, text := range data {
				cluster[parent[strings.LastIndex(parent, "::")+2:]+"/"+file] = text.(string)
			}
		}
	}
	r := run(map[string]string{"target": "docker"})
	containers, err := r.Containers()
	require.NoError(t, err)
	for _, c := range containers {
		parent := c.Recorded.RPC.GetParent()
		for _, u := range c.Uploads {
			host[parent[strings.LastIndex(parent, "::")+2:]+"/"+path.Base(u.File)] = u.Content
		}
	}
	return cluster, host
}

// withoutRollouts are the marks of rollouts in a dashboard, of which a Docker host has none.
var withoutRollouts = regexp.MustCompile(`(?s)"list": \[\s*\{\s*"name": "Rollout".*?\}\s*\]`)

// TestOneSource: the files that the Docker host mounts are the cluster's, byte for
// byte. The database's differ: on a cluster it has members. So does what is encrypted.
func TestOneSource(t *testing.T) {
	cluster, host := bothTargets(t)
	for _, file := range []string{
		"cache/redis.conf", "cache/users.acl",
		"edge/start.sh", "edge/tls.crt", "edge/tls.key", "edge/htpasswd",
		"monitoring/datasources.yaml", "monitoring/providers.yaml", "monitoring/trading.json",
		"monitoring/webhook-url",
	} {
		require.NotEmpty(t, cluster[file], "%s is not on the cluster", file)
		assert.Equal(t, withoutRollouts.ReplaceAllString(cluster[file], `"list": []`), host[file], file)
	}
	// And so are the credentials of the application, but for where its stores are.
	address := strings.NewReplacer("@database:", "@HOST:", "@database-pooler:", "@HOST:", "@cache:", "@HOST:")
	for _, name := range []string{"DATABASE_URL", "TIMESCALEDB_URL", "REDIS_URL", "DB_PASSWORD", "TIMESCALEDB_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET_KEY", "SECRET_KEY"} {
		require.NotEmpty(t, cluster["backend/"+name])
		assert.Equal(t, address.Replace(cluster["backend/"+name]), address.Replace(host["backend/"+name]), name)
	}
}

// TestOneSourceOfTheEdge: nginx.conf differs in the names of the services and in where
// nginx' own figures are served, and in nothing else.
func TestOneSourceOfTheEdge(t *testing.T) {
	cluster, host := bothTargets(t)
	want := cluster["edge/nginx.conf"]
	for from, to := range map[string]string{
		"server frontend-pods.alphapulse-single.svc@domain@:":          "server frontend:",
		"server backend-pods.alphapulse-single.svc@domain@:":           "server backend:",
		"server backend-dashboard-pods.alphapulse-single.svc@domain@:": "server backend-dashboard:",
		"server monitoring-grafana.alphapulse-single.svc@domain@:":     "server monitoring-grafana:",
		"server monitoring-prometheus.alphapulse-single.svc@domain@:":  "server monitoring-prometheus:",
		"listen 127.0.0.1:8081;":                                       "listen 0.0.0.0:8081;",
		"server=127.0.0.1:9125,":                                       "server=unix:/run/edge-counter/statsd.sock,",
	} {
		require.Contains(t, want, from)
		want = strings.ReplaceAll(want, from, to)
	}
	// Pods alone have somebody who looks for failed handshakes.
	looking := regexp.MustCompile(`(?m)^  # Who listens there, in the same pod.*\n  error_log syslog:.*\n`)
	require.Regexp(t, looking, want)
	assert.Equal(t, looking.ReplaceAllString(want, ""), host["edge/nginx.conf"])
}

// TestOneSourceOfPrometheus: its configuration differs in how targets are found, the
// rules in those that need kube-state-metrics.
func TestOneSourceOfPrometheus(t *testing.T) {
	cluster, host := bothTargets(t)
	read := func(text string) (m map[string]any) {
		require.NoError(t, yaml.Unmarshal([]byte(text), &m))
		require.NotEmpty(t, m)
		return m
	}
	onCluster, onHost := read(cluster["monitoring/prometheus.yml"]), read(host["monitoring/prometheus.yml"])
	require.NotEqual(t, onCluster["scrape_configs"], onHost["scrape_configs"])
	delete(onCluster, "scrape_configs")
	delete(onHost, "scrape_configs")
	assert.Equal(t, onCluster, onHost)

	rules := func(text string) map[string]any {
		all := map[string]any{}
		for _, g := range read(text)["groups"].([]any) {
			for _, r := range g.(map[string]any)["rules"].([]any) {
				key, err := json.Marshal(r)
				require.NoError(t, err)
				all[string(key)] = r
			}
		}
		return all
	}
	// What runs the database's members is called otherwise than a host's one server.
	there, here := rules(strings.ReplaceAll(cluster["monitoring/rules.yml"], "workload: database-g1", "workload: database")), rules(host["monitoring/rules.yml"])
	assert.Greater(t, len(here), 20)
	for r := range here {
		assert.Contains(t, there, r, "a rule of the Docker host's own")
	}
	for r := range there {
		_, ok := here[r]
		assert.Equal(t, !needsKubernetes(r), ok, "%s", r)
	}
}

// TestOneSourceOfAlertmanager: its configuration differs in what alerts silence that only a
// cluster tells of, and in the database's name there, which is that of its set.
func TestOneSourceOfAlertmanager(t *testing.T) {
	cluster, host := bothTargets(t)
	const node, ofJob = "NodeLost", `workload="database"`
	var there, here map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(cluster["monitoring/alertmanager.yml"], node+"|", "")), &there))
	// What stands beside the database's server has another name on a host.
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(host["monitoring/alertmanager.yml"], "database-reconcile", "database-pooler")), &here))
	var inhibitions []any
	left := map[string]int{}
	for _, i := range there["inhibit_rules"].([]any) {
		i := i.(map[string]any)
		source := strings.Trim(strings.TrimPrefix(i["source_matchers"].([]any)[0].(string), "alertname="), `"`)
		switch {
		case !strings.HasPrefix(source, "severity") && !strings.Contains(host["monitoring/rules.yml"], "alert: "+source+"\n"):
			left[source]++
		case slices.Contains(i["target_matchers"].([]any), any(ofJob)):
			left[ofJob]++
		default:
			inhibitions = append(inhibitions, i)
		}
	}
	assert.Equal(t, map[string]int{
		node: 1, ofJob: 1, "PodNotReady": 1, "PodCrashLooping": 1, "ImagePullFailing": 1, "ContainerConfigurationInvalid": 1, "PodUnschedulable": 1,
	}, left, "what the cluster's alone silence")
	there["inhibit_rules"] = inhibitions
	assert.Equal(t, there, here)
}

// TestOneSourceOfTheDashboards: a panel that is on both is the same but for its place;
// one that only the cluster has queries what a host has nobody for.
func TestOneSourceOfTheDashboards(t *testing.T) {
	cluster, host := bothTargets(t)
	for _, file := range []string{"monitoring/overview.json", "monitoring/infrastructure.json", "monitoring/data.json"} {
		panels := func(text string) map[string]bool {
			var board struct{ Panels []map[string]any }
			require.NoError(t, json.Unmarshal([]byte(text), &board))
			all := map[string]bool{}
			for _, p := range board.Panels {
				if p["type"] == "row" {
					continue // one whose panels all ask Kubernetes is the cluster's alone
				}
				delete(p, "gridPos")
				delete(p, "id")
				raw, err := json.Marshal(p)
				require.NoError(t, err)
				all[string(raw)] = true
			}
			return all
		}
		there, here := panels(cluster[file]), panels(host[file])
		assert.Greater(t, len(here), 5, file)
		for p := range here {
			assert.True(t, there[p], "%s: a panel of the Docker host's own: %s", file, p)
		}
		for p := range there {
			assert.Equal(t, !needsKubernetes(p), here[p], "%s: %s", file, p)
		}
	}
}

// needsKubernetes tells whether a rule or panel asks for what kube-state-metrics serves,
// directly or by the recorded share of a claim, or for what only pods count: those of the
// edge, and the agents beside the database's members and poolers.
func needsKubernetes(text string) bool {
	return slices.ContainsFunc([]string{
		"edge_tls_failures", "kube_", "kube-state-metrics", "alphapulse:volume_used:ratio", "pgbouncer_", "timescaledb_",
		"max by (pod) (pg_", // which member is how
	}, func(asked string) bool { return strings.Contains(text, asked) })
}
