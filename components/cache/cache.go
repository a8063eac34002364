// Package cache runs Redis: one server with its data in an append-only file on a
// volume of its own, bounded by its memory limit.
package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/netedge"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
	"github.com/alphapulse/alphapulse-infra/components/internal/stateful"
	"github.com/alphapulse/alphapulse-infra/components/internal/volume"
)

// Ports of the cache's pod.
const (
	// Port of Redis.
	Port = 6379
	// MetricsPort of the exporter.
	MetricsPort = 9121
)

// User is the numeric uid and gid of "redis" in the Debian image.
const User = 999

// DefaultPolicy drops what was read longest ago. Everything in a cache can be had
// again, so every key may go; the volatile policies would refuse writes once
// enough keys without an expiry have come together.
const DefaultPolicy = "allkeys-lru"

// ExporterResources hold the exporter's metrics in memory.
var ExporterResources = sizing.Of("20m", "32Mi", "200m", "64Mi")

// LeastMemory leaves half of it for the server itself.
var LeastMemory = resource.MustParse("64Mi")

// Args configure a Cache.
type Args struct {
	// Namespace to create the objects in.
	Namespace pulumi.StringInput
	// Image of Redis 7 or later, Debian edition (uid 999).
	Image pulumi.StringInput
	// ExporterImage of redis_exporter.
	ExporterImage pulumi.StringInput
	// Resources of the server; half of the memory limit is for the data.
	Resources sizing.Resources
	// Policy says which keys are dropped when the memory is full; "" takes DefaultPolicy.
	Policy string
	// Storage is the volume's size. It may grow later, never shrink.
	Storage resource.Quantity
	// StorageClass of the volume when it is first made; "" takes the cluster's default.
	StorageClass string
	// ApplicationPassword of the default user and MonitoringPassword of the
	// exporter's: long and random. A changed one rolls the pod.
	ApplicationPassword, MonitoringPassword pulumi.StringInput
	// AliasServices are further names under which clients reach the cache, for builds
	// that hard-code a host name.
	AliasServices []string
	// PriorityClass of the pod; nil for the cluster's default.
	PriorityClass pulumi.StringPtrInput
	// ImagePullSecret names a Secret with registry credentials; nil for public images.
	ImagePullSecret pulumi.StringPtrInput
	// Protect makes Pulumi refuse to delete the claim and the StatefulSet, and keep
	// them if the stack is destroyed all the same.
	Protect bool
}

// Cache is one server.
type Cache struct {
	pulumi.ResourceState

	// Host is the name under which pods of the namespace reach the server, on Port.
	Host pulumi.StringOutput
	// Claim names the claim that holds the data.
	Claim pulumi.StringOutput
}

// Workload is the identity of the cache's pods, for edges.
func Workload(name string) netedge.Workload {
	return netedge.Workload{Name: name, Selector: labelsOf(name).Selector()}
}

// Demands is what the cache needs of the quota: its pod is stopped before the next
// one starts.
func (a *Args) Demands(name string) []sizing.Demand {
	return []sizing.Demand{{
		Workload:   name,
		Replicas:   1,
		Containers: []sizing.Resources{a.Resources, ExporterResources},
		Volumes:    []resource.Quantity{a.Storage},
		Services:   stateful.ServiceCount(a.AliasServices),
	}}
}

// MaxMemoryBytes is the server's maxmemory.
func (a *Args) MaxMemoryBytes() int64 { return MaxMemory(a.Resources.Limits.Memory.Value()) }

// Config is redis.conf.
func (a *Args) Config() string { return RenderConfig(a.MaxMemoryBytes(), a.policy()) }

// ACL is users.acl, secret.
func (a *Args) ACL() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.All(a.ApplicationPassword, a.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		return RenderACL(v[0].(string), v[1].(string))
	})).(pulumi.StringOutput)
}

// ExporterPasswords is the file of the exporter of the server at host, secret.
func (a *Args) ExporterPasswords(host string) pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.All(a.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		return RenderExporterPasswords(host, v[0].(string))
	})).(pulumi.StringOutput)
}

func (a *Args) policy() string {
	if a.Policy == "" {
		return DefaultPolicy
	}
	return a.Policy
}

// Validate reports everything that keeps the cache called name from being created.
func (a *Args) Validate(name string) error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("cache: "+format, v...)) }
	for _, required := range []struct {
		name  string
		value pulumi.StringInput
	}{
		{"Namespace", a.Namespace}, {"Image", a.Image}, {"ExporterImage", a.ExporterImage},
		{"ApplicationPassword", a.ApplicationPassword}, {"MonitoringPassword", a.MonitoringPassword},
	} {
		if required.value == nil {
			problem("%s is missing: set it", required.name)
		}
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	memory := a.Resources.Limits.Memory
	if memory.Cmp(LeastMemory) < 0 {
		problem("Resources: limits.memory is %s: Redis needs at least %s", memory.String(), LeastMemory.String())
	} else if least := resource.NewQuantity(LeastStorage(a.MaxMemoryBytes()), resource.BinarySI); a.Storage.Cmp(*least) < 0 {
		problem("Storage is %s: with limits.memory %s the append-only file may take %s; raise Storage or lower the memory",
			a.Storage.String(), memory.String(), least.String())
	}
	if !slices.Contains(Policies, a.policy()) {
		problem("Policy is %q: want one of %s", a.Policy, strings.Join(Policies, ", "))
	}
	for _, err := range stateful.ValidateAliases(name, a.AliasServices) {
		problem("%w", err)
	}
	return errors.Join(problems...)
}

func labelsOf(name string) labels.Set {
	return labels.Set{Name: name, Instance: name, Component: "cache"}
}

// NewCache creates the cache.
func NewCache(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cache, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.Validate(name); err != nil {
		return nil, err
	}
	c := &Cache{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Cache", name, c, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(c)
	l := labelsOf(name)

	claim, err := volume.New(ctx, name, &volume.Args{
		Namespace: args.Namespace, Labels: l, Size: args.Storage, StorageClass: args.StorageClass, Protect: args.Protect,
	}, parent)
	if err != nil {
		return nil, err
	}
	c.Claim = claim.Metadata.Name().Elem()
	files, err := newFiles(ctx, name, args, l, parent)
	if err != nil {
		return nil, err
	}
	if c.Host, err = (stateful.Server{
		Labels: l, Namespace: args.Namespace, PortName: portName, Port: Port, MetricsPort: MetricsPort,
		Aliases: args.AliasServices, Protect: args.Protect,
		Startup:      rollout.StartupFor(args.StartupSeconds()),
		GraceSeconds: GraceSeconds,
		User:         User, PriorityClass: args.PriorityClass, ImagePullSecret: args.ImagePullSecret,
		Containers: corev1.ContainerArray{server(args), exporter(args)},
		Volumes: corev1.VolumeArray{
			stateful.DataVolume("data", c.Claim),
			stateful.ConfigVolume("config", files.config, "redis.conf"),
			stateful.SecretVolume("acl", files.acl, "users.acl"),
			stateful.SecretVolume("exporter", files.exporter, "passwords.json"),
		},
	}).Create(ctx, parent); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"host": c.Host, "claim": c.Claim})
}
