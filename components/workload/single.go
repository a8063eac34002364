package workload

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload/content"
	"github.com/alphapulse/alphapulse-infra/components/workload/rollout"
)

// RevisionLabel marks the pod of a workload of one pod with the content of its template.
const RevisionLabel = "alphapulse.io/revision"

// single is a workload whose pods stop before their successors start: a StatefulSet, or a
// Deployment with the strategy Recreate. Its rollout is awaited
// by await, because the Kubernetes provider (up to v4.25) reports success too early
// for both: of a StatefulSet it reads a status that the controller has not written
// yet (https://github.com/pulumi/pulumi-kubernetes/issues/3329), and of a Deployment
// it takes the old ReplicaSet, scaled to nothing, for a finished rollout.
type single struct {
	// template is the pod template, marked with its revision.
	template *corev1.PodTemplateSpecArgs

	pod      Pod
	revision pulumi.StringOutput
}

// newSingle names the revision of a pod template.
func newSingle(p Pod, template *corev1.PodTemplateSpecArgs) single {
	revision := revisionOf(template)
	meta := *template.Metadata.(*metav1.ObjectMetaArgs)
	meta.Labels = with(p.podLabels(), RevisionLabel, revision)
	return single{
		template: &corev1.PodTemplateSpecArgs{Metadata: &meta, Spec: template.Spec},
		pod:      p, revision: revision,
	}
}

// await creates the workload's disruption budget, and by it awaits the rollout. The
// budget is named after the revision, so that each revision has one of its own: it
// begins with no status, and counts pods only when they are of that revision and
// ready.
func (s single) await(ctx *pulumi.Context, workload pulumi.Resource, plan rollout.Plan, opts ...pulumi.ResourceOption) error {
	name := s.pod.object()
	meta := Meta(name, s.pod.Namespace, s.pod.Identity)
	meta.Name = pulumi.Sprintf("%s-%s", name, s.revision)
	meta.Annotations = pulumi.StringMap{"pulumi.com/waitFor": pulumi.Sprintf("jsonpath={.status.currentHealthy}=%d", s.pod.pods())}
	of := s.pod.selector()
	labels := of.MatchLabels.(pulumi.StringMap)
	labels[RevisionLabel] = s.revision
	spec := allButOne(of)
	if s.pod.Members != nil {
		spec = allButOneOf(s.pod.pods(), of)
	}
	return budget(ctx, name, meta, spec,
		append(slices.Clone(opts), timeouts(plan), pulumi.DependsOn([]pulumi.Resource{workload}))...)
}

// revisionOf names a pod template by its content. Fields that are not set do not
// count, so that an SDK which knows more of them changes nothing.
func revisionOf(template *corev1.PodTemplateSpecArgs) pulumi.StringOutput {
	name := template.ToPodTemplateSpecOutput().ApplyT(func(t corev1.PodTemplateSpec) (string, error) {
		text, err := json.Marshal(t)
		if err != nil {
			return "", fmt.Errorf("name a pod template: %w", err)
		}
		var fields any
		if err := json.Unmarshal(text, &fields); err != nil {
			return "", fmt.Errorf("name a pod template: %w", err)
		}
		if text, err = json.Marshal(set(fields)); err != nil {
			return "", fmt.Errorf("name a pod template: %w", err)
		}
		return content.Digest("", map[string]string{"template": string(text)}), nil
	}).(pulumi.StringOutput)
	return pulumi.Unsecret(name).(pulumi.StringOutput)
}

// set drops what is null.
func set(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
			} else {
				v[k] = set(e)
			}
		}
	case []any:
		for i, e := range v {
			v[i] = set(e)
		}
	}
	return v
}

func with(labels map[string]string, key string, value pulumi.StringInput) pulumi.StringMap {
	m := pulumi.ToStringMap(labels)
	m[key] = value
	return m
}
