package images

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

// postgresqlDrop is what an image with PostgreSQL 17 does without. Just-in-time
// compiling needs a compiler of 150 MB. Debian's own commands around PostgreSQL are in
// Perl, and the real ones take their place.
var postgresqlDrop = []string{
	"/usr/lib/postgresql/17/lib/bitcode", "/usr/lib/postgresql/17/lib/llvmjit*",
	"/usr/lib/x86_64-linux-gnu/libLLVM*", "/usr/lib/llvm*", "/usr/lib/x86_64-linux-gnu/libz3*",
	"/usr/share/postgresql-common", "/usr/share/postgresql-client-common",
	"/usr/bin/pg_*", "/usr/bin/psql", "/usr/bin/createdb", "/usr/bin/createuser", "/usr/bin/dropdb", "/usr/bin/dropuser",
	"/usr/bin/clusterdb", "/usr/bin/reindexdb", "/usr/bin/vacuumdb", "/usr/bin/vacuumlo", "/usr/bin/oid2name", "/usr/bin/pgbench",
}

// postgresqlSample is what upstream's images add to the configuration of a new database.
var postgresqlSample = map[string]string{"/usr/share/postgresql/17/postgresql.conf.sample": `
# as the upstream image has it
listen_addresses = '*'
shared_preload_libraries = 'timescaledb'
`}

// timescaledbHA is TimescaleDB with Patroni and pgBackRest in one image.
func timescaledbHA() Image {
	const (
		id   = 1000
		home = "/home/postgres"
	)
	return Image{
		debPackage: "postgresql-17-timescaledb",
		layers: []debian.Recipe{{
			Suite: debian.Stable,
			Packages: append([]string{
				"postgresql-17-timescaledb", "patroni", "pgbackrest", "curl", "jq", "procps", "gzip", "xz-utils", "zstd",
			}, system...),
			// Patroni would compile itself at each start, where the root file system is
			// read-only: 1.2 s of a core.
			Python: true,
			Drop: append([]string{
				"/usr/lib/python3*/ensurepip", "/usr/lib/python3*/idlelib", "/usr/lib/python3*/turtledemo", "/usr/lib/python3*/test",
				"/usr/lib/python3*/pydoc_data", "/etc/patroni", "/etc/pgbackrest.conf", "/etc/postgresql-common",
			}, postgresqlDrop...),
		}},
		tree: join(accounts("postgres", id, home), debianShell(), oci.Tree{
			"/docker-entrypoint.sh":                                  link("/usr/local/bin/docker-entrypoint.sh"),
			"/usr/local/bin/docker-entrypoint.sh":                    file("postgres-entrypoint.sh", 0o755),
			"/docker-entrypoint-initdb.d/000_install_timescaledb.sh": file("timescaledb-initdb.sh", 0o755),
			"/etc/pgbackrest.conf":                                   link(home + "/pgdata/backup/pgbackrest.conf"),
			home:                                                     dir(0o755, id),
			home + "/pgdata":                                         dir(0o755, id),
			home + "/pgdata/data":                                    dir(0o750, id),
			home + "/pgdata/backup":                                  dir(0o750, id),
			"/run/postgresql":                                        dir(0o1777, id),
			"/var/lib/postgresql":                                    dir(0o750, id),
			"/var/lib/pgbackrest":                                    dir(0o750, id),
			"/var/log/pgbackrest":                                    dir(0o770, id),
			"/var/spool/pgbackrest":                                  dir(0o770, id),
		}),
		appends: postgresqlSample,
		config: v1.Config{
			User: "postgres",
			Env: []string{
				"PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"PGROOT=" + home, "PGDATA=" + home + "/pgdata/data", "PGLOG=" + home + "/pg_log", "PGSOCKET=" + home + "/pgdata",
				"BACKUPROOT=" + home + "/pgdata/backup", "PGBACKREST_CONFIG=" + home + "/pgdata/backup/pgbackrest.conf", "PGBACKREST_STANZA=poddb",
				"LC_ALL=C.UTF-8", "LANG=C.UTF-8", "PAGER=",
			},
			WorkingDir:   home,
			Entrypoint:   []string{"/docker-entrypoint.sh"},
			Cmd:          []string{"postgres"},
			ExposedPorts: set("5432/tcp", "8008/tcp", "8081/tcp"),
			StopSignal:   "SIGINT",
		},
	}.row("timescaledb-ha", "Debian trixie: postgresql-17-timescaledb, patroni, pgbackrest", "2.19.3",
		"TimescaleDB 2.19.3 in the Apache edition on PostgreSQL 17.12, Patroni 4.0.7, pgBackRest 2.55.1; PostgreSQL 17 alone; without the many other extensions, Spilo's scripts, PgBouncer, exporters and cloud tools",
		"docker.io/timescale/timescaledb-ha:pg17.10-ts2.28.2")
}

// pgbouncer is the pooler. Older ones than 1.26.1 let any user who may log in with
// SCRAM log in as any other (CVE-2026-107350).
func pgbouncer() Image {
	const uid, gid = 998, 996
	return Image{
		debPackage: "pgbouncer",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: append([]string{"pgbouncer"}, system...),
			Drop:     []string{"/etc/pgbouncer", "/etc/default", "/usr/share/postgresql-common", "/usr/lib/python3*", "/usr/share/python3"},
		}},
		tree: join(debianShell(), oci.Tree{
			"/etc/passwd":        text("root:x:0:0:root:/root:/bin/sh\npgbouncer:x:998:996::/home/pgbouncer:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"),
			"/etc/group":         text("root:x:0:\npgbouncer:x:996:\nnobody:x:65534:\n"),
			"/tmp":               {Dir: true, Mode: 0o1777},
			"/entrypoint.sh":     file("pgbouncer-entrypoint.sh", 0o755),
			"/usr/bin/pgbouncer": link("/usr/sbin/pgbouncer"),
			"/etc/pgbouncer":     {Dir: true, Mode: 0o755, UID: uid, GID: gid},
			"/run/pgbouncer":     {Dir: true, Mode: 0o755, UID: uid, GID: gid},
			"/var/log/pgbouncer": {Dir: true, Mode: 0o755, UID: uid, GID: gid},
		}),
		config: v1.Config{
			User:         "pgbouncer",
			Env:          []string{searchPath},
			WorkingDir:   "/",
			Entrypoint:   []string{"./entrypoint.sh"},
			ExposedPorts: set("6432/tcp"),
		},
	}.row("pgbouncer", "Debian sid: pgbouncer", "1.26.1",
		"without PostgreSQL's clients",
		"ghcr.io/cloudnative-pg/pgbouncer:1.26.1")
}

// pgbouncerExporter is the pooler's.
func pgbouncerExporter() Image {
	return Image{
		Optional:   true,
		debPackage: "prometheus-pgbouncer-exporter",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: []string{"prometheus-pgbouncer-exporter", "base-files", "busybox-static", "ca-certificates", "libc6"},
			Keep:     []string{"/usr/bin/prometheus-pgbouncer-exporter", "/usr/bin/busybox", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib", "/lib64"},
		}},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/bin/pgbouncer_exporter": link("/usr/bin/prometheus-pgbouncer-exporter"),
		}),
		config: v1.Config{
			User: "nobody", Env: []string{searchPath}, WorkingDir: "/", ExposedPorts: set("9127/tcp"), Entrypoint: []string{"/bin/pgbouncer_exporter"},
		},
	}.row("pgbouncer-exporter", "Debian sid: prometheus-pgbouncer-exporter", "0.12.0", "",
		"docker.io/prometheuscommunity/pgbouncer-exporter:v0.12.0")
}

// versitygw is the S3 server of stacks that keep their backups on a volume.
func versitygw() Image {
	return Image{
		Optional: true,
		layers:   []debian.Recipe{certificates, busybox},
		tools:    map[string]string{"/usr/local/bin/versitygw": "versitygw"},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/usr/local/bin/docker-entrypoint.sh": file("versitygw-entrypoint.sh", 0o755),
			"/tmp/vgw":                            {Dir: true, Mode: 0o755},
		}),
		config: v1.Config{
			Env:        []string{searchPath},
			WorkingDir: "/",
			Entrypoint: []string{"/usr/local/bin/docker-entrypoint.sh"},
		},
	}.row("versitygw", "Go module github.com/versity/versitygw", "1.8.0",
		"its entrypoint takes arguments, not the variables VGW_BACKEND and VGW_ARGS",
		"docker.io/versity/versitygw:v1.8.0")
}
