package stacks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Previous is what the stack's last update left: the facts that an edit of the
// configuration must not contradict.
type Previous struct {
	// Target that the stack runs on; "" before the first update, and in stacks of a
	// release that knew one target only.
	Target string
	// Namespace of every object; "" before the first update.
	Namespace string
	// Cluster is what tells the cluster apart; "" on a Docker host, and in stacks of a
	// release that did not ask.
	Cluster string
	// Generation of the database's volumes; 0 before the first update. Restored names what
	// it was filled with; "" for a new database.
	Generation int
	Restored   string
	// Engine is what tells the Docker engine apart; "" on a cluster, and in stacks of a
	// release that did not ask.
	Engine string
	// Volumes are the sizes of the claims, by name.
	Volumes map[string]string
	// Rotations are the words of the credentials that have been rotated, by credential.
	Rotations map[string]Rotation
}

// Exists tells whether there has been an update.
func (p Previous) Exists() bool { return p.Target != "" || p.Namespace != "" }

// The names of the stack outputs that the next update reads back.
const (
	outputTarget    = "target"
	outputNamespace = "namespace"
	outputVolumes   = "volumes"
	outputCluster   = "cluster"
	outputEngine    = "dockerEngine"

	outputGeneration = "databaseGeneration"
	outputRestored   = "databaseRestored"
)

// previous reads the stack's own outputs, before anything is registered.
func previous(ctx *pulumi.Context) (Previous, error) {
	var result struct {
		Outputs map[string]any `pulumi:"outputs"`
	}
	name := fmt.Sprintf("%s/%s/%s", ctx.Organization(), ctx.Project(), ctx.Stack())
	args := map[string]any{"name": name}
	// The outputs hold credentials, too. The plain call would refuse them; this one
	// says that there are some, and those are not looked at.
	if err := again(func() error {
		_, err := ctx.InvokePackageRaw("pulumi:pulumi:readStackOutputs", args, &result, "")
		return err
	}); err != nil {
		return Previous{}, fmt.Errorf("reading the outputs of the last update of %s: %w", name, err)
	}
	p := Previous{Volumes: map[string]string{}}
	p.Target, _ = result.Outputs[outputTarget].(string)
	p.Namespace, _ = result.Outputs[outputNamespace].(string)
	p.Engine, _ = result.Outputs[outputEngine].(string)
	p.Cluster, _ = result.Outputs[outputCluster].(string)
	p.Rotations = rotationsOf(result.Outputs[outputRotations])
	p.Restored, _ = result.Outputs[outputRestored].(string)
	if generation, ok := result.Outputs[outputGeneration].(float64); ok {
		p.Generation = int(generation)
	}
	if volumes, ok := result.Outputs[outputVolumes].(map[string]any); ok {
		for claim, size := range volumes {
			p.Volumes[claim], _ = size.(string)
		}
	}
	return p, nil
}

// again repeats what fails, a few times. A backend of files writes the state of the
// update that begins while the program reads that of the last one, and for a moment
// there is half of it.
func again(read func() error) error {
	err := read()
	for wait := 100 * time.Millisecond; err != nil && wait < 2*time.Second; wait *= 2 {
		time.Sleep(wait)
		err = read()
	}
	return err
}

// keeps reports every edit that would lose what the previous update stored.
func (s *Stack) keeps(p *settings.Problems, before Previous) {
	was := before.Target
	if was == "" && before.Namespace != "" {
		was = string(room.Kubernetes)
	}
	if was != "" && was != string(s.Target) {
		p.Add("target", "%q: the stack runs on target %q and its data would stay behind: set that one, use another stack, or destroy this one first", s.Target, was)
	}
	if s.Target != room.Kubernetes {
		return // volumes of a Docker host have names of their own and no size
	}
	if before.Namespace != "" && before.Namespace != s.Cluster.Namespace {
		p.Add("namespace", "%q: the stack's data is in namespace %q and would stay behind: set that one, or use another stack", s.Cluster.Namespace, before.Namespace)
	}
	s.databaseFormer(p, before)
	told := map[string]bool{}
	for _, r := range s.resized(before) {
		if r.cmp < 0 && !told[r.key] {
			told[r.key] = true
			p.Add(r.key, "%s is smaller than the %s that volume %s has: a volume cannot shrink, set at least %s", r.size, r.had, r.claim, r.had)
		}
	}
}

// resized is a volume whose size is not the one that it has.
type resized struct {
	claim, key, size, had string
	// cmp is below 0 for a smaller size, and above for a larger one.
	cmp int
}

// resized are the volumes that users size otherwise than they are.
func (s *Stack) resized(before Previous) []resized {
	var all []resized
	for _, claim := range slices.Sorted(maps.Keys(before.Volumes)) {
		had := before.Volumes[claim]
		v, ok := s.volumes[databaseVolume(claim)]
		q, err := resource.ParseQuantity(had)
		if !ok || err != nil || s.unused(claim) {
			continue
		}
		if cmp := v.size.Cmp(q); cmp != 0 {
			all = append(all, resized{claim, v.key, v.size.String(), had, cmp})
		}
	}
	return all
}

// growth refuses a larger volume where the cluster says that it cannot grow: halfway
// through an update the API server would.
func (s *Stack) growth(ctx context.Context, cluster *live.Cluster, before Previous) error {
	var problems []string
	for _, r := range s.resized(before) {
		if r.cmp < 0 {
			continue
		}
		class, err := cluster.FixedClass(ctx, s.Cluster.Namespace, r.claim)
		if err != nil {
			return err
		}
		if class != "" {
			problems = append(problems, fmt.Sprintf("%s: %s: volume %s has StorageClass %s, which does not let a volume grow: keep %s, or set allowVolumeExpansion in that class if its driver can",
				r.key, r.size, r.claim, class, r.had))
		}
	}
	if len(problems) > 0 {
		return &refusal{strings.Join(problems, "\n")}
	}
	return nil
}
