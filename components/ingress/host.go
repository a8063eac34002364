package ingress

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerArgs are what an edge has on a Docker host only. One container publishes
// Args.PublicHTTPSPort; Exposure and Replicas are left aside.
type DockerArgs struct {
	// HTTPPort of the host, which redirects to HTTPS; 0 publishes none.
	HTTPPort int
	// After has to be there before the edge serves.
	After []pulumi.Resource
}

// DockerIngress is nginx in front of every service, and what looks at it, as containers
// of a Docker host.
type DockerIngress struct {
	pulumi.ResourceState

	// URLs and CACertificate are those of Ingress.
	URLs          pulumi.StringMapOutput
	CACertificate pulumi.StringOutput
}

// placeOf is a Docker host: the exporter is a container of its own. The figures that it
// asks for are counters, and their port is not published.
func placeOf(name string) Place {
	return Place{Name: name, StatusAddress: "0.0.0.0", Counts: "unix:" + countSocket}
}

func (d DockerArgs) validate(a *Args) error {
	if d.HTTPPort < 0 || d.HTTPPort > 65535 {
		return fmt.Errorf("docker edge: HTTPPort %d: want a port of the host from 1 to 65535, or 0 for none", d.HTTPPort)
	}
	if d.HTTPPort != 0 && d.HTTPPort == a.PublicHTTPSPort {
		return fmt.Errorf("docker edge: HTTPPort and PublicHTTPSPort are both %d: give them different ports", d.HTTPPort)
	}
	return nil
}

// NewDockerIngress creates the edge on a Docker host.
func NewDockerIngress(ctx *pulumi.Context, name string, host *workload.Host, args *Args, on DockerArgs, opts ...pulumi.ResourceOption) (*DockerIngress, error) {
	if host == nil {
		return nil, workload.ErrNoHost
	}
	if args == nil {
		return nil, errors.New("docker edge: Args is missing: pass those of the edge")
	}
	filled := *args
	filled.Namespace, filled.Exposure = pulumi.String(host.Prefix()), ClusterIP
	filled.HTTPNodePort, filled.HTTPSNodePort, filled.IngressClass = 0, 0, ""
	filled.Balancer, filled.Gateway = Balancer{}, Gateway{}
	own, err := filled.Validated()
	if own.TLS.renewed() {
		err = errors.Join(err, ErrDocker)
	}
	if err := errors.Join(err, on.validate(own)); err != nil {
		return nil, err
	}
	e := &DockerIngress{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerEdge", name, e, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(e)
	secrets, err := own.Secrets(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	counter, counterVolumes, err := own.counter(name, room.DockerHost)
	if err != nil {
		return nil, err
	}
	// It comes first, for the folder that both share is made as who writes to it.
	counted, err := host.Run(ctx, workload.Container{Process: counter, Volumes: counterVolumes}, parent)
	if err != nil {
		return nil, err
	}
	login, err := own.signOnContainer(ctx, name, host, parent)
	if err != nil {
		return nil, err
	}
	server, volumes := own.server(name, own.renderAt(own.Namespace, func(string) Place { return placeOf(name) }), secrets)
	server.Mounts = append(server.Mounts, workload.Mount{Volume: countVolume.Name, Path: countDir, ReadOnly: true})
	volumes = append(volumes, countVolume)
	published := []workload.Published{{Host: own.PublicHTTPSPort, Container: HTTPSPort}}
	if on.HTTPPort != 0 {
		published = append(published, workload.Published{Host: on.HTTPPort, Container: HTTPPort})
	}
	running, err := host.Run(ctx, workload.Container{Process: server, Look: own.look(), Volumes: volumes, Published: published, After: slices.Concat(on.After, counted, login)}, parent)
	if err != nil {
		return nil, err
	}
	if _, err := host.Run(ctx, workload.Container{Process: own.exporter(name, room.DockerHost), After: running}, parent); err != nil {
		return nil, err
	}
	prober, proberFiles := own.prober(name)
	if _, err := host.Run(ctx, workload.Container{Process: prober, Volumes: []workload.Volume{proberFiles}, After: running}, parent); err != nil {
		return nil, err
	}
	e.URLs = pulumi.ToStringMap(own.URLs()).ToStringMapOutput()
	e.CACertificate = secrets.Root
	return e, ctx.RegisterResourceOutputs(e, pulumi.Map{"urls": e.URLs, "caCertificate": e.CACertificate})
}
