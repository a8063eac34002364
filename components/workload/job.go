package workload

import (
	"fmt"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// attempts is how often a Job's pod is tried again.
const attempts = 3

// job creates a Job, which Pulumi awaits. What it was to do is done once: a later edit
// does not do it again.
func (p Pod) job(ctx *pulumi.Context, c *Created, template *corev1.PodTemplateSpecArgs, opts ...pulumi.ResourceOption) error {
	template.Spec.(*corev1.PodSpecArgs).RestartPolicy = pulumi.String("Never")
	limit := fmt.Sprintf("%ds", p.Processes[0].StartupSeconds)
	j, err := batchv1.NewJob(ctx, p.Name, &batchv1.JobArgs{
		Metadata: Meta(p.Name, p.Namespace, p.Identity),
		Spec:     &batchv1.JobSpecArgs{BackoffLimit: pulumi.Int(attempts), Template: template},
	}, append(opts[:len(opts):len(opts)], pulumi.IgnoreChanges([]string{"spec"}),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: limit, Update: limit}))...)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	c.Workload, c.Name = j, j.Metadata.Name().Elem()
	return nil
}
