package telemetry

import (
	"fmt"
	"path"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerTelemetry is the gateway and the stores as containers of a Docker host, and what
// reads the log files of the stack's containers there.
type DockerTelemetry struct {
	pulumi.ResourceState
}

// hostUser is root, without a capability: a new volume of an engine belongs to it, and so
// do the engine's log files. None of the images brings a folder of another user's.
const hostUser = 0

// DefaultEngineFolder is where an engine keeps its data unless it is told otherwise.
const DefaultEngineFolder = "/var/lib/docker"

// NewDockerTelemetry creates what the signals that are on need on a Docker host; without
// any there is nothing. The volumes' sizes are not bounded there; how much waits and is
// kept follows from Storage all the same.
func NewDockerTelemetry(ctx *pulumi.Context, name string, host *workload.Host, args *Args, opts ...pulumi.ResourceOption) (*DockerTelemetry, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	own := Args{}
	if args != nil {
		own = *args
	}
	own.Namespace = pulumi.String(host.Prefix())
	filled, err := own.Validated()
	if err != nil {
		return nil, err
	}
	if filled.EngineFolder == "" {
		filled.EngineFolder = DefaultEngineFolder
	}
	t := &DockerTelemetry{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerTelemetry", name, t, opts...); err != nil {
		return nil, err
	}
	servers := filled.servers()
	if filled.Logs.On() {
		servers = append(servers, func(name string) (server, error) { return filled.reader(name, host.Prefix()) })
	}
	for _, one := range servers {
		s, err := one(name)
		if err != nil {
			return nil, err
		}
		s.process.User = hostUser
		// Upstream's images of the Collector and of Jaeger hold nothing but their binary.
		s.process.Health = workload.Health{None: true}
		if _, err := host.Run(ctx, workload.Container{Process: s.process, Volumes: s.volumes}, pulumi.Parent(t)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.process.Name, err)
		}
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{})
}

// Where the reader finds the engine's files, and remembers how far it has read.
const (
	engineFiles     = "/engine"
	readerPositions = "/var/lib/otelcol"
)

// ReaderConfig is the reader's file: it takes the lines of containers that are called like
// the stack, and of no other.
func (a *Args) ReaderConfig(name, prefix string) (string, error) {
	return config.Engine{
		Gateway: fmt.Sprintf("http://%s:%d", CollectorOf(name).Name, HTTPPort), Prefix: prefix,
		Logs: engineFiles, Positions: readerPositions + "/positions",
	}.Render()
}

// reader reads what the engine writes of the stack's containers.
func (a *Args) reader(name, prefix string) (server, error) {
	file, err := a.ReaderConfig(name, prefix)
	if err != nil {
		return server{}, err
	}
	return server{
		process: workload.Process{
			Name: "reader", Identity: ReaderOf(name), Image: a.Collector.Image,
			Args:      pulumi.ToStringArray([]string{"--config=" + CollectorConfigPath + "/" + collectorFile, config.TakenFirst}),
			Env:       pulumi.StringMap{"GOMEMLIMIT": pulumi.String(goMemory(ReaderResources))},
			Resources: ReaderResources,
			Mounts: []workload.Mount{
				{Volume: "data", Path: readerPositions}, {Volume: "config", Path: CollectorConfigPath, ReadOnly: true}, {Volume: "engine", Path: engineFiles, ReadOnly: true},
			},
			StartupSeconds: collectorStartupSeconds, GraceSeconds: collectorGraceSeconds,
		},
		volumes: []workload.Volume{
			{Name: "data", Data: &workload.Data{Protect: a.Protect}},
			workload.Folder(workload.Plain("config", map[string]string{collectorFile: file})),
			{Name: "engine", HostFolder: path.Join(a.EngineFolder, "containers")},
		},
	}, nil
}
