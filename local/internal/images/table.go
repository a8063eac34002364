package images

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

//go:embed files
var files embed.FS

// file returns an embedded file as an entry of an image.
func file(name string, mode int64) oci.Entry {
	raw, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return oci.Entry{Mode: mode, Content: raw}
}

func text(s string) oci.Entry          { return oci.Entry{Mode: 0o644, Content: []byte(s)} }
func link(to string) oci.Entry         { return oci.Entry{Link: to} }
func dir(mode int64, id int) oci.Entry { return oci.Entry{Dir: true, Mode: mode, UID: id, GID: id} }

// owned is the entry, owned by a user and a group.
func owned(e oci.Entry, uid, gid int) oci.Entry {
	e.UID, e.GID = uid, gid
	return e
}

const (
	searchPath    = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	nobody        = 65534
	tag           = "0.1.0" // of the images that are this repository's own
	ownRepository = "docker.io/alphapulse/"
)

// ports and volumes are sets in an image's configuration.
func set(names ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// accounts returns /etc/passwd and /etc/group with root, nobody and, if name is
// not empty, one user whose group has the same name and number.
func accounts(name string, id int, home string) oci.Tree {
	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	group := "root:x:0:\n"
	if name != "" {
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, id, home)
		group += fmt.Sprintf("%s:x:%d:\n", name, id)
	}
	passwd += "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
	group += "nobody:x:65534:\n"
	return oci.Tree{
		"/etc/passwd": text(passwd),
		"/etc/group":  text(group),
		"/tmp":        {Dir: true, Mode: 0o1777},
	}
}

// join puts trees together.
func join(trees ...oci.Tree) oci.Tree {
	all := oci.Tree{}
	for _, t := range trees {
		for name, e := range t {
			if _, twice := all[name]; twice {
				panic("two entries for " + name)
			}
			all[name] = e
		}
	}
	return all
}

// Root file systems that several images lie on.
var (
	// certificates are what a static binary needs of a system.
	certificates = debian.Recipe{
		Suite:    debian.Stable,
		Packages: []string{"ca-certificates", "tzdata"},
		Keep:     []string{"/usr/share/zoneinfo"},
	}
	busybox = debian.Recipe{
		Suite:    debian.Stable,
		Packages: []string{"busybox-static"},
		Keep:     []string{"/usr/bin/busybox"},
	}
)

// applets are the commands of busybox that an image gets; upstream images on
// busybox have them, and probes and people in a hurry use them.
const applets = `[ arp awk base64 basename cat chgrp chmod chown clear cmp cp cut date dd df diff dirname du echo env expr
	false find free getopt grep egrep fgrep gunzip gzip head hexdump hostname id ifconfig ip kill killall ln ls md5sum mkdir mkfifo
	mktemp more mv nc netstat nproc nslookup od paste pidof ping printf ps pwd readlink realpath rm rmdir route sed seq sh
	sha256sum sleep sort stat strings stty sync tail tar tee test time timeout top touch tr traceroute true tty uname uniq
	uptime vi watch wc wget which whoami xargs xxd yes zcat`

// shell is busybox under its commands' names.
func shell() oci.Tree {
	t := oci.Tree{"/bin/busybox": link("/usr/bin/busybox"), "/usr/bin/env": link("busybox")}
	for _, a := range strings.Fields(applets) {
		t["/bin/"+a] = link("/usr/bin/busybox")
	}
	return t
}

// system are the commands that entrypoints, probes and people expect in an image
// that is not one static binary.
var system = []string{"base-files", "bash", "coreutils", "findutils", "grep", "libc-bin", "sed", "tzdata", "util-linux", "ca-certificates"}

// debianShell are the links that packages would make in scripts.
func debianShell() oci.Tree {
	return oci.Tree{"/usr/bin/sh": link("bash"), "/var/run": link("/run"), "/var/lock": link("/run/lock"), "/run/lock": {Dir: true, Mode: 0o1777}}
}

// npm are the commands that pages are built with, and their packages.
var npm = map[string]string{"node": "nodejs", "npm": "npm"}

// static is the usual image of a server that is one static binary.
func static(binary, tool, user string) Image {
	return Image{
		layers: []debian.Recipe{certificates},
		tools:  map[string]string{binary: tool},
		tree:   accounts("", 0, ""),
		config: v1.Config{User: user, Env: []string{searchPath}, WorkingDir: "/", Entrypoint: []string{binary}},
	}
}

// row completes an image with what the table says of it.
func (i Image) row(name, source, version, differs string, refs ...string) Image {
	i.Name, i.Source, i.Version, i.Differs, i.Refs = name, source, version, differs, refs
	return i
}

func (i Image) forCluster() Image {
	i.Cluster = true
	return i
}

func (i Image) with(change func(*Image)) Image {
	change(&i)
	return i
}

// Table returns all images, those that the cluster needs first at its beginning.
func Table() []Image {
	return slices.Concat(clusterImages(), stackImages(), ownImages(), addonImages(), baseImages())
}

func clusterImages() []Image {
	return []Image{
		static("/pause", "pause", "65535:65535").
			with(func(i *Image) { i.layers = nil }).
			row("pause", "local/modules/helpers", "3.10.1", "written anew in Go; it holds namespaces and reaps orphans as upstream's does",
				"registry.k8s.io/pause:3.10.1").
			forCluster(),
		static("/coredns", "coredns", "65532:65532").
			row("coredns", "Go module github.com/coredns/coredns", "1.15.0", "only the plugins that a cluster's DNS uses; no file capability, so port 53 must be open to users",
				"registry.k8s.io/coredns/coredns:v1.15.0").
			with(func(i *Image) { i.config.ExposedPorts = set("53/tcp", "53/udp") }).
			forCluster(),
		static("/metrics-server", "metrics-server", "65534").
			row("metrics-server", "Go module sigs.k8s.io/metrics-server", "0.9.0", "",
				"registry.k8s.io/metrics-server/metrics-server:v0.9.0").
			forCluster(),
		Image{
			layers: []debian.Recipe{certificates, busybox},
			tools:  map[string]string{"/usr/bin/local-path-provisioner": "local-path-provisioner"},
			tree:   join(accounts("", 0, ""), shell()),
			config: v1.Config{Env: []string{searchPath}, WorkingDir: "/", Entrypoint: []string{"local-path-provisioner"}},
		}.
			row("local-path-provisioner", "Go module github.com/rancher/local-path-provisioner", "0.0.30", "",
				"docker.io/rancher/local-path-provisioner:v0.0.30").
			forCluster(),
		Image{
			layers:     []debian.Recipe{busybox},
			debPackage: "busybox-static",
			tree: join(accounts("", 0, ""), shell(), oci.Tree{
				"/root": {Dir: true, Mode: 0o700},
				"/home": {Dir: true, Mode: 0o755, UID: nobody, GID: nobody},
			}),
			config: v1.Config{Env: []string{searchPath}, WorkingDir: "/", Cmd: []string{"sh"}},
		}.
			row("busybox", "Debian trixie: busybox-static", "1.37.0", "a part of the commands; the tag 1.37 is the newest 1.37.x",
				"docker.io/library/busybox:1.37").
			forCluster(),
	}
}

func stackImages() []Image {
	return []Image{
		timescaledb(), timescaledbHA(), pgbouncer(), pgbouncerExporter(), versitygw(), redis(), valkey(), nginx(),
		static("/usr/bin/nginx-prometheus-exporter", "nginx-prometheus-exporter", "1001:1001").
			row("nginx-exporter", "Go module github.com/nginx/nginx-prometheus-exporter", "1.5.1", "",
				"docker.io/nginx/nginx-prometheus-exporter:1.5.1"),
		blackboxExporter(),
		Image{
			layers: []debian.Recipe{certificates, busybox},
			tools:  map[string]string{"/bin/statsd_exporter": "statsd_exporter"},
			tree:   join(accounts("", 0, ""), shell()),
			config: v1.Config{User: "65534", Env: []string{searchPath}, WorkingDir: "/", ExposedPorts: set("9102/tcp", "9125/tcp", "9125/udp"), Entrypoint: []string{"/bin/statsd_exporter"}},
		}.
			row("statsd-exporter", "Go module github.com/prometheus/statsd_exporter", "0.31.0", "",
				"docker.io/prom/statsd-exporter:v0.31.0"),
		prometheus(), alertmanager(),
		Image{
			layers: []debian.Recipe{certificates, busybox},
			tools:  map[string]string{"/bin/postgres_exporter": "postgres_exporter"},
			tree:   join(accounts("", 0, ""), shell()),
			config: v1.Config{User: "nobody", Env: []string{searchPath}, WorkingDir: "/", ExposedPorts: set("9187/tcp"), Entrypoint: []string{"/bin/postgres_exporter"}},
		}.
			row("postgres-exporter", "Go module github.com/prometheus-community/postgres_exporter", "0.19.1", "",
				"docker.io/prometheuscommunity/postgres-exporter:v0.19.1"),
		static("/redis_exporter", "redis_exporter", "59000:59000").
			with(func(i *Image) { i.config.ExposedPorts = set("9121/tcp") }).
			row("redis-exporter", "Go module github.com/oliver006/redis_exporter", "1.88.0", "",
				"docker.io/oliver006/redis_exporter:v1.88.0"),
		static("/kube-state-metrics", "kube-state-metrics", "nobody").
			with(func(i *Image) {
				i.config.Entrypoint = []string{"/kube-state-metrics", "--port=8080", "--telemetry-port=8081"}
				i.config.ExposedPorts = set("8080/tcp", "8081/tcp")
			}).
			row("kube-state-metrics", "Go module k8s.io/kube-state-metrics/v2", "2.20.0", "with the client libraries of Kubernetes 1.37.2, which upstream's release does not have yet",
				"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"),
		grafana(),
		otelcol(), victoriaLogs(), jaeger(), oauth2Proxy(), dex(),
	}
}

// healthcheck is that of the application's Dockerfiles: a Docker engine asks it,
// Kubernetes does not.
func healthcheck(program string, start time.Duration) *v1.HealthConfig {
	return &v1.HealthConfig{
		Test: []string{"CMD", program, "healthcheck"}, Interval: 5 * time.Second, Timeout: 4 * time.Second, StartPeriod: start, Retries: 6,
	}
}

func ownImages() []Image {
	return []Image{
		static("/alphapulse", "alphapulse", "1000:1000").
			with(func(i *Image) {
				i.tree = join(accounts("alphapulse", 1000, "/app"), oci.Tree{
					"/app":        dir(0o755, 1000),
					"/app/logs":   dir(0o755, 1000),
					"/app/models": dir(0o755, 1000),
					"/app/cache":  dir(0o755, 1000),
					"/app/data":   dir(0o755, 1000),
				})
				i.config.WorkingDir = "/app"
				i.config.ExposedPorts = set("8000/tcp", "8050/tcp", "9090/tcp")
				i.config.Healthcheck = healthcheck("/alphapulse", 10*time.Second)
			}).
			row("backend", "docker/backend", tag, "", ownRepository+"backend:"+tag),
		static("/frontend", "frontend", "1001:1001").
			with(func(i *Image) {
				i.tree = accounts("frontend", 1001, "/")
				i.commands = npm
				i.config.ExposedPorts = set("3000/tcp")
				i.config.Env = append(i.config.Env, "PORT=3000")
				i.config.Healthcheck = healthcheck("/frontend", 5*time.Second)
			}).
			row("frontend", "docker/frontend", tag, "", ownRepository+"frontend:"+tag),
		static("/app/agent", "agent", "65532:65532").
			row("agent", "docker/agent", tag, "", ownRepository+"agent:"+tag),
		static("/probe", "probe", "65532:65532").
			row("probe", "local/modules/helpers", tag, "", ownRepository+"probe:"+tag),
	}
}

// Builds reach no public registry: the local engine's node serves what they fetch,
// at these addresses.
const (
	BuildModules  = "http://10.250.0.2:30500/go"
	BuildPackages = "http://10.250.0.2:30500/npm/"
)

// baseImages are what docker/Dockerfile.*.prod begin with.
func baseImages() []Image {
	const goVersion = "1.26.8"
	return []Image{
		Image{
			Base:      true,
			layers:    []debian.Recipe{{Suite: debian.Stable, Packages: system}},
			goVersion: goVersion,
			tree: join(accounts("", 0, ""), debianShell(), oci.Tree{
				"/root":   {Dir: true, Mode: 0o700},
				"/go/bin": {Dir: true, Mode: 0o1777},
				"/go/src": {Dir: true, Mode: 0o1777},
			}),
			config: v1.Config{
				Env: []string{
					"PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					"GOLANG_VERSION=" + goVersion, "GOTOOLCHAIN=local", "GOPATH=/go", "GOPROXY=" + BuildModules,
				},
				WorkingDir: "/go",
				Cmd:        []string{"bash"},
			},
		}.row("golang", "Go "+goVersion+" of this machine or of its module proxy, on packages of Debian trixie", goVersion,
			"on Debian 13 instead of 12; without a C compiler, git, and Go's own tests, but with its standard library compiled; modules come from the local engine, which serves this machine's download cache",
			"docker.io/library/golang:"+goVersion+"-bookworm"),
		Image{
			Base:       true,
			debPackage: "nodejs",
			layers: []debian.Recipe{{
				Suite: debian.Stable, Packages: append([]string{"nodejs", "npm"}, system...),
				// Nothing else needs what compiles add-ons in C++.
				Drop: []string{"/usr/include", "/usr/lib/python3*", "/usr/share/python3", "/usr/lib/gcc", "/usr/libexec/gcc"},
			}},
			tree: join(accounts("", 0, ""), debianShell(), oci.Tree{"/root": {Dir: true, Mode: 0o700}}),
			config: v1.Config{
				Env: []string{searchPath, "npm_config_registry=" + BuildPackages},
				Cmd: []string{"node"},
			},
		}.row("node", "Debian trixie: nodejs and npm", "20.19.2",
			"Debian 13's Node.js and its npm 9 instead of 10, on Debian 13 instead of 12; without yarn and the entrypoint script; packages come from the local engine, which has those of the frontend's lock file",
			"docker.io/library/node:20.20.2-bookworm-slim"),
	}
}

// blackboxExporter looks at the certificate that the edge serves.
func blackboxExporter() Image {
	return Image{
		debPackage: "prometheus-blackbox-exporter",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: []string{"prometheus-blackbox-exporter", "base-files", "busybox-static", "ca-certificates", "libc6"},
			Keep:     []string{"/usr/bin/prometheus-blackbox-exporter", "/usr/bin/busybox", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib", "/lib64"},
		}},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/bin/blackbox_exporter": link("/usr/bin/prometheus-blackbox-exporter"),
		}),
		config: v1.Config{
			Env: []string{searchPath}, WorkingDir: "/", ExposedPorts: set("9115/tcp"), Entrypoint: []string{"/bin/blackbox_exporter"},
			Cmd: []string{"--config.file=/etc/blackbox_exporter/config.yml"},
		},
	}.row("blackbox-exporter", "Debian sid: prometheus-blackbox-exporter", "0.28.0", "without its example configuration",
		"docker.io/prom/blackbox-exporter:v0.28.0")
}
