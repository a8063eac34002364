package images

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

func timescaledb() Image {
	const (
		id  = 70
		bin = "/usr/lib/postgresql/17/bin/"
	)
	tree := join(accounts("postgres", id, "/var/lib/postgresql"), debianShell(), oci.Tree{
		"/usr/local/bin/docker-entrypoint.sh":                    file("postgres-entrypoint.sh", 0o755),
		"/docker-entrypoint-initdb.d/000_install_timescaledb.sh": file("timescaledb-initdb.sh", 0o755),
		"/var/lib/postgresql":                                    dir(0o1777, id),
		"/var/lib/postgresql/data":                               dir(0o1777, id),
		"/run/postgresql":                                        dir(0o3777, id),
	})
	for _, program := range []string{"clusterdb", "createdb", "createuser", "dropdb", "dropuser", "initdb", "pg_basebackup", "pg_checksums",
		"pg_controldata", "pg_ctl", "pg_dump", "pg_dumpall", "pg_isready", "pg_receivewal", "pg_resetwal", "pg_restore", "pg_rewind",
		"pg_upgrade", "pg_verifybackup", "pg_waldump", "pgbench", "postgres", "psql", "reindexdb", "vacuumdb"} {
		tree["/usr/local/bin/"+program] = link(bin + program)
	}
	return Image{
		debPackage: "postgresql-17-timescaledb",
		layers: []debian.Recipe{{
			Suite:    debian.Stable,
			Packages: append([]string{"postgresql-17-timescaledb", "gzip", "xz-utils", "zstd"}, system...),
			Drop:     append(slices.Clone(postgresqlDrop), "/usr/lib/python3*", "/usr/share/python3"),
		}},
		tree:    tree,
		appends: postgresqlSample,
		config: v1.Config{
			Env:          []string{searchPath, "LANG=C.UTF-8", "PG_MAJOR=17", "PGDATA=/var/lib/postgresql/data"},
			Entrypoint:   []string{"docker-entrypoint.sh"},
			Cmd:          []string{"postgres"},
			ExposedPorts: set("5432/tcp"),
			Volumes:      set("/var/lib/postgresql/data"),
			StopSignal:   "SIGINT",
		},
	}.row("timescaledb", "Debian trixie: postgresql-17-timescaledb", "2.19.3",
		"the Apache edition: hypertables and time_bucket work, compression, continuous aggregates and retention policies do not; locale C.UTF-8; no tuning at first start (NO_TS_TUNE has nothing to turn off)",
		"docker.io/timescale/timescaledb:2.19.3-pg17")
}

func redis() Image {
	return cache("redis", debian.Unstable, nil).
		row("redis", "Debian sid: redis-server", "8.0.6",
			"without the modules for search, JSON, time series and Bloom filters",
			"docker.io/library/redis:8.0.6")
}

// valkey can stand where Redis does: it has its programs under Redis' names, too.
func valkey() Image {
	return cache("valkey", debian.Stable, oci.Tree{
		"/usr/bin/redis-server": link("valkey-server"),
		"/usr/bin/redis-cli":    link("valkey-cli"),
	}).
		with(func(i *Image) { i.Optional = true }).
		row("valkey", "Debian trixie: valkey-server", "8.1.1", "", "docker.io/valkey/valkey:8.1.1")
}

// cache is a server named as its packages and its user are.
func cache(name, suite string, links oci.Tree) Image {
	const id = 999
	server := name + "-server"
	return Image{
		debPackage: server,
		layers:     []debian.Recipe{{Suite: suite, Packages: append([]string{server, name + "-tools"}, system...), Drop: []string{"/etc/" + name, "/etc/default"}}},
		tree: join(accounts(name, id, "/data"), debianShell(), oci.Tree{
			"/usr/local/bin/docker-entrypoint.sh": file("cache-entrypoint.sh", 0o755),
			"/data":                               dir(0o755, id),
		}, links),
		config: v1.Config{
			Env:          []string{searchPath},
			WorkingDir:   "/data",
			Entrypoint:   []string{"docker-entrypoint.sh"},
			Cmd:          []string{server},
			ExposedPorts: set("6379/tcp"),
			Volumes:      set("/data"),
		},
	}
}

func nginx() Image {
	const id = 101
	return Image{
		debPackage: "nginx",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: append([]string{"nginx", "gettext-base", "curl"}, system...),
			Drop:     []string{"/etc/nginx/sites-*", "/etc/nginx/snippets", "/etc/nginx/nginx.conf", "/etc/ufw", "/etc/default", "/var/www", "/usr/share/nginx/html"},
		}},
		tree: join(accounts("nginx", id, "/nonexistent"), debianShell(), oci.Tree{
			"/docker-entrypoint.sh":                            file("nginx-entrypoint.sh", 0o755),
			"/docker-entrypoint.d/15-local-resolvers.envsh":    file("nginx-local-resolvers.envsh", 0o755),
			"/docker-entrypoint.d/20-envsubst-on-templates.sh": file("nginx-templates.sh", 0o755),
			"/docker-entrypoint.d/30-tune-worker-processes.sh": file("nginx-workers.sh", 0o755),
			"/etc/nginx":                       {Dir: true, Mode: 0o775, UID: id},
			"/etc/nginx/conf.d":                {Dir: true, Mode: 0o775, UID: id},
			"/etc/nginx/nginx.conf":            owned(file("nginx.conf", 0o664), id, 0),
			"/etc/nginx/conf.d/default.conf":   owned(file("nginx-default.conf", 0o664), id, 0),
			"/usr/share/nginx/html/index.html": file("nginx-index.html", 0o644),
			"/var/cache/nginx":                 {Dir: true, Mode: 0o775, UID: id},
			"/var/log/nginx":                   {Dir: true, Mode: 0o755},
			"/var/log/nginx/access.log":        link("/dev/stdout"),
			"/var/log/nginx/error.log":         link("/dev/stderr"),
			"/var/lib/nginx":                   {Dir: true, Mode: 0o775, UID: id},
		}),
		config: v1.Config{
			User:         "101",
			Env:          []string{searchPath},
			WorkingDir:   "/",
			Entrypoint:   []string{"/docker-entrypoint.sh"},
			Cmd:          []string{"nginx", "-g", "daemon off;"},
			ExposedPorts: set("8080/tcp"),
			StopSignal:   "SIGQUIT",
		},
	}.row("nginx", "Debian sid: nginx", "1.30.6",
		"modules that Debian packages apart (stream, mail, image filter, XSLT, GeoIP) are not in it",
		"docker.io/nginxinc/nginx-unprivileged:1.30.6")
}

func prometheus() Image {
	// Built from its module, the server reads its pages from ./web/ui where the
	// working folder is named prometheus. A volume covers /prometheus, so it is
	// another one; data, the default place of what it stores, leads back.
	const work = "/usr/share/prometheus"
	return Image{
		layers:   []debian.Recipe{certificates, busybox},
		tools:    map[string]string{"/bin/prometheus": "prometheus"},
		pages:    map[string]string{work + "/web/ui/static/mantine-ui": "prometheus-ui"},
		commands: npm,
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/etc/prometheus":                dir(0o755, nobody),
			"/etc/prometheus/prometheus.yml": owned(file("prometheus.yml", 0o644), nobody, nobody),
			"/prometheus":                    dir(0o775, nobody),
			work + "/data":                   link("/prometheus/data"),
		}),
		config: v1.Config{
			User:         "nobody",
			Env:          []string{searchPath},
			WorkingDir:   work,
			Entrypoint:   []string{"/bin/prometheus"},
			Cmd:          []string{"--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"},
			ExposedPorts: set("9090/tcp"),
			Volumes:      set("/prometheus"),
		},
	}.row("prometheus", "Go module github.com/prometheus/prometheus", "3.16.0",
		"its pages, built from the module's sources, are files (the working folder is /usr/share/prometheus for their sake), and without those of release 2; without promtool; discovery by Kubernetes, DNS, files and HTTP only",
		"docker.io/prom/prometheus:v3.16.0")
}

func alertmanager() Image {
	return Image{
		debPackage: "prometheus-alertmanager",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: []string{"prometheus-alertmanager", "base-files", "busybox-static", "ca-certificates", "libc6", "tzdata"},
			Keep: []string{
				"/usr/bin/prometheus-alertmanager", "/usr/bin/amtool", "/usr/bin/busybox", "/usr/lib/x86_64-linux-gnu", "/usr/lib64",
				"/usr/share/zoneinfo", "/lib", "/lib64", "/usr/share/prometheus/alertmanager",
			},
		}},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/bin/alertmanager":                  link("/usr/bin/prometheus-alertmanager"),
			"/bin/amtool":                        link("/usr/bin/amtool"),
			"/etc/alertmanager":                  dir(0o775, nobody),
			"/etc/alertmanager/alertmanager.yml": owned(file("alertmanager.yml", 0o664), nobody, nobody),
			"/alertmanager":                      dir(0o775, nobody),
		}),
		config: v1.Config{
			User:         "nobody",
			Env:          []string{searchPath},
			WorkingDir:   "/alertmanager",
			Entrypoint:   []string{"/bin/alertmanager"},
			Cmd:          []string{"--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"},
			ExposedPorts: set("9093/tcp"),
			Volumes:      set("/alertmanager"),
		},
	}.row("alertmanager", "Debian sid: prometheus-alertmanager", "0.33.1",
		"0.34.2 cannot be built from its Go module, which lacks the pages that it embeds; Debian's newest is 0.33.1; it has no web pages either",
		"docker.io/prom/alertmanager:v0.34.2")
}

func grafana() Image {
	const (
		id   = 472
		home = "/usr/share/grafana"
		// Without its pages a data source is a name: to what is of its kind Grafana
		// forwards queries. That of log lines is no part of upstream's image; here it is
		// where grafanaLogsPlugin can name it.
		kinds, more = home + "/public/app/plugins/datasource", home + "/plugins"
	)
	source := func(from, to string) moduleFiles {
		return moduleFiles{pinnedBy: "grafana", module: "github.com/grafana/grafana", from: from, to: to}
	}
	folder := oci.Entry{Dir: true, Mode: 0o777, UID: id}
	return Image{
		layers: []debian.Recipe{certificates, busybox},
		tools:  map[string]string{home + "/bin/grafana-server": "grafana-server"},
		modules: []moduleFiles{
			source("conf", home+"/conf"),
			source("public/emails", home+"/public/emails"),
		},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/run.sh":                                             file("grafana-run.sh", 0o755),
			home + "/public/views/index.html":                     file("grafana-index.html", 0o644),
			home + "/public/views/error.html":                     file("grafana-error.html", 0o644),
			kinds + "/prometheus/plugin.json":                     file("grafana-prometheus.json", 0o644),
			kinds + "/jaeger/plugin.json":                         file("grafana-jaeger.json", 0o644),
			more + "/victoriametrics-logs-datasource/plugin.json": file("grafana-victorialogs.json", 0o644),
			"/etc/grafana":                                        folder,
			"/etc/grafana/grafana.ini":                            owned(text("# Settings come from the environment: GF_SECTION_KEY.\n"), id, 0),
			"/etc/grafana/provisioning":                           folder,
			"/etc/grafana/provisioning/dashboards":                folder,
			"/etc/grafana/provisioning/datasources":               folder,
			"/etc/grafana/provisioning/notifiers":                 folder,
			"/var/lib/grafana":                                    folder,
			"/var/lib/grafana/plugins":                            folder,
			"/var/log/grafana":                                    folder,
		}),
		config: v1.Config{
			User: "472",
			Env: []string{
				"PATH=" + home + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"GF_PATHS_CONFIG=/etc/grafana/grafana.ini",
				"GF_PATHS_DATA=/var/lib/grafana",
				"GF_PATHS_HOME=" + home,
				"GF_PATHS_LOGS=/var/log/grafana",
				"GF_PATHS_PLUGINS=/var/lib/grafana/plugins",
				"GF_PATHS_PROVISIONING=/etc/grafana/provisioning",
			},
			WorkingDir:   home,
			Entrypoint:   []string{"/run.sh"},
			ExposedPorts: set("3000/tcp"),
		},
	}.row("grafana", "Go module github.com/grafana/grafana", "6.1.6",
		"6.1.6 is the newest release whose server can be built from Go modules; it provisions data sources and dashboards, answers its HTTP API and forwards queries, but has no pages to look at",
		"docker.io/grafana/grafana:13.2.3")
}
