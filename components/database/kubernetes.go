package database

import (
	"errors"
	"fmt"
	"slices"

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
	// parts are what logs in to it among themselves.
	parts []pulumi.Resource
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
	known, err := args.variables(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	state, err := args.state(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	looked, err := args.looked(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	if looked != nil {
		state = append(state, looked)
	}
	poolers, err := args.pooler(name, f, known.pooler).Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	if args.PoolersFirst {
		state = append(state, poolers.Workload)
	}
	pod := args.members(name, f, known, append(state, kept...))
	if args.Former != nil {
		pod.Members.Fill = func(claim pulumi.StringInput) (pulumi.Resource, error) { return args.fill(ctx, name, claim, parent) }
	}
	members, err := pod.Create(ctx, parent)
	if err != nil {
		return nil, err
	}
	d.parts = []pulumi.Resource{members.Workload, poolers.Workload}
	d.Primary, d.Host, d.Set = members.Services[0], poolers.Services[0], members.Name
	if args.Direct {
		d.Host = d.Primary
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{"host": d.Host, "primary": d.Primary})
}

// variables are the names of the Secrets that processes have variables from: Patroni, and
// the agents beside members and poolers.
type variables struct{ member, agent, pooler pulumi.StringInput }

func (a *Args) variables(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*variables, error) {
	control := func(more pulumi.StringMap) pulumi.StringMap {
		more["CONTROL_USER"], more["CONTROL_PASSWORD"] = pulumi.String(controlName), a.ControlPassword
		return more
	}
	v := &variables{}
	var err error
	if v.agent, err = content.Secret(ctx, name+"-control", a.Namespace, Server(name), "", control(pulumi.StringMap{}), opts...); err != nil {
		return nil, err
	}
	if v.member, err = content.Secret(ctx, name+"-credentials", a.Namespace, Server(name), "", control(pulumi.StringMap{
		"PATRONI_RESTAPI_USERNAME": pulumi.String(controlName), "PATRONI_RESTAPI_PASSWORD": a.ControlPassword,
		"PATRONI_REPLICATION_PASSWORD": a.ReplicationPassword, "PATRONI_REWIND_PASSWORD": a.RewindPassword,
	}), opts...); err != nil {
		return nil, err
	}
	v.pooler = v.agent
	if a.InternalWord != "" {
		more := pulumi.StringMap{"POOLING_PASSWORD": a.PoolingPassword}
		if a.FormerControl != nil {
			more["CONTROL_FORMER_PASSWORD"] = a.FormerControl
		}
		// One of its own: members do not start anew when the former one is forgotten.
		v.pooler, err = content.Secret(ctx, name+"-pooler-control", a.Namespace, Pooler(name), "", control(more), opts...)
	}
	return v, err
}

// Use tells the members that after these resources nobody logs in but with what they have
// been told: they drop the logins of before.
func (d *Database) Use(ctx *pulumi.Context, after ...pulumi.Resource) (pulumi.Resource, error) {
	return d.args.inUse().Late(ctx, Server(d.name), d.args.Namespace, pulumi.Parent(d), pulumi.DependsOn(slices.Concat(after, d.parts, d.args.After)))
}

// members is the pod of a member.
func (a *Args) members(name string, f *memberFiles, known *variables, state []pulumi.Resource) workload.Pod {
	facts := a.Facts(name, room.Kubernetes)
	pod := workload.Pod{
		Identity: Server(name), Placement: a.Placement, Kind: workload.Stateful, Most: a.Instances,
		Init:      []workload.Process{a.installer(), a.fits(memberData)},
		Processes: []workload.Process{a.member(name, known.member), a.keeper(name, known.agent), a.exporter(name, room.Kubernetes)},
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
