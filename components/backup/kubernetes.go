package backup

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// Backup is what keeps the database's backups.
type Backup struct {
	pulumi.ResourceState
}

// NewBackup creates the backup: the S3 server first, where there is one.
func NewBackup(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Backup, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.Validate(); err != nil {
		return nil, err
	}
	b := &Backup{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Backup", name, b, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(b)
	if args.Store != nil {
		pod := args.store(name)
		login, err := content.Secret(ctx, pod.Name+"-login", args.Namespace, pod.Identity, "", args.credentials(), parent)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		pod.Processes[0].Credentials = login
		if _, err := pod.Create(ctx, parent); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	pod, jobs := args.taking(name)
	if _, err := pod.CreateJobs(ctx, jobs, parent); err != nil {
		return nil, err
	}
	pod, jobs = args.reading(name)
	if _, err := pod.CreateJobs(ctx, jobs, parent); err != nil {
		return nil, err
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}
