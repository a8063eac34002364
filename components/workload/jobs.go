package workload

import (
	"fmt"
	"slices"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Scratch is a volume that begins empty and is deleted with its pod: for more than a
// node's own disk may have to take.
type Scratch struct {
	// Size of the volume.
	Size resource.Quantity
	// StorageClass of the volume; "" takes the cluster's default.
	StorageClass string
}

// source is a generic ephemeral volume.
func (s *Scratch) source(i room.Identity) *corev1.EphemeralVolumeSourceArgs {
	return &corev1.EphemeralVolumeSourceArgs{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplateArgs{
		Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(i.Labels())},
		Spec:     (&Data{Size: s.Size, StorageClass: s.StorageClass}).spec(),
	}}
}

// Job is a pod that ends. It is rendered as every other pod is.
type Job struct {
	// Name of the Job or CronJob.
	Name string
	// Schedule in cron's notation, in UTC; "" runs the job once, when it is created.
	Schedule string
	// Processes are the pod's containers; Init run before them, one after the other.
	Processes, Init []Process
	// DeadlineSeconds is how long one run may take, with all its attempts.
	DeadlineSeconds int
	// Retries is how many further attempts a run has.
	Retries int
	// Awaited makes an update wait for a job that runs once, and fail if it does.
	Awaited bool
}

// history is how many finished runs of each result are kept, with their logs.
const history = 1

// jobTimeouts are for what an update waits for: that of a job that is awaited, too.
var jobTimeouts = pulumi.CustomTimeouts{Create: "10m", Update: "10m", Delete: "10m"}

// startingDeadlineSeconds is how late a run may begin, after the cluster was away.
const startingDeadlineSeconds = 3600

// CreateJobs creates the account and the files of p, and what runs the jobs. They mount
// the volumes of p; processes, replicas and Services of p have no meaning.
func (p Pod) CreateJobs(ctx *pulumi.Context, jobs []Job, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	c := &Created{Objects: map[string]pulumi.StringOutput{}}
	account, err := serviceAccount(ctx, p.Identity, p.Namespace, opts...)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	volumes, err := p.volumes(ctx, c, opts...)
	if err != nil {
		return nil, err
	}
	var created []pulumi.Resource
	for _, j := range jobs {
		p.Processes, p.Init = j.Processes, j.Init
		template := p.template(account, volumes)
		r, err := j.create(ctx, p, template, append(opts[:len(opts):len(opts)], pulumi.Timeouts(&jobTimeouts))...)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", j.Name, err)
		}
		created = append(created, r)
	}
	return created, nil
}

func (j Job) create(ctx *pulumi.Context, p Pod, template *corev1.PodTemplateSpecArgs, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	// One pod whose containers are started again: each attempt of a new one would have
	// to be scheduled, and a scratch volume would be made anew.
	template.Spec.(*corev1.PodSpecArgs).RestartPolicy = pulumi.String("OnFailure")
	spec := &batchv1.JobSpecArgs{
		BackoffLimit:          pulumi.Int(j.Retries),
		ActiveDeadlineSeconds: pulumi.Int(j.DeadlineSeconds),
		Template:              template,
	}
	meta := Meta(j.Name, p.Namespace, p.Identity)
	if j.Schedule != "" {
		return batchv1.NewCronJob(ctx, j.Name, &batchv1.CronJobArgs{
			Metadata: meta,
			Spec: &batchv1.CronJobSpecArgs{
				Schedule: pulumi.String(j.Schedule), TimeZone: pulumi.String("Etc/UTC"),
				ConcurrencyPolicy:          pulumi.String("Forbid"),
				StartingDeadlineSeconds:    pulumi.Int(startingDeadlineSeconds),
				SuccessfulJobsHistoryLimit: pulumi.Int(history), FailedJobsHistoryLimit: pulumi.Int(history),
				JobTemplate: &batchv1.JobTemplateSpecArgs{Spec: spec},
			},
		}, opts...)
	}
	if !j.Awaited {
		meta.Annotations = Unawaited
	}
	// What has run is not run again because of an edit of the pod.
	return batchv1.NewJob(ctx, j.Name, &batchv1.JobArgs{Metadata: meta, Spec: spec},
		append(slices.Clone(opts), pulumi.IgnoreChanges([]string{"spec"}))...)
}
