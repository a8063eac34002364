package telemetry

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The paths that the stores serve below, inside the cluster and behind the edge alike.
const (
	LogsPath   = "/logs"
	TracesPath = "/jaeger"
)

// The users of the stores: VictoriaLogs' image has none of its own, Jaeger's has one.
const (
	LogsUser   = workload.Nobody
	TracesUser = 10001
)

// logsShare of VictoriaLogs' volume is for what it keeps, in percent: it drops the oldest
// day when that is full. The rest is for what is written at that moment.
const logsShare = 80

const (
	// storePath is in none of the images, so that a new volume of a Docker host belongs to
	// root.
	storePath        = "/var/lib/telemetry"
	tracesConfigPath = "/etc/jaeger"
	tracesFile       = "config.yaml"

	tracesCredentialsPath  = "/etc/jaeger-credentials"
	tracesCertificatesPath = "/etc/jaeger-certificates"
)

// How long a store may take to open what it keeps, and to write out what it holds when it
// stops, in seconds.
const (
	storeStartupSeconds = 180
	storeGraceSeconds   = 60
)

// LogsArguments are VictoriaLogs' arguments.
func (a *Args) LogsArguments() []string {
	return []string{
		"-storageDataPath=" + storePath,
		fmt.Sprintf("-retentionPeriod=%dh", hours(a.Logs.Store.Retention)),
		fmt.Sprintf("-retention.maxDiskSpaceUsageBytes=%d", a.Logs.Store.Storage.Value()/100*logsShare),
		// What is refused below shows as a metric; its default is more than a small volume has.
		fmt.Sprintf("-storage.minFreeDiskSpaceBytes=%d", a.Logs.Store.Storage.Value()/100*(100-logsShare)/4),
		fmt.Sprintf("-httpListenAddr=:%d", LogsPort),
		"-http.pathPrefix=" + LogsPath,
		"-enableTCP6",
		"-loggerFormat=json",
	}
}

// logs is VictoriaLogs. Only the gateway writes to it.
func (a *Args) logs(name string) (server, error) {
	health := workload.Probe{Path: LogsPath + "/health", Port: "http", PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3}
	alive := health
	alive.PeriodSeconds, alive.Failures = 10, 6
	return server{
		process: workload.Process{
			Name: "victoria-logs", Identity: LogsOf(name), Image: a.Logs.Store.Image, User: LogsUser,
			Args:           pulumi.ToStringArray(a.LogsArguments()),
			Env:            pulumi.StringMap{"GOMEMLIMIT": pulumi.String(goMemory(a.Logs.Store.Resources))},
			Resources:      a.Logs.Store.Resources,
			Ports:          []workload.Port{{Name: "http", Number: LogsPort}},
			Mounts:         []workload.Mount{{Volume: "data", Path: storePath}},
			StartupSeconds: storeStartupSeconds, GraceSeconds: storeGraceSeconds,
			Alive: &alive, Ready: &health,
		},
		volumes: []workload.Volume{a.data(a.Logs.Store.Storage)},
	}, nil
}

// TracesConfig is Jaeger's file. The names of its indices in an Elasticsearch begin with the
// namespace: those of another stack do not mix with them.
func (a *Args) TracesConfig(namespace string) (string, error) {
	return config.Jaeger{
		Directory: storePath, Elasticsearch: a.keptSpans(), IndexPrefix: namespace, Retention: fmt.Sprintf("%dh", hours(a.Traces.Store.Retention)), BasePath: TracesPath,
		OTLPPort: HTTPPort, QueryPort: TracesPort, QueryGRPCPort: queryGRPCPort, HealthPort: healthPort, MetricsPort: metricsPort,
	}.Render()
}

// keptSpans is the Elasticsearch that Jaeger keeps spans in, if any.
func (a *Args) keptSpans() config.Sink {
	if a.Traces.Backend != Elasticsearch {
		return config.Sink{}
	}
	return a.Traces.sink("traces", tracesCredentialsPath, tracesCertificatesPath)
}

// traces is Jaeger, whose store Badger is opened by one process at a time. What it keeps in
// an Elasticsearch is on no volume of its own.
func (a *Args) traces(name string) (server, error) {
	if _, err := a.TracesConfig(""); err != nil {
		return server{}, err
	}
	file := pulumi.All(a.Namespace).ApplyT(func(v []any) (string, error) { return a.TracesConfig(v[0].(string)) }).(pulumi.StringOutput)
	volumes := []workload.Volume{workload.Folder(&workload.Files{Name: "config", Data: pulumi.StringMap{tracesFile: file}})}
	mounts := []workload.Mount{{Volume: "config", Path: tracesConfigPath, ReadOnly: true}}
	if a.Traces.Backend == Local {
		volumes = append([]workload.Volume{a.data(a.Traces.Store.Storage)}, volumes...)
		mounts = append([]workload.Mount{{Volume: "data", Path: storePath}}, mounts...)
	}
	more, moreMounts := access(map[string]destination{"traces": {a.Traces, a.keptSpans()}}, tracesCredentialsPath, tracesCertificatesPath)
	volumes, mounts = append(volumes, more...), append(mounts, moreMounts...)
	health := workload.Probe{Path: "/status", Port: "health", PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3}
	alive := health
	alive.PeriodSeconds, alive.Failures = 10, 6
	ports := []workload.Port{{Name: "http", Number: TracesPort}, {Name: "otlp-http", Number: HTTPPort}, {Name: "health", Number: healthPort}, {Name: "metrics", Number: metricsPort}}
	tmp, tmpMounts := workload.Writable("64Mi", "", map[string]string{"tmp": "/tmp"})
	return server{
		process: workload.Process{
			Name: "jaeger", Identity: TracesOf(name), Image: a.Traces.Store.Image, User: TracesUser,
			Args:           pulumi.ToStringArray([]string{"--config=" + tracesConfigPath + "/" + tracesFile}),
			Env:            pulumi.StringMap{"GOMEMLIMIT": pulumi.String(goMemory(a.Traces.Store.Resources))},
			Resources:      a.Traces.Store.Resources,
			Ports:          ports,
			Mounts:         append(mounts, tmpMounts...),
			StartupSeconds: storeStartupSeconds, GraceSeconds: storeGraceSeconds,
			Alive: &alive, Ready: &health,
		},
		volumes: append(volumes, tmp...),
		more:    ports[1:2],
	}, nil
}
