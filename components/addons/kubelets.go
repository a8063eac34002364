package addons

import (
	"errors"
	"fmt"
	"slices"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// KubeletMetricsRole is the name of the ClusterRole, and of its binding.
const KubeletMetricsRole = "alphapulse-kubelet-metrics"

// KubeletMetricsArgs are the arguments of the right to ask kubelets what containers take.
type KubeletMetricsArgs struct {
	// Namespaces of those who may ask, and Account the name of their ServiceAccount in each.
	Namespaces []string
	Account    string
	// Owner names the stack in the annotation platform.OwnerAnnotation; "" for none.
	Owner string
}

// Validate reports everything that is wrong with the arguments.
func (a KubeletMetricsArgs) Validate() error {
	var errs []error
	for _, namespace := range a.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("namespace %q: %s", namespace, problems[0]))
		}
	}
	if len(a.Namespaces) == 0 {
		errs = append(errs, errors.New("namespaces: none is named, and nobody would get the right"))
	}
	if a.Account == "" {
		errs = append(errs, errors.New("account: none is named"))
	}
	return errors.Join(errs...)
}

// KubeletMetrics lets the accounts ask every kubelet for its metrics, and for nothing else:
// not for the objects of nodes, and not through the API server, which would take a right by
// which commands run in every container.
type KubeletMetrics struct {
	pulumi.ResourceState

	// Namespaces are known once the right is given.
	Namespaces pulumi.StringArrayOutput
}

// NewKubeletMetrics gives the right. The accounts need not exist yet.
func NewKubeletMetrics(ctx *pulumi.Context, name string, args *KubeletMetricsArgs, opts ...pulumi.ResourceOption) (*KubeletMetrics, error) {
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("kubelet metrics %s: %w", name, err)
	}
	k := &KubeletMetrics{}
	if err := ctx.RegisterComponentResource("alphapulse:index:KubeletMetrics", name, k, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(k)
	meta := &metav1.ObjectMetaArgs{
		Name:   pulumi.String(KubeletMetricsRole),
		Labels: pulumi.ToStringMap(room.Identity{Name: name, Instance: name, Component: "metrics"}.Labels()),
	}
	if args.Owner != "" {
		meta.Annotations = pulumi.StringMap{platform.OwnerAnnotation: pulumi.String(args.Owner)}
	}
	role, err := rbacv1.NewClusterRole(ctx, name, &rbacv1.ClusterRoleArgs{Metadata: meta, Rules: rbacv1.PolicyRuleArray{
		&rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray([]string{""}), Resources: pulumi.ToStringArray([]string{"nodes/metrics"}), Verbs: pulumi.ToStringArray([]string{"get"}),
		},
	}}, parent)
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	var subjects rbacv1.SubjectArray
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(args.Namespaces))) {
		subjects = append(subjects, &rbacv1.SubjectArgs{
			Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(args.Account), Namespace: pulumi.String(namespace),
		})
	}
	binding, err := rbacv1.NewClusterRoleBinding(ctx, name, &rbacv1.ClusterRoleBindingArgs{
		Metadata: meta, Subjects: subjects,
		RoleRef: &rbacv1.RoleRefArgs{
			ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String("ClusterRole"), Name: role.Metadata.Name().Elem(),
		},
	}, parent)
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	k.Namespaces = binding.ID().ApplyT(func(pulumi.ID) []string { return args.Namespaces }).(pulumi.StringArrayOutput)
	return k, ctx.RegisterResourceOutputs(k, pulumi.Map{"namespaces": k.Namespaces})
}
