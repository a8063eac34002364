package backend

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// preStopSeconds is how long a stopping pod keeps serving while its removal from
// the endpoints reaches every proxy: the edge may know its address for 7 s, 5 s of
// the cluster's DNS cache and 2 s of its own.
const preStopSeconds = 10

// drainMargin is what a process may need to close its connections after the last
// request, in seconds.
const drainMargin = 5

// Writable are the paths that the application's images write to under a read-only root.
var Writable = map[string]string{
	"logs": "/app/logs", "models": "/app/models", "cache": "/app/cache", "data": "/app/data", "tmp": "/tmp",
}

// writableLimit bounds each of them, hostWritableLimit on a Docker host, where they are
// in memory.
const (
	writableLimit     = "256Mi"
	hostWritableLimit = "64Mi"
)

// portName is the name of the port that probes and Services refer to.
const portName = "http"

// neverTrades is what keeps ten autoscaled API pods from trading ten times: in the
// real application every API process starts the trading loops unless told not to,
// once for each of its workers.
var neverTrades = map[string]string{
	"TRADING_ENABLED": "false",
	"PAPER_TRADING":   "true",
	"WEB_CONCURRENCY": "1",
}

// mode is how the reference backend, one image for three processes, knows which of them
// it is. An argument would be another program's, or an error, in an image of the user's.
func mode(role string) map[string]string { return map[string]string{"ALPHAPULSE_MODE": role} }

// trades says whether the singleton trades, and with what.
func (a *Args) trades() map[string]string {
	return map[string]string{
		"TRADING_ENABLED": strconv.FormatBool(a.TradingEnabled),
		"PAPER_TRADING":   strconv.FormatBool(!a.RealMoney),
		"WEB_CONCURRENCY": "1",
	}
}

// running is one of the backend's workloads.
type running struct {
	room.Identity
	*Process
	// env are those of the program, which carry its guarantees and win over the user's.
	env map[string]string
}

func (r running) port() workload.Port { return workload.Port{Name: portName, Number: r.Port} }

// ports of the process' Services.
func (r running) ports() []workload.Port { return workload.WithTLS(r.port(), r.TLSPort) }

// running lists the workloads: the API first, then the engine and the dashboard where
// there are any.
func (a *Args) running(name string) []running {
	list := []running{{API(name), &a.API, Merge(neverTrades, mode("api"))}}
	if a.Engine != nil {
		list = append(list, running{Engine(name), a.Engine, Merge(a.trades(), mode("engine"))})
	}
	if a.Dashboard != nil {
		list = append(list, running{Dashboard(name), a.Dashboard, Merge(neverTrades, mode("dashboard"))})
	}
	return list
}

// encrypted tells whether the process reaches the stores over TLS.
func (a *Args) encrypted(r running) bool { return a.Access != nil && a.Access.Roots != nil && !r.Plain }

// process is the workload's process as both targets run it, with its writable folders.
func (a *Args) process(r running) (workload.Process, []workload.Volume) {
	volumes, mounts := workload.Writable(writableLimit, hostWritableLimit, Writable)
	p := workload.Process{
		Name: r.Component, Identity: r.Identity, Image: r.Image, User: User,
		Command:   r.Command,
		Env:       pulumi.ToStringMap(Merge(a.Telemetry.Environment(r.Component), r.Env, r.env)),
		Fields:    a.Telemetry.fields(),
		Resources: r.Resources, Mounts: mounts,
		StartupSeconds: r.StartupSeconds, GraceSeconds: a.RequestTimeoutSeconds + drainMargin,
	}
	if len(r.Args) > 0 {
		p.Args = pulumi.ToStringArray(r.Args)
	}
	if r.Port != 0 {
		p.Ports = []workload.Port{r.port()}
		// The endpoints' removal takes a moment to reach the proxies; a process
		// without a port has no one to wait for.
		p.PreStopSeconds = preStopSeconds
	}
	if r.TLSPort != 0 {
		volumes = append(volumes, a.Authority.Secure(&p, r.Name, r.TLSPort))
	}
	if a.encrypted(r) {
		volumes = append(volumes, workload.Folder(workload.Hidden("authority", pulumi.StringMap{workload.RootsFile: a.Access.Roots})))
		p.Mounts = append(p.Mounts, workload.Mount{Volume: "authority", Path: RootsPath, ReadOnly: true})
	}
	if r.LivenessPath != "" {
		p.Alive = &workload.Probe{Path: r.LivenessPath, Port: portName, PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3}
	}
	if r.ReadinessPath != "" {
		p.Ready = &workload.Probe{Path: r.ReadinessPath, Port: portName, PeriodSeconds: 5, TimeoutSeconds: 3, Failures: 2}
	}
	return p, volumes
}

// waitResources of the init container; it counts only while it runs.
var waitResources = room.ResourcesOf("50m", "32Mi", "200m", "64Mi")

// waitScript waits until PostgreSQL, or the pooler in front of it, answers a client's first
// message with anything but the SQLSTATE class 57P (starting up, shutting down). No
// credential is needed: the answer comes before one is asked for. The message is protocol
// 3.0's StartupMessage ("Message Formats" in PostgreSQL's documentation) for a user called
// wait. A pooler asks a server first, and forgets who has hung up meanwhile: nc is held
// open for a second.
func waitScript(database string) string {
	parameters := `user\0wait\0database\0` + database + `\0\0`
	length := 8 + len(strings.ReplaceAll(parameters, `\0`, "0"))
	return fmt.Sprintf(`until reply=$({ printf '\0\0\0\%03o\0\003\0\0%s'; sleep 1; } | nc -w 2 "$DATABASE_HOST" "$DATABASE_PORT" | tr '\0' ' ') && `+
		`case $reply in "" | *C57P*) false ;; esac; do sleep 1; done`, length, parameters)
}

// waitForDatabase keeps the pod in its init phase until the database accepts
// connections: an application that exits without one would crash-loop, with
// growing pauses, long after the database is back.
func (a *Args) waitForDatabase() []workload.Process {
	if a.Access == nil {
		return nil
	}
	host := a.Access.DatabaseHost
	if a.Access.Secured && a.Access.DatabaseDirectHost != nil {
		// A pooler refuses a message without TLS before it knows whether there is a server.
		// The primary refuses it only once it accepts connections.
		host = a.Access.DatabaseDirectHost
	}
	return []workload.Process{{
		Name: "wait-for-database", Image: a.WaitImage,
		Command: []string{"sh", "-c", waitScript(a.Access.Database.Name)},
		Env: pulumi.StringMap{
			"DATABASE_HOST": host.ToStringOutput(),
			"DATABASE_PORT": pulumi.String(strconv.Itoa(a.Access.Database.Port)),
		},
		Resources: waitResources,
	}}
}

// CredentialsPath is the folder with a file for each secret variable of a process on a
// Docker host. An image there reads a variable X that is not set from the file that
// X_FILE names, for the environment of a container is no secret.
const CredentialsPath = "/etc/alphapulse/credentials"

// credentialFiles are the secret variables of a process as files.
func (a *Args) credentialFiles(r running) (plain, files pulumi.StringMap) {
	access := a.Access
	if a.encrypted(r) {
		access = access.over()
	}
	plain, files = access.variables()
	maps.Copy(files, r.Credentials)
	return plain, files
}

// onHost completes a process for a Docker host: probes are the image's own HEALTHCHECK,
// which it has to have.
func (a *Args) onHost(r running) (workload.Process, []workload.Volume) {
	p, volumes := a.process(r)
	env := pulumi.ToStringMap(a.Settings.Environment())
	plain, files := a.credentialFiles(r)
	maps.Copy(env, plain)
	maps.Copy(env, p.Env)
	if len(files) > 0 {
		volumes = append(volumes, workload.Folder(workload.Hidden("credentials", files)))
		p.Mounts = append(p.Mounts, workload.Mount{Volume: "credentials", Path: CredentialsPath, ReadOnly: true})
		for variable := range files {
			env[variable+"_FILE"] = pulumi.String(fmt.Sprintf("%s/%s", CredentialsPath, variable))
		}
	}
	p.Env = env
	return p, volumes
}
