package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestTable(t *testing.T) {
	tools := map[string]bool{}
	for _, tool := range build.Tools() {
		tools[tool.Name] = true
	}
	names, refs := map[string]bool{}, map[string]bool{}
	afterCluster := false
	for _, i := range Table() {
		if names[i.Name] || i.Name == "" {
			t.Errorf("two rows are named %q", i.Name)
		}
		names[i.Name] = true
		if len(i.Refs) == 0 || i.Source == "" || i.Version == "" {
			t.Errorf("%s: the row lacks a reference, a source or a version", i.Name)
			continue
		}
		for _, ref := range i.Refs {
			if refs[ref] {
				t.Errorf("%s is in the table twice", ref)
			}
			refs[ref] = true
			parsed, err := name.NewTag(ref, name.StrictValidation)
			if err != nil || !strings.Contains(strings.SplitN(ref, "/", 2)[0], ".") || parsed.TagStr() == "latest" {
				t.Errorf("%s: not a full reference with a tag of its own: %v", ref, err)
			}
		}
		if i.Version != promised(i) && i.Differs == "" {
			t.Errorf("%s: %s is built where the tag promises %s, and the row does not say why", i.Name, i.Version, promised(i))
		}
		for _, tool := range i.built() {
			if !tools[tool] {
				t.Errorf("%s: %s is to be in it, which package build does not have", i.Name, tool)
			}
		}
		for _, l := range i.layers {
			if i.debPackage != "" && strings.HasPrefix(i.Source, "Debian "+l.Suite) && !slices.Contains(l.Packages, i.debPackage) {
				t.Errorf("%s: %s is not among its packages", i.Name, i.debPackage)
			}
		}
		if i.Cluster && afterCluster {
			t.Errorf("%s: what the cluster needs comes first", i.Name)
		}
		afterCluster = !i.Cluster
	}
}

// promised is the version that the first reference's tag promises.
func promised(i Image) string {
	_, tag, _ := strings.Cut(i.Refs[0][strings.LastIndex(i.Refs[0], "/"):], ":")
	tag, _, _ = strings.Cut(tag, "-")
	return strings.TrimPrefix(tag, "v")
}

func TestUpstreamVersion(t *testing.T) {
	for ref, want := range map[string]string{
		"docker.io/timescale/timescaledb:2.19.3-pg17": "2.19.3",
		"docker.io/prom/prometheus:v3.16.0":           "3.16.0",
		"localhost:5000/a/b:1.2":                      "1.2",
	} {
		if got := promised(Image{Refs: []string{ref}}); got != want {
			t.Errorf("%s: got %q, want %q", ref, got, want)
		}
	}
	for deb, want := range map[string]string{"5:8.0.6-3": "8.0.6", "2.19.3+dfsg-1+deb13u1": "2.19.3", "1.30.6-2": "1.30.6", "0.33.1-5": "0.33.1", "1:1.37.0-6+b9": "1.37.0", "3.0~rc1-1": "3.0"} {
		if got := upstream(deb); got != want {
			t.Errorf("%s: got %q, want %q", deb, got, want)
		}
	}
}

// The version in a row is the one that go.mod pins.
func TestVersionsOfModules(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{}
	for _, tool := range build.Tools() {
		modules[tool.Name] = tool.Module
	}
	for _, i := range Table() {
		module, ok := strings.CutPrefix(i.Source, "Go module ")
		if !ok {
			continue
		}
		if len(i.tools) != 1 {
			t.Errorf("%s: %d tools", i.Name, len(i.tools))
			continue
		}
		tool := slices.Collect(maps.Values(i.tools))[0]
		mod, err := os.ReadFile(filepath.Join(root, modules[tool], "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		version := i.Version
		if module == "github.com/prometheus/prometheus" {
			// Release 3.16.0 is the module's v0.316.0.
			version = "0." + strings.Replace(version, ".", "", 1)
		}
		if module == "github.com/jaegertracing/jaeger" {
			// The commit of release 2.13.0 is the module's v1.76.0, too.
			version = map[string]string{"2.13.0": "1.76.0"}[version]
		}
		if module == "github.com/dexidp/dex" {
			// Of a module whose tags begin with v2 a commit alone can be named.
			version = map[string]string{DexVersion: "0.0.0-20260303133905-11d2eeb52b42"}[version]
		}
		if !regexp.MustCompile(`(?m)^(require )?\s*` + regexp.QuoteMeta(module) + ` v` + regexp.QuoteMeta(version) + `\b`).Match(mod) {
			t.Errorf("%s: %s does not pin %s v%s", i.Name, modules[tool], module, version)
		}
	}
}

// Every image that a stack uses by default exists on the local cluster.
func TestStacksDefaultsAreInTheTable(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Config map[string]struct {
			Default any `json:"default"`
		} `json:"config"`
	}
	if err := yaml.Unmarshal(raw, &project); err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, i := range Table() {
		refs = append(refs, i.Refs...)
	}
	found := 0
	for key, setting := range project.Config {
		ref, ok := setting.Default.(string)
		if !strings.HasSuffix(key, "Image") || !ok || ref == "" {
			continue
		}
		found++
		if !slices.Contains(refs, ref) {
			t.Errorf("%s is %s by default, which no row provides", key, ref)
		}
	}
	if found < 10 {
		t.Errorf("Pulumi.yaml has only %d default images: is this test looking in the right place?", found)
	}
}

// Every image that a Dockerfile begins with is a row that builds alone need.
func TestBasesOfDockerfilesAreInTheTable(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	dockerfiles, err := filepath.Glob(filepath.Join(root, "docker", "Dockerfile.*.prod"))
	if err != nil || len(dockerfiles) != 3 {
		t.Fatalf("%v, %v", dockerfiles, err)
	}
	for _, f := range dockerfiles {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?([^\s@]+)`).FindAllStringSubmatch(string(raw), -1) {
			if from[1] != "scratch" {
				want = append(want, "docker.io/library/"+from[1])
			}
		}
	}
	for _, i := range rows(func(i Image) bool { return i.Base }) {
		have = append(have, i.Refs...)
		if i.Cluster {
			t.Errorf("%s is for builds and for the cluster", i.Name)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if want = slices.Compact(want); !slices.Equal(want, have) {
		t.Errorf("the Dockerfiles begin with %v, the table has %v", want, have)
	}
}

func TestGoTree(t *testing.T) {
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"bin/go": 0o755, "VERSION": 0o644, "src/fmt/print.go": 0o644, "src/fmt/fmt_test.go": 0o644, "src/fmt/testdata/x.go": 0o644,
		"pkg/tool/linux_amd64/compile": 0o755, "pkg/include/textflag.h": 0o644, "test/a.go": 0o644, "api/go1.txt": 0o644, "doc/x": 0o644, "src/go/doc/doc.go": 0o644,
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	tree := oci.Tree{}
	if err := addGoTree(tree, root); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/usr/local/go/VERSION", "/usr/local/go/bin/go", "/usr/local/go/pkg/include/textflag.h", "/usr/local/go/pkg/tool/linux_amd64/compile",
		"/usr/local/go/src/fmt/print.go", "/usr/local/go/src/go/doc/doc.go",
	}
	if got := slices.Sorted(maps.Keys(tree)); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if mode := tree["/usr/local/go/bin/go"].Mode; mode != 0o755 {
		t.Errorf("the go command has mode %o", mode)
	}
	if got, err := goRoot("/usr/local/go\ngo1.26.8 X:nocoverageredesign\n", "1.26.8"); got != "/usr/local/go" || err != nil {
		t.Errorf("the right version: %q, %v", got, err)
	}
	if _, err := goRoot("/usr/local/go\ngo1.26.4\n", "1.26.8"); err == nil || !strings.Contains(err.Error(), "answers with go1.26.4") {
		t.Errorf("another version: %v", err)
	}
}

// fake returns a factory whose packages and programs are made up.
func fake(t *testing.T) *factory {
	t.Helper()
	dir := t.TempDir()
	f := &factory{
		r:       progress.New(io.Discard, false, filepath.Join(dir, "log")),
		rootfs:  filepath.Join(dir, "rootfs"),
		archive: filepath.Join(dir, "images"),
		turns:   newQueue(parallel),
		recipes: map[string]func() (*debian.Rootfs, error){},
		tools: func(_ context.Context, names ...string) (map[string]string, error) {
			found := map[string]string{}
			for _, n := range names {
				found[n] = filepath.Join(dir, n)
				file := found[n]
				if n == "prometheus-ui" {
					file = filepath.Join(file, "assets", "index.js")
				}
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return nil, err
				}
				if err := os.WriteFile(file, []byte("program "+n), 0o755); err != nil {
					return nil, err
				}
			}
			return found, nil
		},
	}
	for _, d := range []string{f.rootfs, f.archive} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range Table() {
		for _, recipe := range i.layers {
			file := filepath.Join(f.rootfs, recipe.Key()+".tar")
			var b bytes.Buffer
			tree := oci.Tree{"/usr/share/postgresql/17/postgresql.conf.sample": {Content: []byte("# sample\n")}}
			if slices.Contains(recipe.Packages, "base-files") && len(recipe.Keep) == 0 {
				tree["/bin"], tree["/sbin"] = oci.Entry{Link: "usr/bin"}, oci.Entry{Link: "usr/sbin"}
				tree["/usr/bin"] = oci.Entry{Dir: true, Mode: 0o755}
			}
			if err := tree.WriteLayer(&b, nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			versions := map[string]string{}
			for _, p := range recipe.Packages {
				versions[p] = "1:9.9-1"
			}
			f.recipes[recipe.Key()] = sync.OnceValues(func() (*debian.Rootfs, error) {
				return &debian.Rootfs{Path: file, Versions: versions}, nil
			})
		}
	}
	return f
}

func row(t *testing.T, name string) Image {
	t.Helper()
	for _, i := range Table() {
		if i.Name == name {
			i.modules, i.goVersion = nil, "" // these files have tests of their own
			return i
		}
	}
	t.Fatalf("no row is named %s", name)
	return Image{}
}

// contract is what users of an upstream image rely on.
type contract struct {
	user, workdir, stop string
	entrypoint, cmd     []string
	check               []string
	env, ports, volumes []string
	files               map[string]string // path → "mode uid:gid", or "-> target"
}

var contracts = map[string]contract{
	"pause":                  {user: "65535:65535", workdir: "/", entrypoint: []string{"/pause"}, files: map[string]string{"/pause": "755 0:0"}},
	"coredns":                {user: "65532:65532", workdir: "/", entrypoint: []string{"/coredns"}, ports: []string{"53/tcp", "53/udp"}, files: map[string]string{"/coredns": "755 0:0"}},
	"metrics-server":         {user: "65534", workdir: "/", entrypoint: []string{"/metrics-server"}, files: map[string]string{"/metrics-server": "755 0:0", "/tmp": "1777 0:0"}},
	"local-path-provisioner": {workdir: "/", entrypoint: []string{"local-path-provisioner"}, files: map[string]string{"/usr/bin/local-path-provisioner": "755 0:0", "/bin/sh": "-> /usr/bin/busybox"}},
	"busybox": {workdir: "/", cmd: []string{"sh"}, files: map[string]string{
		"/bin/sh": "-> /usr/bin/busybox", "/bin/wget": "-> /usr/bin/busybox", "/bin/mkdir": "-> /usr/bin/busybox", "/usr/bin/env": "-> busybox", "/tmp": "1777 0:0"}},
	"timescaledb": {
		workdir: "", stop: "SIGINT", entrypoint: []string{"docker-entrypoint.sh"}, cmd: []string{"postgres"},
		env: []string{"PGDATA=/var/lib/postgresql/data", "PG_MAJOR=17"}, ports: []string{"5432/tcp"}, volumes: []string{"/var/lib/postgresql/data"},
		files: map[string]string{
			"/usr/local/bin/docker-entrypoint.sh": "755 0:0", "/docker-entrypoint-initdb.d/000_install_timescaledb.sh": "755 0:0",
			"/var/lib/postgresql": "1777 70:70", "/var/lib/postgresql/data": "1777 70:70", "/run/postgresql": "3777 70:70", "/var/run": "-> /run",
			"/usr/local/bin/pg_isready": "-> /usr/lib/postgresql/17/bin/pg_isready", "/usr/local/bin/psql": "-> /usr/lib/postgresql/17/bin/psql",
			"/usr/bin/sh": "-> bash", "/tmp": "1777 0:0", "/usr/share/postgresql/17/postgresql.conf.sample": "644 0:0",
		},
	},
	"timescaledb-ha": {
		user: "postgres", workdir: "/home/postgres", stop: "SIGINT", entrypoint: []string{"/docker-entrypoint.sh"}, cmd: []string{"postgres"},
		env: []string{"PGDATA=/home/postgres/pgdata/data", "PATH=/usr/lib/postgresql/17/bin:", "LC_ALL=C.UTF-8"}, ports: []string{"5432/tcp", "8008/tcp", "8081/tcp"},
		files: map[string]string{
			"/docker-entrypoint.sh": "-> /usr/local/bin/docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh": "755 0:0",
			"/home/postgres": "755 1000:1000", "/home/postgres/pgdata/data": "750 1000:1000", "/run/postgresql": "1777 1000:1000", "/var/run": "-> /run",
			"/etc/pgbackrest.conf": "-> /home/postgres/pgdata/backup/pgbackrest.conf", "/usr/bin/sh": "-> bash", "/tmp": "1777 0:0",
		},
	},
	"pgbouncer": {
		user: "pgbouncer", workdir: "/", entrypoint: []string{"./entrypoint.sh"}, ports: []string{"6432/tcp"},
		files: map[string]string{"/entrypoint.sh": "755 0:0", "/usr/bin/pgbouncer": "-> /usr/sbin/pgbouncer", "/etc/pgbouncer": "755 998:996", "/usr/bin/sh": "-> bash"},
	},
	"pgbouncer-exporter": {
		user: "nobody", workdir: "/", entrypoint: []string{"/bin/pgbouncer_exporter"}, ports: []string{"9127/tcp"},
		files: map[string]string{"/bin/pgbouncer_exporter": "-> /usr/bin/prometheus-pgbouncer-exporter", "/bin/sh": "-> /usr/bin/busybox"},
	},
	"blackbox-exporter": {
		workdir: "/", entrypoint: []string{"/bin/blackbox_exporter"}, cmd: []string{"--config.file=/etc/blackbox_exporter/config.yml"}, ports: []string{"9115/tcp"},
		files: map[string]string{"/bin/blackbox_exporter": "-> /usr/bin/prometheus-blackbox-exporter", "/bin/sh": "-> /usr/bin/busybox"},
	},
	"versitygw": {
		workdir: "/", entrypoint: []string{"/usr/local/bin/docker-entrypoint.sh"},
		files: map[string]string{"/usr/local/bin/versitygw": "755 0:0", "/usr/local/bin/docker-entrypoint.sh": "755 0:0", "/bin/sh": "-> /usr/bin/busybox", "/tmp": "1777 0:0"},
	},
	"otelcol": {user: "10001:10001", workdir: "/", entrypoint: []string{"/otelcol-contrib"}, cmd: []string{"--config", "/etc/otelcol-contrib/config.yaml"},
		ports: []string{"4317/tcp", "4318/tcp"}, files: map[string]string{"/otelcol-contrib": "755 0:0", "/tmp": "1777 0:0"}},
	"victoria-logs": {workdir: "/", entrypoint: []string{"/victoria-logs-prod"}, ports: []string{"9428/tcp"},
		files: map[string]string{"/victoria-logs-prod": "755 0:0", "/bin/sh": "-> /usr/bin/busybox"}},
	"oauth2-proxy": {user: "65532:65532", workdir: "/", entrypoint: []string{"/bin/oauth2-proxy"}, files: map[string]string{"/bin/oauth2-proxy": "755 0:0"}},
	"dex":          {user: "1001:1001", workdir: "/", entrypoint: []string{"/usr/local/bin/dex"}, files: map[string]string{"/usr/local/bin/dex": "755 0:0", "/tmp": "1777 0:0"}},
	"jaeger": {user: "10001", workdir: "/cmd/jaeger", entrypoint: []string{"/cmd/jaeger/jaeger-linux"}, ports: []string{"16686/tcp", "4317/tcp", "4318/tcp"},
		files: map[string]string{"/cmd/jaeger/jaeger-linux": "755 0:0", "/tmp": "1777 0:0"}},
	"cert-manager-controller": {user: "1000", workdir: "/", entrypoint: []string{"/app/cmd/controller/controller"}, files: map[string]string{"/app/cmd/controller/controller": "755 0:0"}},
	"cert-manager-webhook":    {user: "1000", workdir: "/", entrypoint: []string{"/app/cmd/webhook/webhook"}, files: map[string]string{"/app/cmd/webhook/webhook": "755 0:0"}},
	"cert-manager-cainjector": {user: "1000", workdir: "/", entrypoint: []string{"/app/cmd/cainjector/cainjector"}, files: map[string]string{"/app/cmd/cainjector/cainjector": "755 0:0"}},
	"cert-manager-acmesolver": {user: "1000", workdir: "/", entrypoint: []string{"/app/cmd/acmesolver/acmesolver"}, files: map[string]string{"/app/cmd/acmesolver/acmesolver": "755 0:0"}},
	"traefik": {workdir: "/", entrypoint: []string{"/entrypoint.sh"}, cmd: []string{"traefik"}, ports: []string{"80/tcp"},
		files: map[string]string{"/entrypoint.sh": "755 0:0", "/usr/local/bin/traefik": "755 0:0", "/bin/sh": "-> /usr/bin/busybox", "/tmp": "1777 0:0"}},
	"pebble": {workdir: "/", entrypoint: []string{"/app"}, ports: []string{"14000/tcp", "15000/tcp"},
		files: map[string]string{"/app": "-> /usr/bin/pebble", "/bin/sh": "-> /usr/bin/busybox"}},
	"redis": {
		workdir: "/data", entrypoint: []string{"docker-entrypoint.sh"}, cmd: []string{"redis-server"}, ports: []string{"6379/tcp"}, volumes: []string{"/data"},
		files: map[string]string{"/usr/local/bin/docker-entrypoint.sh": "755 0:0", "/data": "755 999:999", "/usr/bin/sh": "-> bash"},
	},
	"valkey": {
		workdir: "/data", entrypoint: []string{"docker-entrypoint.sh"}, cmd: []string{"valkey-server"}, ports: []string{"6379/tcp"}, volumes: []string{"/data"},
		files: map[string]string{"/usr/local/bin/docker-entrypoint.sh": "755 0:0", "/data": "755 999:999", "/usr/bin/redis-server": "-> valkey-server", "/usr/bin/redis-cli": "-> valkey-cli"},
	},
	"nginx": {
		user: "101", workdir: "/", stop: "SIGQUIT", entrypoint: []string{"/docker-entrypoint.sh"}, cmd: []string{"nginx", "-g", "daemon off;"}, ports: []string{"8080/tcp"},
		files: map[string]string{
			"/docker-entrypoint.sh": "755 0:0", "/docker-entrypoint.d/20-envsubst-on-templates.sh": "755 0:0",
			"/docker-entrypoint.d/15-local-resolvers.envsh": "755 0:0", "/docker-entrypoint.d/30-tune-worker-processes.sh": "755 0:0",
			"/etc/nginx": "775 101:0", "/etc/nginx/conf.d": "775 101:0", "/etc/nginx/nginx.conf": "664 101:0", "/etc/nginx/conf.d/default.conf": "664 101:0",
			"/var/cache/nginx": "775 101:0", "/var/log/nginx/access.log": "-> /dev/stdout", "/var/log/nginx/error.log": "-> /dev/stderr", "/tmp": "1777 0:0",
		},
	},
	"nginx-exporter": {user: "1001:1001", workdir: "/", entrypoint: []string{"/usr/bin/nginx-prometheus-exporter"}, files: map[string]string{"/usr/bin/nginx-prometheus-exporter": "755 0:0"}},
	"prometheus": {
		user: "nobody", workdir: "/usr/share/prometheus", entrypoint: []string{"/bin/prometheus"}, ports: []string{"9090/tcp"}, volumes: []string{"/prometheus"},
		cmd:   []string{"--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"},
		files: map[string]string{"/bin/prometheus": "755 0:0", "/etc/prometheus/prometheus.yml": "644 65534:65534", "/prometheus": "775 65534:65534", "/usr/share/prometheus/data": "-> /prometheus/data", "/usr/share/prometheus/web/ui/static/mantine-ui/assets/index.js": "644 0:0", "/bin/sh": "-> /usr/bin/busybox"},
	},
	"alertmanager": {
		user: "nobody", workdir: "/alertmanager", entrypoint: []string{"/bin/alertmanager"}, ports: []string{"9093/tcp"}, volumes: []string{"/alertmanager"},
		cmd:   []string{"--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"},
		files: map[string]string{"/bin/alertmanager": "-> /usr/bin/prometheus-alertmanager", "/bin/amtool": "-> /usr/bin/amtool", "/etc/alertmanager/alertmanager.yml": "664 65534:65534", "/alertmanager": "775 65534:65534", "/bin/sh": "-> /usr/bin/busybox"},
	},
	"statsd-exporter": {user: "65534", workdir: "/", entrypoint: []string{"/bin/statsd_exporter"}, ports: []string{"9102/tcp", "9125/tcp", "9125/udp"},
		files: map[string]string{"/bin/statsd_exporter": "755 0:0", "/bin/sh": "-> /usr/bin/busybox"}},
	"postgres-exporter":  {user: "nobody", workdir: "/", entrypoint: []string{"/bin/postgres_exporter"}, ports: []string{"9187/tcp"}, files: map[string]string{"/bin/postgres_exporter": "755 0:0"}},
	"redis-exporter":     {user: "59000:59000", workdir: "/", entrypoint: []string{"/redis_exporter"}, ports: []string{"9121/tcp"}, files: map[string]string{"/redis_exporter": "755 0:0"}},
	"kube-state-metrics": {user: "nobody", workdir: "/", entrypoint: []string{"/kube-state-metrics", "--port=8080", "--telemetry-port=8081"}, ports: []string{"8080/tcp", "8081/tcp"}, files: map[string]string{"/kube-state-metrics": "755 0:0"}},
	"grafana": {
		user: "472", workdir: "/usr/share/grafana", entrypoint: []string{"/run.sh"}, ports: []string{"3000/tcp"},
		env: []string{"GF_PATHS_CONFIG=/etc/grafana/grafana.ini", "GF_PATHS_DATA=/var/lib/grafana", "GF_PATHS_HOME=/usr/share/grafana", "GF_PATHS_LOGS=/var/log/grafana", "GF_PATHS_PLUGINS=/var/lib/grafana/plugins", "GF_PATHS_PROVISIONING=/etc/grafana/provisioning"},
		files: map[string]string{
			"/run.sh": "755 0:0", "/etc/grafana/grafana.ini": "644 472:0", "/var/lib/grafana": "777 472:0", "/var/log/grafana": "777 472:0",
			"/usr/share/grafana/plugins/victoriametrics-logs-datasource/plugin.json": "644 0:0",
			"/etc/grafana/provisioning/dashboards":                                   "777 472:0", "/etc/grafana/provisioning/datasources": "777 472:0",
		},
	},
	"backend": {
		user: "1000:1000", workdir: "/app", entrypoint: []string{"/alphapulse"}, check: []string{"CMD", "/alphapulse", "healthcheck"}, ports: []string{"8000/tcp", "8050/tcp", "9090/tcp"},
		files: map[string]string{"/alphapulse": "755 0:0", "/app/logs": "755 1000:1000", "/app/models": "755 1000:1000", "/app/cache": "755 1000:1000", "/app/data": "755 1000:1000", "/tmp": "1777 0:0"},
	},
	"frontend": {user: "1001:1001", workdir: "/", entrypoint: []string{"/frontend"}, check: []string{"CMD", "/frontend", "healthcheck"}, env: []string{"PORT=3000"}, ports: []string{"3000/tcp"}, files: map[string]string{"/frontend": "755 0:0"}},
	"agent":    {user: "65532:65532", workdir: "/", entrypoint: []string{"/app/agent"}, files: map[string]string{"/app/agent": "755 0:0"}},
	"golang": {
		workdir: "/go", cmd: []string{"bash"}, env: []string{"GOLANG_VERSION=1.26.8", "GOTOOLCHAIN=local", "GOPATH=/go", "GOPROXY=http://", "PATH=/go/bin:/usr/local/go/bin:"},
		files: map[string]string{"/go/bin": "1777 0:0", "/root": "700 0:0", "/usr/bin/sh": "-> bash", "/tmp": "1777 0:0"},
	},
	"node":  {cmd: []string{"node"}, env: []string{"npm_config_registry=http://"}, files: map[string]string{"/root": "700 0:0", "/usr/bin/sh": "-> bash", "/tmp": "1777 0:0"}},
	"probe": {user: "65532:65532", workdir: "/", entrypoint: []string{"/probe"}, files: map[string]string{"/probe": "755 0:0"}},
}

func TestContracts(t *testing.T) {
	for _, i := range Table() {
		if _, ok := contracts[i.Name]; !ok {
			t.Errorf("image %s has no contract in this test", i.Name)
		}
	}
	f := fake(t)
	for name, want := range contracts {
		t.Run(name, func(t *testing.T) {
			a, err := f.one(t.Context(), 0, row(t, name))
			if err != nil {
				t.Fatal(err)
			}
			image, err := tarball.ImageFromPath(a.Path, tagOf(t, a.Refs[0]))
			if err != nil {
				t.Fatal(err)
			}
			cf, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			c := cf.Config
			if c.User != want.user || c.WorkingDir != want.workdir || c.StopSignal != want.stop {
				t.Errorf("user %q, folder %q, stop signal %q; want %q, %q, %q", c.User, c.WorkingDir, c.StopSignal, want.user, want.workdir, want.stop)
			}
			if !slices.Equal(c.Entrypoint, want.entrypoint) || !slices.Equal(c.Cmd, want.cmd) {
				t.Errorf("entrypoint %q, command %q; want %q, %q", c.Entrypoint, c.Cmd, want.entrypoint, want.cmd)
			}
			var check []string
			if c.Healthcheck != nil {
				check = c.Healthcheck.Test
			}
			if !slices.Equal(check, want.check) {
				t.Errorf("health check %q, want %q", check, want.check)
			}
			if got := slices.Sorted(maps.Keys(c.ExposedPorts)); !slices.Equal(got, want.ports) {
				t.Errorf("ports %q, want %q", got, want.ports)
			}
			if got := slices.Sorted(maps.Keys(c.Volumes)); !slices.Equal(got, want.volumes) {
				t.Errorf("volumes %q, want %q", got, want.volumes)
			}
			for _, e := range append(want.env, "PATH=") {
				if !slices.ContainsFunc(c.Env, func(have string) bool { return strings.HasPrefix(have, e) }) {
					t.Errorf("%s is not in the environment %q", e, c.Env)
				}
			}
			if !strings.Contains(c.Labels["org.opencontainers.image.description"], "local cluster") {
				t.Errorf("labels %v do not tell that this is no upstream image", c.Labels)
			}
			got := content(t, image)
			for path, want := range want.files {
				if got[path] != want {
					t.Errorf("%s is %q, want %q", path, got[path], want)
				}
			}
		})
	}
}

func tagOf(t *testing.T, ref string) *name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return &tag
}

// content returns what is in an image's layers.
func content(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("%o %d:%d", h.Mode, h.Uid, h.Gid)
			if h.Typeflag == tar.TypeSymlink {
				what = "-> " + h.Linkname
			}
			found["/"+strings.TrimSuffix(h.Name, "/")] = what
		}
		_ = r.Close()
	}
	return found
}

func TestSampleConfigurationLoadsTheExtension(t *testing.T) {
	a, err := fake(t).one(t.Context(), 0, row(t, "timescaledb"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# sample\n", "shared_preload_libraries = 'timescaledb'", "listen_addresses = '*'"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("postgresql.conf.sample lacks %q", want)
		}
	}
	if a.Version != "9.9" {
		t.Errorf("version %q: want that of the package that Debian gave", a.Version)
	}
}

func TestSecondRunMakesNothingAndEqualInputGivesEqualArchives(t *testing.T) {
	f := fake(t)
	i := row(t, "prometheus")
	first, err := f.one(t.Context(), 0, i)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	// What would be made again would fail now.
	f.recipes = map[string]func() (*debian.Rootfs, error){}
	for _, l := range i.layers {
		f.recipes[l.Key()] = func() (*debian.Rootfs, error) { return nil, errors.New("fetched again") }
	}
	second, err := f.one(t.Context(), 0, i)
	if err != nil || second.Path != first.Path || second.ID != first.ID {
		t.Errorf("second run: %+v, %v", second, err)
	}

	other := fake(t)
	third, err := other.one(t.Context(), 0, i)
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(third.Path)
	if err != nil {
		t.Fatal(err)
	}
	if third.ID != first.ID || !bytes.Equal(raw, again) {
		t.Error("the same image made elsewhere has other bytes")
	}
}

func TestChangedInputMakesAnotherImage(t *testing.T) {
	f := fake(t)
	i := row(t, "redis")
	binaries := map[string]string{}
	base, err := f.key(i, binaries)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Image){
		"reference":   func(i *Image) { i.Refs = []string{"docker.io/library/redis:9"} },
		"user":        func(i *Image) { i.config.User = "1" },
		"file":        func(i *Image) { i.tree = join(i.tree, oci.Tree{"/x": {}}) },
		"mode":        func(i *Image) { i.tree = oci.Tree{"/data": dir(0o700, 999)} },
		"packages":    func(i *Image) { i.layers = []debian.Recipe{{Suite: debian.Stable, Packages: []string{"redis"}}} },
		"added text":  func(i *Image) { i.appends = map[string]string{"/a": "b"} },
		"other tools": func(i *Image) { i.tools = map[string]string{"/a": "b"} },
		"other pages": func(i *Image) { i.pages = map[string]string{"/a": "b"} },
	} {
		changed := i
		change(&changed)
		key, err := f.key(changed, binaries)
		if err != nil {
			t.Fatal(err)
		}
		if key == base {
			t.Errorf("another %s gives the same key", what)
		}
	}

	// Of what is built, the path names the content.
	i = row(t, "prometheus")
	built := map[string]string{"prometheus": "/prometheus/1/prometheus", "prometheus-ui": "/prometheus-ui/1/prometheus-ui"}
	if base, err = f.key(i, built); err != nil {
		t.Fatal(err)
	}
	built["prometheus-ui"] = "/prometheus-ui/2/prometheus-ui"
	if key, err := f.key(i, built); err != nil || key == base {
		t.Errorf("other pages give the same key (%v)", err)
	}
}

// What only some stacks need is made when it is named.
func TestOptionalImagesAreMadeByName(t *testing.T) {
	usual := rows(func(i Image) bool { return !i.Base && !i.Optional })
	if len(usual) == len(Table()) || slices.ContainsFunc(usual, func(i Image) bool { return i.Name == "versitygw" }) {
		t.Error("the S3 server is among the usual images")
	}
	if _, err := EnsureNamed(t.Context(), nil, "versitygv"); err == nil || !strings.Contains(err.Error(), `no image is named "versitygv"`) || !strings.Contains(err.Error(), "versitygw") {
		t.Errorf("a misspelt name: %v", err)
	}
}

func TestOneFailureKeepsTheRest(t *testing.T) {
	f := fake(t)
	works := f.tools
	f.tools = func(ctx context.Context, names ...string) (map[string]string, error) {
		if slices.Contains(names, "redis_exporter") {
			return nil, errors.New("does not compile")
		}
		return works(ctx, names...)
	}
	made, err := f.all(t.Context(), []Image{row(t, "pause"), row(t, "redis-exporter"), row(t, "probe")})
	if err == nil || !strings.Contains(err.Error(), "image redis-exporter: does not compile") {
		t.Errorf("got %v", err)
	}
	var names []string
	for _, a := range made {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"pause", "probe"}) {
		t.Errorf("made %q", names)
	}
}

func TestModuleFiles(t *testing.T) {
	tree := oci.Tree{}
	m := moduleFiles{pinnedBy: "exporters", module: "github.com/nginx/nginx-prometheus-exporter", from: "client", to: "/opt/client"}
	if err := m.add(t.Context(), tree, io.Discard); err != nil {
		t.Fatal(err)
	}
	if e, ok := tree["/opt/client/nginx.go"]; !ok || e.Source == "" || e.Mode != 0o644 {
		t.Errorf("tree %v", tree)
	}
	m.module = "example.com/none"
	if err := m.add(t.Context(), tree, io.Discard); err == nil || !strings.Contains(err.Error(), "example.com/none") {
		t.Errorf("a module that is not pinned: %v", err)
	}
}

func TestHaveTellsRedisFromItsExporter(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := paths.CacheDir("images")
	if err != nil {
		t.Fatal(err)
	}
	for base, version := range map[string]string{"redis-0123456789abcdef": "8", "redis-exporter-0123456789abcdef": "1.88"} {
		raw, err := json.Marshal(list{ID: "sha256:x", Version: version})
		if err != nil {
			t.Fatal(err)
		}
		for ext, content := range map[string][]byte{".json": raw, ".tar": nil} {
			if err := os.WriteFile(filepath.Join(dir, base+ext), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	have, err := Have()
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != 2 || have["redis"].Version != "8" || have["redis-exporter"].Version != "1.88" {
		t.Errorf("have %+v", have)
	}
}

func TestQueueGoesByRank(t *testing.T) {
	q := newQueue(1)
	if err := q.take(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	order := make(chan int, 3)
	var wg sync.WaitGroup
	waiting := func(n int) {
		for {
			q.mu.Lock()
			have := len(q.waiting)
			q.mu.Unlock()
			if have == n {
				return
			}
		}
	}
	for n, rank := range []int{3, 1, 2} {
		wg.Go(func() {
			if err := q.take(t.Context(), rank); err != nil {
				t.Error(err)
				return
			}
			order <- rank
			q.leave()
		})
		waiting(n + 1)
	}
	gone := make(chan error)
	go func() { gone <- q.take(ctx, 0) }()
	waiting(4)
	cancel() // one that gives up must not block the others
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	q.leave()
	wg.Wait()
	if a, b, c := <-order, <-order, <-order; a != 1 || b != 2 || c != 3 {
		t.Errorf("order %d %d %d", a, b, c)
	}
}
