package stacks

import (
	"context"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// AddOns are what a cluster has for all of its stacks, each only where it is asked for:
// many clusters have their own.
type AddOns struct {
	// CertManager asks for cert-manager, and Manager says how.
	CertManager bool
	Manager     addons.CertManagerArgs
	// Logs is the agent that reads the nodes' log files.
	Logs LogAgent
}

// certManagerName is the instance's name.
const certManagerName = "cert-manager"

func (s *Stack) addonSettings(set *settings.Set) {
	a, m := &s.AddOns, &s.AddOns.Manager
	only := settings.Only(room.Addons)
	wanted := settings.While(func() bool { return a.CertManager }, "certManager is true")
	g := set.Group("Add-ons", "What belongs to a cluster and is shared by its stacks; each is off by default, since many clusters have their own. A stack with target addons has nothing else.")
	g.Bool(&a.CertManager, "certManager", "Install cert-manager, which keeps certificates: tlsIssuer of other stacks names an issuer of its.", only)
	g.Text(&m.Chart, "certManagerChart", "Where its Helm chart is: https://REPOSITORY/NAME, oci://…, or the path of a folder or an archive.", settings.Valid(chartPlace), only, wanted)
	g.Text(&m.Version, "certManagerVersion", "Version of the chart; one that is a path has its own.", settings.Valid(chartVersion),
		settings.While(func() bool { return a.CertManager && !m.Local() }, "certManager is true and certManagerChart is no path"), only)
	g.Text(&m.Registry, "certManagerRegistry", "Registry of its images, which are in the folder jetstack of it.", settings.Valid(mirror), only, wanted)
	g.Int(&m.Replicas, "certManagerReplicas", "Pods of its controller, of its webhook and of its injector each; of several one works, and of the webhook all.", settings.Between(1, 5), only, wanted)
	g.Resources(&m.Resources, "certManagerResources", "each of these pods", only, wanted)
	g.List(&m.NameServers, "certManagerNameServers", "Name servers, as address:port, that are asked for a host of challenge HTTP-01 before the authority asks; by default the cluster's own.",
		settings.Each(addons.NameServer), only, wanted)
	s.logAgentSettings(g)
}

// chartPlace is for settings.Valid.
func chartPlace(v string) error {
	if scheme, rest, ok := strings.Cut(v, "://"); v == "" || ok && (scheme != "https" && scheme != "oci" || !strings.Contains(rest, "/")) {
		return fmt.Errorf("%q is not where a chart is: write https://REPOSITORY/NAME, oci://REGISTRY/NAME, or a path", v)
	}
	return nil
}

// chartVersion is for settings.Valid: a range would be another version some day.
func chartVersion(v string) error {
	if v == "" || strings.ContainsAny(v, "<>=~^*x| ") {
		return fmt.Errorf("%q is not one version of a chart: write e.g. v1.21.2", v)
	}
	return nil
}

// mirror is for settings.Valid.
func mirror(v string) error {
	if v == "" || strings.Contains(v, "://") || strings.ContainsAny(v, " \t") {
		return fmt.Errorf("%q is not a registry: write e.g. quay.io, or registry.example.com/mirror", v)
	}
	return nil
}

// addonsElsewhere refuses to install over what somebody else has installed: definitions of
// the same kinds, which two controllers would fight for.
func (s *Stack) addonsElsewhere(ctx context.Context, cluster *live.Cluster) error {
	if !s.AddOns.CertManager {
		return nil
	}
	found, err := cluster.Definitions(ctx, addons.CertManagerGroups...)
	if err != nil {
		return err
	}
	var theirs []string
	for _, d := range found {
		if d.Annotations[platform.OwnerAnnotation] != s.Cluster.owner {
			theirs = append(theirs, d.Name)
		}
	}
	if len(theirs) > 0 {
		return &refusal{fmt.Sprintf("certManager: the cluster has cert-manager already, and not from this stack (%s): "+
			"set it false, and let tlsIssuer of other stacks name an issuer of that one; or uninstall that one, with its definitions, first", brief(theirs))}
	}
	namespace := s.AddOns.Manager.Namespace
	n, err := cluster.Get(ctx, "Namespace", "", namespace)
	if err != nil {
		return err
	}
	if n != nil && n.Annotations[platform.OwnerAnnotation] != s.Cluster.owner {
		return &refusal{fmt.Sprintf("certManager: its namespace %s exists and is not of this stack: delete it if nobody needs it, or leave certManager false", namespace)}
	}
	return nil
}

// brief names the first three, and how many more there are.
func brief(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

// deployAddons installs what is asked for.
func (s *Stack) deployAddons(ctx *pulumi.Context) (pulumi.Map, error) {
	provider, err := newProvider(ctx, s.Cluster)
	if err != nil {
		return nil, err
	}
	out := pulumi.Map{outputTarget: pulumi.String(s.Target)}
	if s.Cluster.uid != "" {
		out[outputCluster] = pulumi.String(s.Cluster.uid)
	}
	if s.AddOns.CertManager {
		args := s.AddOns.Manager
		args.Owner, args.Protect = s.Cluster.owner, s.Platform.Protect
		m, err := addons.NewCertManager(ctx, certManagerName, &args, pulumi.Provider(provider))
		if err != nil {
			return nil, err
		}
		out["certManager"] = pulumi.StringMap{"namespace": m.Namespace}
	}
	return out, s.deployLogAgent(ctx, out, pulumi.Provider(provider))
}
