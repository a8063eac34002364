package workload

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	rbac "k8s.io/api/rbac/v1"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// Create creates the pod's account, rights, claim, files and Services, what creates the
// pods, and their disruption budget.
func (p Pod) Create(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (*Created, error) {
	c := &Created{Objects: map[string]pulumi.StringOutput{}}
	account, err := serviceAccount(ctx, p.Identity, p.Namespace, opts...)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	if rules := p.rules(); len(rules) > 0 {
		if err := role(ctx, p.Identity, p.Namespace, rules, opts...); err != nil {
			return nil, fmt.Errorf("role: %w", err)
		}
	}
	volumes, err := p.volumes(ctx, c, opts...)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Services {
		name, err := s.create(ctx, p.Identity, p.Namespace, opts...)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		c.Services = append(c.Services, name)
	}
	template := p.template(account, volumes)
	if p.Kind == Once {
		return c, p.job(ctx, c, template, opts...)
	}
	if p.Kind == Rolling {
		return c, p.deployment(ctx, c, template, opts...)
	}
	single := newSingle(p, template)
	create := p.deployment
	if p.Kind == Stateful {
		create = p.statefulSet
	}
	if err := create(ctx, c, single.template, opts...); err != nil {
		return nil, err
	}
	return c, single.await(ctx, c.Workload, p.plan(), opts...)
}

// volumes creates the claim and the content-named objects, and mounts them.
func (p Pod) volumes(ctx *pulumi.Context, c *Created, opts ...pulumi.ResourceOption) (corev1.VolumeArray, error) {
	objects := map[*Files]pulumi.StringOutput{}
	var volumes corev1.VolumeArray
	var err error
	for _, v := range p.Volumes {
		args := &corev1.VolumeArgs{Name: pulumi.String(v.Name)}
		switch {
		case v.Data != nil && p.Members != nil:
			if c.Claims, err = p.claims(ctx, v, opts...); err != nil {
				return nil, fmt.Errorf("claims: %w", err)
			}
			continue // the claim template mounts them
		case v.Data != nil:
			claim, err := v.Data.claim(ctx, p.Identity, p.Namespace, opts...)
			if err != nil {
				return nil, fmt.Errorf("claim: %w", err)
			}
			c.Claim = claim
			args.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: claim}
		case v.Scratch != nil:
			args.Ephemeral = v.Scratch.source(p.Identity)
		case v.Claim != nil:
			args.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: v.Claim.ToStringOutput()}
		case v.Empty != nil:
			source := &corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String(v.Empty.Size)}
			if v.Empty.Memory {
				source.Medium = pulumi.String("Memory")
			}
			args.EmptyDir = source
		case v.Late:
			args.ConfigMap = &corev1.ConfigMapVolumeSourceArgs{Name: pulumi.String(p.Name + "-" + v.Files.Name), Optional: pulumi.Bool(true)}
		case v.Given != nil:
			args.Secret = &corev1.SecretVolumeSourceArgs{SecretName: v.Given.ToStringOutput(), Items: items(v.Keys), DefaultMode: pulumi.Int(0o440)}
		default:
			if _, made := objects[v.Files]; !made {
				name, err := v.Files.create(ctx, c, p.Identity, p.Namespace, opts...)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", v.Files.Name, err)
				}
				objects[v.Files], c.Objects[v.Files.Name] = name, name
			}
			if v.Files.Secret {
				args.Secret = &corev1.SecretVolumeSourceArgs{SecretName: objects[v.Files], Items: items(v.Keys), DefaultMode: pulumi.Int(0o440)}
			} else {
				args.ConfigMap = &corev1.ConfigMapVolumeSourceArgs{Name: objects[v.Files], Items: items(v.Keys)}
			}
		}
		volumes = append(volumes, args)
	}
	return volumes, nil
}

func (f *Files) create(ctx *pulumi.Context, c *Created, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	name := i.Name + "-" + f.Name
	if f.Live {
		made, err := f.live(ctx, name, i, namespace, opts...)
		c.live = append(c.live, made)
		// Not the object's own output: where a provider replaces the object for its new
		// content, everything that is told its name by it would be replaced along, and
		// all pods of a set would end at once.
		return pulumi.String(name).ToStringOutput(), err
	}
	if f.Secret {
		return content.Secret(ctx, name, namespace, i, f.Type, f.Data, opts...)
	}
	return content.ConfigMap(ctx, name, namespace, i, f.Data, opts...)
}

func items(keys []string) corev1.KeyToPathArrayInput {
	if len(keys) == 0 {
		return nil
	}
	var paths corev1.KeyToPathArray
	for _, k := range keys {
		paths = append(paths, &corev1.KeyToPathArgs{Key: pulumi.String(k), Path: pulumi.String(k)})
	}
	return paths
}

func (p Pod) history() int {
	if p.RevisionHistory == 0 {
		return 3
	}
	return p.RevisionHistory
}

func (p Pod) deployment(ctx *pulumi.Context, c *Created, template *corev1.PodTemplateSpecArgs, opts ...pulumi.ResourceOption) error {
	plan := p.plan()
	replicas := p.Replicas
	strategy := &appsv1.DeploymentStrategyArgs{
		Type: pulumi.String("RollingUpdate"),
		RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{
			MaxSurge:       pulumi.Int(1),
			MaxUnavailable: pulumi.Int(0),
		},
	}
	if p.Kind == Recreate {
		replicas, strategy = pulumi.Int(1), &appsv1.DeploymentStrategyArgs{Type: pulumi.String("Recreate")}
	}
	d, err := appsv1.NewDeployment(ctx, p.Name, &appsv1.DeploymentArgs{
		Metadata: Meta(p.Name, p.Namespace, p.Identity),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas:                replicas,
			RevisionHistoryLimit:    pulumi.Int(p.history()),
			ProgressDeadlineSeconds: pulumi.Int(plan.ProgressDeadlineSeconds()),
			Strategy:                strategy,
			Selector:                p.selector(),
			Template:                template,
		},
	}, append(slices.Clone(opts), timeouts(plan))...)
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	c.Workload, c.Name = d, d.Metadata.Name().Elem()
	if p.Spread == SpreadNone || p.Kind == Recreate {
		return nil
	}
	if err := budget(ctx, p.Name, Meta(p.Name, p.Namespace, p.Identity), allButOne(p.selector()), opts...); err != nil {
		return fmt.Errorf("disruption budget: %w", err)
	}
	return nil
}

func (p Pod) statefulSet(ctx *pulumi.Context, c *Created, template *corev1.PodTemplateSpecArgs, opts ...pulumi.ResourceOption) error {
	spec, more := p.claimTemplates(c)
	meta := Meta(p.object(), p.Namespace, p.Identity)
	if p.Members != nil {
		// Kubernetes fills in defaults within lists and references that belong to one field
		// manager as a whole: an update that goes on after a killed one, with another
		// manager's name, would be refused for them.
		meta.Annotations = Forced
	}
	s, err := appsv1.NewStatefulSet(ctx, p.object(), &appsv1.StatefulSetArgs{
		Metadata: meta,
		Spec: &appsv1.StatefulSetSpecArgs{
			Replicas: pulumi.Int(p.pods()),
			// Down to the strategy all are constants: Kubernetes refuses to change most
			// of them, so Pulumi would replace the StatefulSet.
			ServiceName: pulumi.String(p.GoverningService),
			Selector:    p.selector(),
			// With the other policy a pod that never gets ready blocks the very update
			// that would repair it.
			PodManagementPolicy:  pulumi.String("Parallel"),
			RevisionHistoryLimit: pulumi.Int(p.history()),
			UpdateStrategy:       &appsv1.StatefulSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate")},
			Template:             template,
			VolumeClaimTemplates: spec,
		},
	}, append(append(slices.Clone(opts), more...), timeouts(p.plan()), pulumi.Protect(p.Protect), pulumi.RetainOnDelete(p.Protect))...)
	if err != nil {
		return fmt.Errorf("stateful set: %w", err)
	}
	c.Workload, c.Name = s, s.Metadata.Name().Elem()
	return nil
}

// serviceAccount creates the workload's own account. The token is mounted, if at all, by
// the pod: the account itself never offers one.
func serviceAccount(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	account, err := corev1.NewServiceAccount(ctx, i.Name, &corev1.ServiceAccountArgs{
		Metadata:                     Meta(i.Name, namespace, i),
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return account.Metadata.Name().Elem(), nil
}

// rules are what the workload's account may do: read what Reads name, and its Rights.
func (p Pod) rules() []rbac.PolicyRule {
	byGroup := map[string][]string{}
	for r, group := range p.Reads {
		byGroup[group] = append(byGroup[group], r)
	}
	var rules []rbac.PolicyRule
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		rules = append(rules, rbac.PolicyRule{
			APIGroups: []string{group}, Resources: slices.Sorted(slices.Values(byGroup[group])), Verbs: []string{"get", "list", "watch"},
		})
	}
	return append(rules, p.Rights...)
}

// role gives a workload's account rights in its own namespace.
func role(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, rules []rbac.PolicyRule, opts ...pulumi.ResourceOption) error {
	var policy rbacv1.PolicyRuleArray
	for _, rule := range rules {
		args := &rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray(rule.APIGroups), Resources: pulumi.ToStringArray(rule.Resources), Verbs: pulumi.ToStringArray(rule.Verbs),
		}
		if len(rule.ResourceNames) > 0 {
			args.ResourceNames = pulumi.ToStringArray(rule.ResourceNames)
		}
		policy = append(policy, args)
	}
	r, err := rbacv1.NewRole(ctx, i.Name, &rbacv1.RoleArgs{Metadata: Meta(i.Name, namespace, i), Rules: policy}, opts...)
	if err != nil {
		return err
	}
	_, err = rbacv1.NewRoleBinding(ctx, i.Name, &rbacv1.RoleBindingArgs{
		Metadata: Meta(i.Name, namespace, i),
		RoleRef: &rbacv1.RoleRefArgs{
			ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String("Role"), Name: r.Metadata.Name().Elem(),
		},
		Subjects: rbacv1.SubjectArray{&rbacv1.SubjectArgs{
			Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(i.Name), Namespace: namespace,
		}},
	}, opts...)
	return err
}
