package addons

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	helm "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/helm/v4"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// CertManagerGroups are the groups of APIs that cert-manager brings.
var CertManagerGroups = []string{"cert-manager.io", "acme.cert-manager.io"}

// CertManagerArgs are the arguments of cert-manager, which keeps certificates.
type CertManagerArgs struct {
	// Chart is where upstream's Helm chart is: https://REPOSITORY/NAME, oci://…, or the
	// path of a folder or an archive.
	Chart string
	// Version of the chart; one that is a path has its own.
	Version string
	// Namespace is made for it, with Pod Security restricted.
	Namespace string
	// Owner names the stack in the annotation platform.OwnerAnnotation, on the namespace and
	// on the definitions; "" for none.
	Owner string
	// Protect refuses to delete the definitions, and with them each certificate of the
	// cluster. They and the namespace, which has accounts and authorities in it, outlive a
	// destroy anyhow.
	Protect bool
	// Registry is where the images are, in the folder jetstack.
	Registry string
	// Replicas of the controller, the webhook and the injector.
	Replicas int
	// Resources of each of them.
	Resources room.Resources
	// NameServers are asked for the hosts of HTTP-01 before the authority asks, as
	// address:port; nil for the cluster's own. Others are needed where those inside the
	// cluster know another address of a host than the world does.
	NameServers []string
}

// CertManagerDefaults are upstream's chart, pinned, and resources that keep a few hundred
// certificates.
func CertManagerDefaults() CertManagerArgs {
	return CertManagerArgs{
		Chart: "https://charts.jetstack.io/cert-manager", Version: "v1.21.2", Namespace: "cert-manager", Registry: "quay.io", Replicas: 1,
		Resources: room.ResourcesOf("20m", "64Mi", "500m", "256Mi"),
	}
}

// NameServer is what one of NameServers has to be.
func NameServer(v string) error {
	if _, err := netip.ParseAddrPort(v); err != nil {
		return fmt.Errorf("%q is not an address and a port: write e.g. 1.1.1.1:53", v)
	}
	return nil
}

// Local tells whether the chart is a path, which has its own version.
func (a CertManagerArgs) Local() bool { return local(a.Chart) }

// Validate reports everything that is wrong with the arguments.
func (a CertManagerArgs) Validate() error {
	errs := []error{checkInstalled(a.Namespace, a.Chart, a.Version, a.Replicas)}
	for _, s := range a.NameServers {
		errs = append(errs, NameServer(s))
	}
	errs = append(errs, a.Resources.Validate())
	return errors.Join(errs...)
}

// CertManager is cert-manager on a cluster.
type CertManager struct {
	pulumi.ResourceState

	// Namespace is known when all of it runs.
	Namespace pulumi.StringOutput
}

// NewCertManager installs cert-manager.
func NewCertManager(ctx *pulumi.Context, name string, args *CertManagerArgs, opts ...pulumi.ResourceOption) (*CertManager, error) {
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("cert-manager %s: %w", name, err)
	}
	m := &CertManager{}
	if err := ctx.RegisterComponentResource("alphapulse:index:CertManager", name, m, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(m)
	ns, err := restricted(ctx, name, args.Namespace, args.Owner, parent)
	if err != nil {
		return nil, err
	}
	chart := &helm.ChartArgs{
		// The chart names its objects by the release, and other programs look for them by
		// the usual names.
		Name: pulumi.String("cert-manager"), Values: args.values(),
	}
	m.Namespace, err = installChart(ctx, name, chart, args.Namespace, args.Chart, args.Version, parent,
		pulumi.DependsOn([]pulumi.Resource{ns}), pulumi.Transforms([]pulumi.ResourceTransform{keep(args.Owner, args.Protect)}))
	if err != nil {
		return nil, err
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{"namespace": m.Namespace})
}

// values are those of the chart that differ from upstream's.
func (a *CertManagerArgs) values() pulumi.Map {
	replicas, resources := pulumi.Int(a.Replicas), amounts(a.Resources)
	budget := pulumi.Map{"enabled": pulumi.Bool(a.Replicas > 1)}
	part := func() pulumi.Map {
		return pulumi.Map{"replicaCount": replicas, "resources": resources, "podDisruptionBudget": budget}
	}
	values := part()
	values["webhook"], values["cainjector"] = part(), part()
	values["imageRegistry"] = pulumi.String(a.Registry)
	values["crds"] = pulumi.Map{"enabled": pulumi.Bool(true), "keep": pulumi.Bool(true)}
	// Nothing of it lies in somebody else's namespace.
	values["global"] = pulumi.Map{"leaderElection": pulumi.Map{"namespace": pulumi.String(a.Namespace)}}
	// It is a hook of Helm, and no Helm is there to run it.
	values["startupapicheck"] = pulumi.Map{"enabled": pulumi.Bool(false)}
	if len(a.NameServers) > 0 {
		values["extraArgs"] = pulumi.ToStringArray([]string{"--acme-http01-solver-nameservers=" + strings.Join(a.NameServers, ",")})
	}
	return values
}
