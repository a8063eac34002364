package frontend

import (
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// DockerFrontend is the user interface as a container of a Docker host.
type DockerFrontend struct {
	pulumi.ResourceState

	// Ready is there once the pages are served.
	Ready pulumi.Resource
}

// NewDockerFrontend creates the user interface in one container, whatever Replicas says;
// its probe is the image's own HEALTHCHECK, which it has to have.
func NewDockerFrontend(ctx *pulumi.Context, name string, host *workload.Host, args *Args, opts ...pulumi.ResourceOption) (*DockerFrontend, error) {
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
	f := &DockerFrontend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerFrontend", name, f, opts...); err != nil {
		return nil, err
	}
	process, volumes := filled.process(name)
	maps.Copy(process.Env, pulumi.ToStringMap(filled.Env))
	created, err := host.Run(ctx, workload.Container{Process: process, Volumes: volumes}, pulumi.Parent(f))
	if err != nil {
		return nil, err
	}
	f.Ready = created[0]
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{})
}
