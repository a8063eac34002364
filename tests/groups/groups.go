package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A group is a part of the live proof that can be run alone.
type group struct {
	name  string
	about string // one line for a person who chooses

	// shares tells that the group runs on the local cluster with the stack dev, which is
	// deployed before the first such group and destroyed after the last. Another brings
	// up and ends what it needs, and no shared cluster runs meanwhile.
	shares bool
	// last tells that the group leaves the cluster such that no other can follow on it.
	last bool
	// dir is the module, pkg the package in it, and run the top-level tests.
	dir, pkg, run string
	tags          string
	race          bool

	// need is what the group takes on 2 cores after the group core has compiled
	// everything that both use. With a budget it begins only if so much is left.
	need time.Duration
	// waits tells that the group needs no cluster and mostly waits, so that it runs
	// beside another one that shares none.
	waits bool
	// paths are what the group proves beyond others: files and folders relative to
	// the repository. A commit that changes one of them has the group run first.
	paths []string
}

// core is the group that every run includes.
const core = "core"

// onDev is a group of tests/e2e: the function Test<Name> on the stack dev.
func onDev(name, about string, need time.Duration, paths ...string) group {
	return group{
		name: name, about: about, shares: true, need: need, paths: paths,
		dir: ".", pkg: "./tests/e2e", tags: "e2e", run: testOf(name),
	}
}

// nodes grows the cluster, so that nothing else can follow on it.
func nodes() group {
	g := onDev("nodes", "three nodes under load: spread, drains, a node that is killed or cut off", 12*time.Minute,
		"local/internal/node", "tests/e2e/nodes_faults_test.go", "tests/e2e/nodes_load_test.go", "tests/e2e/nodes_lost_test.go", "tests/e2e/nodes_tables_test.go", "tests/e2e/nodes_test.go")
	g.last = true
	return g
}

// testOf returns the name of a group's test function.
func testOf(group string) string { return "Test" + strings.ToUpper(group[:1]) + group[1:] }

// groups lists the live proof in the order in which `make e2e` runs it.
var groups = []group{
	onDev(core, "the stack dev from nothing to destroyed, a second stack and prod beside it", 14*time.Minute),
	onDev("data", "a database of three members under writes: scaled, switched over, killed, cut off", 24*time.Minute,
		"components/database", "docker/agent", "stacks/database.go", "tests/e2e/data_test.go", "tests/e2e/data_faults_test.go", "tests/e2e/internal/rows"),
	onDev("backup", "a database backed up, proven and restored by the commands of docs/operations.md", 14*time.Minute,
		"components/backup", "components/database/pgbackrest", "docker/agent/internal/restore", "stacks/backup.go", "tests/e2e/backup_test.go", "docs/operations.md"),
	onDev("observability", "a request followed by its trace to its SQL, every panel and rule, its log lines while nobody takes them, faults to the pages of every receiver", 30*time.Minute,
		"components/telemetry", "stacks/telemetry.go", "docker/backend/internal/telemetry", "local/modules/otelcol", "local/modules/victorialogs", "local/modules/jaeger", "tests/e2e/observability_test.go", "tests/e2e/observability_faults_test.go", "tests/e2e/observability_logs_test.go", "tests/e2e/observability_lookup_test.go", "tests/e2e/observability_panels_test.go", "tests/e2e/observability_receiver_test.go", "tests/e2e/observability_services_test.go",
		"components/monitoring/plugin.go", "components/monitoring/config/receivers.go", "components/monitoring/config/kubelets.go", "components/monitoring/observe/containers.go", "components/monitoring/observe/platform.go", "stacks/monitoring_lines.go", "stacks/monitoring_kubelets.go", "stacks/addons_kubelets.go", "components/addons/logagent.go", "components/addons/kubelets.go"),
	onDev("certificates", "real cert-manager and an ACME server: ordered and renewed under load, through the edge", 10*time.Minute,
		"Pulumi.addons.yaml", "components/addons", "components/ingress/issuer.go", "stacks/addons.go", "local/modules/certmanager", "tests/e2e/certificates_test.go"),
	onDev("ways", "each way in, with a real controller of Ingress objects and Gateways: addresses, WebSockets, HTTP/2, redirects", 10*time.Minute,
		"components/addons/gateway.go", "components/ingress/exposure.go", "components/ingress/gateway.go", "stacks/edge_gateway.go", "local/modules/traefik", "local/internal/images/files/traefik-chart", "tests/e2e/ways_test.go"),
	onDev("edge", "20,000 requests through the edge for each of what may happen to it and behind it: rollouts, deletions, renewal, faults", 13*time.Minute,
		"components/ingress", "stacks/edge.go", "tests/e2e/edge_load_test.go", "tests/e2e/edge_requests_test.go", "tests/e2e/edge_storm_test.go", "tests/e2e/edge_handshakes_test.go"),
	onDev("login", "the edge and Grafana behind a real provider of OpenID Connect: who gets in, and nobody while the login is away", 9*time.Minute,
		"components/ingress/signon.go", "components/ingress/nginx/signon.tmpl", "components/monitoring/signon.go", "stacks/edge_login.go", "local/modules/oauth2-proxy", "local/modules/dex", "tests/e2e/login_test.go"),
	onDev("wire", "what goes by between the pods: nothing in plain with encryption required, and no request lost on the way there", 10*time.Minute,
		"stacks/encryption.go", "components/cache", "components/database/pgbouncer", "components/database/patroni", "components/backend/contract.go", "tests/e2e/wire_test.go", "tests/e2e/internal/wire"),
	nodes(),
	{
		name: "single", about: "the stack single on a Docker engine", need: 20 * time.Minute,
		dir: ".", pkg: "./tests/single", tags: "e2e",
		paths: []string{"Pulumi.single.yaml", "components/images", "docker", "components/workload", "components/backup/host.go", "components/database/archived.go", "stacks/docker.go", "stacks/backup_host.go", "tests/single"},
	},
	{
		name: "backend", about: "the reference backend with real PostgreSQL and Redis", need: 5 * time.Minute, waits: true,
		dir: "docker/backend", pkg: "./integration", tags: "integration", race: true,
		paths: []string{"docker/backend"},
	},
	{
		name: "spans", about: "the real Jaeger with a stack's files in front of what answers as an Elasticsearch", need: 9 * time.Minute,
		dir: ".", pkg: "./tests/spans", tags: "integration",
		paths: []string{"components/telemetry", "local/modules/jaeger", "tests/spans"},
	},
	{
		name: "node", about: "the local cluster and engine themselves: crashes, restarts, what is left behind", need: 15 * time.Minute,
		dir: "local", pkg: "./internal/node/...", tags: "cluster",
		paths: []string{"local/internal/debian", "local/internal/node", "local/internal/oci", "local/modules/etcd", "local/modules/kubernetes"},
	},
}

// choose returns the named groups in the table's order: all for no name. keep tells
// that a running cluster is to stay, which leaves out those that need it gone.
func choose(table []group, names string, keep bool) ([]group, error) {
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	var unknown, ending []string
	for _, n := range wanted {
		i := slices.IndexFunc(table, func(g group) bool { return g.name == n })
		switch {
		case i < 0:
			unknown = append(unknown, n)
		case keep && table[i].endsCluster():
			ending = append(ending, n)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("GROUP=%s: no group is named %s: there are %s", names, strings.Join(unknown, ", "), strings.Join(namesOf(table), ", "))
	}
	if len(ending) > 0 {
		return nil, fmt.Errorf("GROUP=%s: %s ends the local cluster, which KEEP=1 is to keep: leave one of the two out", names, strings.Join(ending, ", "))
	}
	return slices.DeleteFunc(slices.Clone(table), func(g group) bool {
		if len(wanted) == 0 {
			return keep && g.endsCluster()
		}
		return !slices.Contains(wanted, g.name)
	}), nil
}

// endsCluster tells whether the group cannot leave a running cluster alone.
func (g group) endsCluster() bool { return !g.shares && !g.waits }

func namesOf(table []group) []string {
	names := make([]string, len(table))
	for i, g := range table {
		names[i] = g.name
	}
	return names
}

// touched tells whether one of the changed files belongs to what the group proves.
func (g group) touched(changed []string) bool {
	for _, file := range changed {
		for _, p := range g.paths {
			if file == p || strings.HasPrefix(file, p+"/") {
				return true
			}
		}
	}
	return false
}
