// Package platform creates what every workload of a stack stands on: the
// namespace with its security level, the computed quota, default limits and the network
// policies.
package platform

import (
	"errors"
	"fmt"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	schedulingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/scheduling/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// PodSecurityVersion pins the Pod Security Standard that the namespace enforces,
// so that an upgrade of the cluster does not change what is admitted.
const PodSecurityVersion = "v1.33"

// Args configure a Platform.
type Args struct {
	// Namespace to create; every object of the stack lives in it. It outlives the stack,
	// empty: deleting it would delete what others have put there.
	Namespace string
	// Given says that the namespace is an administrator's: it is used, and neither created
	// nor labelled nor deleted; nor is anything created outside of it.
	Given bool
	// Owner names the stack in the annotation OwnerAnnotation; "" for none.
	Owner string
	// Facts of every room; the quota is what they need plus Headroom.
	Facts []room.Facts
	// Links say who talks to whom. Everything else is refused in both directions.
	Links []room.Link
	// NameServers beside those of the common distributions.
	NameServers NameServers
	// PullCredentials are credentials of image registries in the form of Docker's
	// config.json; nil for public images.
	PullCredentials pulumi.StringInput
	// Protect makes Pulumi refuse to delete the namespace, and keep it if the stack
	// is destroyed all the same: deleting a namespace deletes every claim in it.
	Protect bool
}

func (a *Args) validate() error {
	var problems []error
	if a.Namespace == "" {
		problems = append(problems, errors.New("platform: Namespace is empty: name the namespace to create"))
	}
	if err := a.NameServers.validate(); err != nil {
		problems = append(problems, err)
	}
	for _, l := range a.Links {
		if err := l.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("platform: %w", err))
		}
	}
	for _, f := range a.Facts {
		for _, w := range f.Workloads {
			for _, c := range w.Containers {
				if err := c.Validate(); err != nil {
					problems = append(problems, fmt.Errorf("platform: workload %s: %w", w.Name, err))
				}
			}
		}
	}
	return errors.Join(problems...)
}

// Platform is the ground of one stack.
type Platform struct {
	pulumi.ResourceState

	// Namespace is the created namespace's name; using it orders a resource after it.
	Namespace pulumi.StringOutput
	// StatefulPriority names the PriorityClass of workloads that hold data; nil in a given
	// namespace.
	StatefulPriority pulumi.StringPtrInput
	// PullSecret names the Secret with PullCredentials; unset without them.
	PullSecret pulumi.StringPtrInput
}

// NewPlatform creates the platform.
func NewPlatform(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Platform, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.validate(); err != nil {
		return nil, err
	}
	p := &Platform{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Platform", name, p, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(p)
	i := room.Identity{Name: name, Instance: name, Component: "platform"}

	if args.Given {
		p.Namespace = pulumi.String(args.Namespace).ToStringOutput()
	} else if err := p.ground(ctx, name, args, i, parent); err != nil {
		return nil, err
	}

	hard := Sum(append([]room.Facts{Headroom}, args.Facts...)...).Hard()
	quota, err := corev1.NewResourceQuota(ctx, name, &corev1.ResourceQuotaArgs{
		Metadata: workload.Meta(name, p.Namespace, i),
		Spec:     &corev1.ResourceQuotaSpecArgs{Hard: pulumi.ToStringMap(hard)},
	}, parent)
	if err != nil {
		return nil, err
	}
	if _, err := corev1.NewLimitRange(ctx, name, &corev1.LimitRangeArgs{
		Metadata: workload.Meta(name, p.Namespace, i),
		Spec: &corev1.LimitRangeSpecArgs{Limits: corev1.LimitRangeItemArray{&corev1.LimitRangeItemArgs{
			// For an operator's own pods: under a quota a pod without requests and
			// limits is refused, and these are what it gets instead.
			Type:           pulumi.String("Container"),
			DefaultRequest: pulumi.StringMap{"cpu": pulumi.String("50m"), "memory": pulumi.String("64Mi")},
			Default:        pulumi.StringMap{"cpu": pulumi.String("500m"), "memory": pulumi.String("256Mi")},
		}}},
	}, parent); err != nil {
		return nil, err
	}
	if err := networkPolicies(ctx, name, p.Namespace, i, args.Links, args.NameServers, parent); err != nil {
		return nil, err
	}
	if args.PullCredentials != nil {
		var err error
		if p.PullSecret, err = content.Secret(ctx, name+"-registry", p.Namespace, i,
			"kubernetes.io/dockerconfigjson", pulumi.StringMap{".dockerconfigjson": args.PullCredentials}, parent); err != nil {
			return nil, err
		}
	}
	// What is created in the namespace comes after the quota that has room for it.
	p.Namespace = pulumi.All(p.Namespace, quota.Metadata.Name()).ApplyT(func(v []any) string { return v[0].(string) }).(pulumi.StringOutput)
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"namespace": p.Namespace})
}

// OwnerAnnotation says on a namespace whose it is, so that a stack finds its own again
// after a destroy.
const OwnerAnnotation = "alphapulse.io/stack"

// Restricted are a namespace's labels, and those that have it enforce the restricted Pod
// Security Standard.
func Restricted(labels map[string]string) pulumi.StringMap {
	all := pulumi.ToStringMap(labels)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		all["pod-security.kubernetes.io/"+mode] = pulumi.String("restricted")
		all["pod-security.kubernetes.io/"+mode+"-version"] = pulumi.String(PodSecurityVersion)
	}
	return all
}

// ground creates the namespace and what belongs to it outside of it.
func (p *Platform) ground(ctx *pulumi.Context, name string, args *Args, i room.Identity, opts ...pulumi.ResourceOption) error {
	meta := &metav1.ObjectMetaArgs{Name: pulumi.String(args.Namespace)}
	meta.Labels = Restricted(i.Labels())
	if args.Owner != "" {
		meta.Annotations = pulumi.StringMap{OwnerAnnotation: pulumi.String(args.Owner)}
	}
	ns, err := corev1.NewNamespace(ctx, name, &corev1.NamespaceArgs{Metadata: meta},
		append(slices.Clone(opts), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(true))...)
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	p.Namespace = ns.Metadata.Name().Elem()

	// Cluster-scoped, so it carries the namespace's name: stacks live side by side.
	priority, err := schedulingv1.NewPriorityClass(ctx, name+"-stateful", &schedulingv1.PriorityClassArgs{
		Metadata:    &metav1.ObjectMetaArgs{Name: pulumi.String(args.Namespace + "-stateful"), Labels: pulumi.ToStringMap(i.Labels())},
		Value:       pulumi.Int(100000),
		Description: pulumi.String("Workloads of " + args.Namespace + " that hold data: the last to be preempted."),
	}, append(slices.Clone(opts), pulumi.DependsOn([]pulumi.Resource{ns}))...) // nothing is made where the namespace is refused
	if err != nil {
		return fmt.Errorf("priority class: %w", err)
	}
	p.StatefulPriority = priority.Metadata.Name().Elem().ToStringPtrOutput()
	return nil
}
