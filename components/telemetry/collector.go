package telemetry

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// CollectorUser is the uid of the Collector's images.
const CollectorUser = 10001

// Where the gateway finds its files, and keeps what could not be sent yet.
const (
	CollectorConfigPath = "/etc/otelcol-contrib"
	CollectorData       = "/var/lib/otelcol"

	collectorFile    = "config.yaml"
	credentialsPath  = "/etc/otelcol-credentials"
	certificatesPath = "/etc/otelcol-certificates"
)

// How long the gateway may take to answer for the first time, as it reads what waits on
// its volume, and to stop, when it stores what is under way, in seconds.
const (
	collectorStartupSeconds = 120
	collectorGraceSeconds   = 30
)

// queueShare of the volume is for each signal, in percent. The rest is for what the store
// on disk keeps beside it, and for its compaction.
const queueShare = 40

// CollectorConfig is the gateway's file. namespace marks what brings none itself.
func (a *Args) CollectorConfig(name, namespace string) (string, error) {
	return config.Collector{
		Tail:   a.tail(),
		Logs:   a.logsSink(name),
		Traces: a.tracesSink(name),

		Namespace: namespace, QueueDirectory: CollectorData + "/queue",
		QueueBytes: a.Collector.Storage.Value() / 100 * queueShare,
		GRPCPort:   GRPCPort, HTTPPort: HTTPPort, HealthPort: healthPort, MetricsPort: metricsPort, ForwardedPort: forwardedPort,
	}.Render()
}

// TailWait is how long a trace waits until it is decided about.
const TailWait = config.TailWait

// A trace that waits takes some traceBytes, which the 13 spans of a request of the reference
// backend stay below; a tailShare of the gateway's memory, in percent, is for all of them.
const (
	traceBytes = 16 << 10
	tailShare  = 25
)

// tail decides about traces; nil where each is kept.
func (a *Args) tail() *config.Tail {
	if !a.Tail.On() {
		return nil
	}
	return &config.Tail{
		Share: *a.Tail.Share, SlowMilliseconds: a.Tail.SlowMilliseconds,
		Traces: a.Collector.Resources.Limits.Memory.Value() / 100 * tailShare / traceBytes,
	}
}

// logsSink is where the gateway sends lines.
func (a *Args) logsSink(name string) config.Sink {
	if a.Logs.Backend == Local {
		return config.Sink{Protocol: config.OTLP, Exact: true, URL: fmt.Sprintf("http://%s:%d%s/insert/opentelemetry/v1/logs", LogsOf(name).Name, LogsPort, LogsPath)}
	}
	return a.Logs.sink("logs", credentialsPath, certificatesPath)
}

// tracesSink is where the gateway sends spans: to Jaeger wherever there is one.
func (a *Args) tracesSink(name string) config.Sink {
	if a.RunsJaeger() {
		return config.Sink{Protocol: config.OTLP, URL: fmt.Sprintf("http://%s:%d", TracesOf(name).Name, HTTPPort)}
	}
	return a.Traces.sink("traces", credentialsPath, certificatesPath)
}

// sink is the server of somebody else's that keeps the signal. Who sends there has the
// credential and the certificates in these folders.
func (s Signal) sink(signal, credentials, certificates string) config.Sink {
	to := config.Sink{URL: s.Remote.URL}
	switch s.Backend {
	case OTLP:
		to.Protocol = config.OTLP
	case Elasticsearch:
		to.Protocol = config.Elasticsearch
	default:
		return config.Sink{}
	}
	if s.Remote.Credential != nil {
		to.Header, to.CredentialFile = s.Remote.Header, credentials+"/"+signal
	}
	if s.Remote.CA != "" {
		to.CAFile = certificates + "/" + signal + ".crt"
	}
	return to
}

// collector is the gateway.
func (a *Args) collector(name string) (server, error) {
	if _, err := a.CollectorConfig(name, ""); err != nil {
		return server{}, err
	}
	file := pulumi.All(a.Namespace).ApplyT(func(v []any) (string, error) { return a.CollectorConfig(name, v[0].(string)) }).(pulumi.StringOutput)
	volumes := []workload.Volume{
		a.data(a.Collector.Storage),
		workload.Folder(&workload.Files{Name: "config", Data: pulumi.StringMap{collectorFile: file}}),
	}
	mounts := []workload.Mount{{Volume: "data", Path: CollectorData}, {Volume: "config", Path: CollectorConfigPath, ReadOnly: true}}
	more, moreMounts := access(map[string]destination{"logs": {a.Logs, a.logsSink(name)}, "traces": {a.Traces, a.tracesSink(name)}}, credentialsPath, certificatesPath)
	volumes, mounts = append(volumes, more...), append(mounts, moreMounts...)
	ports := []workload.Port{
		{Name: "otlp-http", Number: HTTPPort}, {Name: "otlp-grpc", Number: GRPCPort},
		{Name: "health", Number: healthPort}, {Name: "metrics", Number: metricsPort}, {Name: "forwarded", Number: forwardedPort},
	}
	return server{
		process: workload.Process{
			Name: "collector", Identity: CollectorOf(name), Image: a.Collector.Image, User: CollectorUser,
			Args:           pulumi.ToStringArray([]string{"--config=" + CollectorConfigPath + "/" + collectorFile}),
			Env:            pulumi.StringMap{"GOMEMLIMIT": pulumi.String(goMemory(a.Collector.Resources))},
			Resources:      a.Collector.Resources,
			Ports:          ports,
			Mounts:         mounts,
			StartupSeconds: collectorStartupSeconds, GraceSeconds: collectorGraceSeconds,
			Alive: &workload.Probe{Path: "/", Port: "health", PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6},
			Ready: &workload.Probe{Path: "/", Port: "health", PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3},
		},
		volumes: volumes, more: ports[1:2],
	}, nil
}

// destination is a signal, and where whoever has access sends it.
type destination struct {
	Signal
	config.Sink
}

// access are the files by which servers of somebody else's are reached, in two folders.
func access(signals map[string]destination, credentialsPath, certificatesPath string) (volumes []workload.Volume, mounts []workload.Mount) {
	credentials, certificates := pulumi.StringMap{}, map[string]string{}
	for signal, d := range signals {
		if d.CredentialFile != "" {
			credentials[signal] = d.Remote.Credential
		}
		if d.CAFile != "" {
			certificates[signal+".crt"] = d.Remote.CA
		}
	}
	if len(credentials) > 0 {
		volumes = append(volumes, workload.Folder(workload.Hidden("credentials", credentials)))
		mounts = append(mounts, workload.Mount{Volume: "credentials", Path: credentialsPath, ReadOnly: true})
	}
	if len(certificates) > 0 {
		volumes = append(volumes, workload.Folder(workload.Plain("certificates", certificates)))
		mounts = append(mounts, workload.Mount{Volume: "certificates", Path: certificatesPath, ReadOnly: true})
	}
	return volumes, mounts
}

// goMemory is where Go's collector of garbage begins to try hard, four fifths of the limit.
func goMemory(r room.Resources) string {
	return fmt.Sprintf("%dMiB", r.Limits.Memory.Value()/5*4>>20)
}
