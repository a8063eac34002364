package backup

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// Backup is what keeps the database's backups.
type Backup struct {
	pulumi.ResourceState

	// Found is what a restore waits for: the look into the repository. It is empty where
	// nothing is to be restored.
	Found []pulumi.Resource
	// Certified is what checks certificates of the database's own CA, once it has all
	// started.
	Certified []pulumi.Resource

	name string
	args *Args
}

// NewBackup creates what a database needs to begin: the S3 server, where there is one, and
// a look into the repository, where a restore is wanted. Schedule creates the rest.
func NewBackup(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Backup, error) {
	if args == nil {
		args = &Args{}
	}
	if err := args.Validate(); err != nil {
		return nil, err
	}
	b := &Backup{name: name, args: args}
	if err := ctx.RegisterComponentResource("alphapulse:index:Backup", name, b, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(b)
	if args.Former != nil {
		// What was backed up to it can still be restored from it.
		if _, err := args.idle(name).Idle(ctx, map[string]resource.Quantity{StoreOf(name).Name: args.Former.Storage}, parent); err != nil {
			return nil, fmt.Errorf("former store: %w", err)
		}
	}
	if args.Off {
		return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
	}
	var store []pulumi.Resource
	if args.Store != nil {
		pod := args.store(name)
		login, err := content.Secret(ctx, pod.Name+"-login", args.Namespace, pod.Identity, "", args.credentials(), parent)
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
		pod.Processes[0].Credentials = login
		created, err := pod.Create(ctx, parent)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		store = append(store, created.Workload)
		b.Certified = store
	}
	if args.Wanted != nil {
		pod, jobs := args.looker(name)
		var err error
		if b.Found, err = pod.CreateJobs(ctx, jobs, parent, pulumi.DependsOn(store)); err != nil {
			return nil, err
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}

// Schedule creates what backs the database up and proves it, once the database is there.
func (b *Backup) Schedule(ctx *pulumi.Context, database ...pulumi.Resource) error {
	parent := pulumi.Parent(b)
	pod, jobs := b.args.taker(b.name)
	taken, err := pod.CreateJobs(ctx, jobs, parent, pulumi.DependsOn(database))
	if err != nil {
		return err
	}
	pod, jobs = b.args.prover(b.name)
	proven, err := pod.CreateJobs(ctx, jobs, parent)
	b.Certified = slices.Concat(b.Certified, taken, proven)
	return err
}
