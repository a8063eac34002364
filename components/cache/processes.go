package cache

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

const (
	portName    = "redis"
	secureName  = "redis-tls"
	metricsName = "metrics"
)

// answersWithin is the time until the server answers at all, in seconds. Loading its data
// is not in it: a server that loads already answers.
const answersWithin = 60

// StartupSeconds is how long the server may take to have its data loaded.
func (a *Args) StartupSeconds() int { return answersWithin + LoadingSeconds(a.MaxMemoryBytes()) }

// GraceSeconds for a stop: the append-only file is flushed once, and a rewrite
// under way is given up.
const GraceSeconds = 60

// loopback is where the processes of one pod reach each other, and loopbackName its name
// in the certificate.
const (
	loopback     = "127.0.0.1"
	loopbackName = "localhost"
)

// volumes of the pod; on a Docker host each container takes those that it mounts.
func (a *Args) volumes(name string, on room.Target) []workload.Volume {
	secret := func(volume, file string, content pulumi.StringOutput) workload.Volume {
		return workload.Volume{Name: volume, Keys: []string{path.Base(file)},
			Files: workload.Hidden(volume, pulumi.StringMap{path.Base(file): content})}
	}
	config := workload.Folder(workload.Plain("config", map[string]string{path.Base(ConfigFile): a.Config()}))
	config.Keys = []string{path.Base(ConfigFile)}
	exporter := secret("exporter", ExporterFile, a.ExporterPasswords(a.address(name, on)))
	exporter.HostName = "password"
	volumes := []workload.Volume{
		{Name: "data", Data: &workload.Data{Size: a.Storage, StorageClass: a.StorageClass, Protect: a.Protect}},
		config, secret("acl", ACLFile, a.ACL()), exporter,
	}
	if a.encrypted() {
		names := append([]string{name, loopbackName}, a.AliasServices...)
		files := a.Authority.Certificate(tlsVolume, name, names...)
		volumes = append(volumes, workload.Folder(files))
		if a.Encryption == room.Required {
			volumes = append(volumes, workload.Volume{Name: rootsVolume, Files: files, Keys: []string{workload.RootsFile}})
		}
	}
	return volumes
}

const (
	tlsVolume   = "tls"
	rootsVolume = "roots"
)

// roots is the file of those that vouch for the server.
var roots = path.Join(TLSPath, workload.RootsFile)

// address is where the exporter reaches the server: within its pod, where nobody listens, it
// speaks TLS only if nothing else is spoken.
func (a *Args) address(name string, on room.Target) *url.URL {
	address := func(scheme, host string, port int) *url.URL {
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(port))}
	}
	switch {
	case on == room.DockerHost:
		return address("redis", name, Port)
	case a.Encryption == room.Required:
		return address("rediss", loopbackName, TLSPort)
	default:
		return address("redis", loopback, Port)
	}
}

func (a *Args) server(name string) workload.Process {
	p := workload.Process{
		Name: "redis", Identity: Server(name), Image: a.Image, User: User,
		// Not the image's entrypoint, which loads every module that it ships.
		Command:   []string{"redis-server", ConfigFile},
		Resources: a.Resources,
		Ports:     a.ports(),
		Mounts: []workload.Mount{
			{Volume: "data", Path: DataPath},
			{Volume: "config", Path: path.Dir(ConfigFile), ReadOnly: true},
			{Volume: "acl", Path: path.Dir(ACLFile), ReadOnly: true},
		},
		StartupSeconds: a.StartupSeconds(), AnswersWithin: answersWithin,
		// Answered while the data is loading, too: a long load must not be killed.
		Alive:        &workload.Probe{Command: a.ask("time"), PeriodSeconds: 10, TimeoutSeconds: 10, Failures: 6},
		Ready:        &workload.Probe{Command: a.ask("ping"), PeriodSeconds: 5, TimeoutSeconds: 10, Failures: 2},
		Health:       workload.Health{Command: a.ask("ping")},
		GraceSeconds: GraceSeconds,
	}
	if a.encrypted() {
		p.Mounts = append(p.Mounts, workload.Mount{Volume: tlsVolume, Path: TLSPath, ReadOnly: true})
	}
	return p
}

// ask is a command that asks the server as HealthUser, who has no password (any word
// will do) and no rights but these commands; -e makes an error reply a failure.
func (a *Args) ask(command string) []string {
	cli := []string{"redis-cli", "-e", "--no-auth-warning", "--user", HealthUser, "--pass", "none"}
	if a.Encryption == room.Required {
		cli = append(cli, "--tls", "--cacert", roots, "-h", loopbackName, "-p", strconv.Itoa(TLSPort))
	}
	return append(cli, command)
}

func (a *Args) exporter(name string, on room.Target) workload.Process {
	p := workload.Process{
		Name: "exporter", Identity: exporterOf(name), Image: a.ExporterImage, User: workload.Nobody,
		Env: pulumi.ToStringMap(map[string]string{
			"REDIS_ADDR": a.address(name, on).String(),
			"REDIS_USER": MonitoringUser,
			// Its default is IPv4 alone.
			"REDIS_EXPORTER_WEB_LISTEN_ADDRESS": fmt.Sprintf(":%d", MetricsPort),
			"REDIS_PASSWORD_FILE":               ExporterFile,
			// The limit and the policy are in INFO; CONFIG would also show secrets.
			"REDIS_EXPORTER_CONFIG_COMMAND": "-",
			// It would query whatever address a caller names.
			"REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT": "true",
		}),
		Resources: ExporterResources,
		Ports:     []workload.Port{{Name: metricsName, Number: MetricsPort}},
		Mounts:    []workload.Mount{{Volume: "exporter", Path: path.Dir(ExporterFile), ReadOnly: true}},
		// No readiness: a missing exporter must not take the cache away from its clients.
		Alive:        &workload.Probe{Path: "/health", Port: metricsName, PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 4},
		Health:       workload.Health{None: true},
		GraceSeconds: 5,
	}
	if a.Encryption == room.Required {
		p.Env["REDIS_EXPORTER_TLS_CA_CERT_FILE"] = pulumi.String(roots)
		p.Mounts = append(p.Mounts, workload.Mount{Volume: rootsVolume, Path: TLSPath, ReadOnly: true})
	}
	return p
}
