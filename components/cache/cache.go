// Package cache runs Redis: one server with its data in an append-only file on a
// volume of its own, bounded by its memory limit.
package cache

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/netedge"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
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

// exporterResources hold the exporter's metrics in memory.
var exporterResources = sizing.Of("20m", "32Mi", "200m", "64Mi")

// leastMemory leaves half of it for the server itself.
var leastMemory = resource.MustParse("64Mi")

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
		Containers: []sizing.Resources{a.Resources, exporterResources},
		Volumes:    []resource.Quantity{a.Storage},
		Services:   2 + len(a.AliasServices),
	}}
}

// MaxMemoryBytes is the server's maxmemory.
func (a *Args) MaxMemoryBytes() int64 { return MaxMemory(a.Resources.Limits.Memory.Value()) }

func (a *Args) policy() string {
	if a.Policy == "" {
		return DefaultPolicy
	}
	return a.Policy
}

// serviceName is what Kubernetes accepts as the name of a Service (RFC 1035).
var serviceName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (a *Args) validate(name string) error {
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
	if memory.Cmp(leastMemory) < 0 {
		problem("Resources: limits.memory is %s: Redis needs at least %s", memory.String(), leastMemory.String())
	} else if least := resource.NewQuantity(LeastStorage(a.MaxMemoryBytes()), resource.BinarySI); a.Storage.Cmp(*least) < 0 {
		problem("Storage is %s: with limits.memory %s the append-only file may take %s; raise Storage or lower the memory",
			a.Storage.String(), memory.String(), least.String())
	}
	if !slices.Contains(Policies, a.policy()) {
		problem("Policy is %q: want one of %s", a.Policy, strings.Join(Policies, ", "))
	}
	taken := []string{name, headless(name)}
	for _, alias := range a.AliasServices {
		switch {
		case !serviceName.MatchString(alias):
			problem("AliasServices: %q is no Service name: use lower-case letters, digits and '-', beginning with a letter, 63 at most", alias)
		case slices.Contains(taken, alias):
			problem("AliasServices: %q is given twice or is the cache's own Service: remove it", alias)
		}
		taken = append(taken, alias)
	}
	return errors.Join(problems...)
}

func labelsOf(name string) labels.Set {
	return labels.Set{Name: name, Instance: name, Component: "cache"}
}

func headless(name string) string { return name + "-headless" }

// NewCache creates the cache.
func NewCache(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cache, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.validate(name); err != nil {
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
	if c.Host, err = services(ctx, name, args, l, parent); err != nil {
		return nil, err
	}
	files, err := newFiles(ctx, name, args, l, parent)
	if err != nil {
		return nil, err
	}
	if _, err := statefulSet(ctx, name, args, l, c.Claim, files, parent); err != nil {
		return nil, err
	}
	if _, err := policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: pods.Meta(name, args.Namespace, l),
		Spec: &policyv1.PodDisruptionBudgetSpecArgs{
			Selector: pods.Selector(l),
			// One pod: a drain must be able to move it, after a clean shutdown.
			MaxUnavailable: pulumi.Int(1),
		},
	}, parent); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"host": c.Host, "claim": c.Claim})
}
