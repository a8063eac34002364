package database

import (
	"errors"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// Database is a cluster of members behind poolers.
type Database struct {
	pulumi.ResourceState

	// Host is the name under which the application reaches the database, on Port.
	Host pulumi.StringOutput
	// Primary is the name that leads to the primary, and nothing else does.
	Primary pulumi.StringOutput
	// Set is the name of the members' StatefulSet, once they are there.
	Set pulumi.StringOutput

	name string
	args *Args
}

// NewDatabase creates the database.
func NewDatabase(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Database, error) {
	args, err := args.running(HAImage).validated(name)
	if err := errors.Join(err, args.validateCluster()); err != nil {
		return nil, err
	}
	d := &Database{name: name, args: args}
	if err := ctx.RegisterComponentResource("alphapulse:index:Database", name, d, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Composite(pulumi.Parent(d), pulumi.DependsOn(args.After))
	kept, err := args.kept(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	f, err := args.memberFiles(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	control, err := content.Secret(ctx, name+"-control", args.Namespace, Server(name), "", pulumi.StringMap{
		"CONTROL_USER": pulumi.String(controlName), "CONTROL_PASSWORD": args.ControlPassword,
	}, parent)
	if err != nil {
		return nil, err
	}
	credentials, err := content.Secret(ctx, name+"-credentials", args.Namespace, Server(name), "", pulumi.StringMap{
		"CONTROL_USER": pulumi.String(controlName), "CONTROL_PASSWORD": args.ControlPassword,
		"PATRONI_RESTAPI_USERNAME": pulumi.String(controlName), "PATRONI_RESTAPI_PASSWORD": args.ControlPassword,
		"PATRONI_REPLICATION_PASSWORD": args.ReplicationPassword, "PATRONI_REWIND_PASSWORD": args.RewindPassword,
	}, parent)
	if err != nil {
		return nil, err
	}
	state, err := args.state(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	pod := args.members(name, f, credentials, control, append(state, kept...))
	if args.Former != nil {
		pod.Members.Fill = func(claim pulumi.StringInput) (pulumi.Resource, error) { return args.fill(ctx, name, claim, parent) }
	}
	members, err := pod.Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	poolers, err := args.pooler(name, f, control).Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	d.Primary, d.Host, d.Set = members.Services[0], poolers.Services[0], members.Name
	if args.Direct {
		d.Host = d.Primary
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"host": d.Host, "primary": d.Primary})
}

// Use tells the members that after these resources nobody logs in but with what they have
// been told: they drop the logins of before.
func (d *Database) Use(ctx *pulumi.Context, after ...pulumi.Resource) (pulumi.Resource, error) {
	return d.args.inUse().Late(ctx, Server(d.name), d.args.Namespace, pulumi.Parent(d), pulumi.DependsOn(append(after, d.args.After...)))
}

// members is the pod of a member.
func (a *Args) members(name string, f *memberFiles, credentials, control pulumi.StringInput, state []pulumi.Resource) workload.Pod {
	facts := a.Facts(name, room.Kubernetes)
	pod := workload.Pod{
		Identity: Server(name), Placement: a.Placement, Kind: workload.Stateful, Most: a.Instances,
		Init:      []workload.Process{a.installer()},
		Processes: []workload.Process{a.member(name, credentials), a.keeper(control), a.exporter(name, room.Kubernetes)},
		Volumes:   a.memberVolumes(f),
		Services:  a.clusterServices(name), GoverningService: membersService(name),
		Scrape: facts.Workloads[0].Scrape, RevisionHistory: 10, Protect: a.Protect,
		Rights:      patroni.Rules(a.scope(name)),
		Annotations: map[string]string{"alphapulse.io/restarts-with": content.Digest("", map[string]string{"parameters": f.restart})},
		Members:     &workload.Members{Name: a.scope(name), Labels: a.labels(name), Replicas: a.Instances, After: state},
	}
	a.archiving(name, &pod)
	// PostgreSQL looks up the name of the user that it runs as, and a peer's.
	pod.PlatformUsers = false
	// Of a single one, too: more or fewer members must not have those start anew that stay.
	pod.Spread = workload.SpreadOf(a.SpreadRequired)
	return pod
}

// state creates the objects that Patroni keeps the cluster's state in, empty: it fills
// them, and a destroy takes them away with the volumes whose cluster they are about.
func (a *Args) state(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	var all []pulumi.Resource
	for _, object := range patroni.Objects(a.scope(name)) {
		meta := workload.Meta(object, a.Namespace, Server(name))
		labels := meta.Labels.(pulumi.StringMap)
		for k, v := range a.labels(name) {
			labels[k] = pulumi.String(v)
		}
		made, err := corev1.NewConfigMap(ctx, object, &corev1.ConfigMapArgs{Metadata: meta},
			append(opts[:len(opts):len(opts)], pulumi.RetainOnDelete(a.Protect))...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		all = append(all, made)
	}
	return all, nil
}
