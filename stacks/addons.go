package stacks

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	// Controller asks for a controller of Gateways, and Gateway says how.
	Controller string
	Gateway    addons.GatewayArgs
	// Logs is the agent that reads the nodes' log files.
	Logs LogAgent
	// Kubelets are the namespaces whose Prometheus may ask the kubelets what containers take.
	Kubelets []string
}

// The instances' names.
const (
	certManagerName = "cert-manager"
	gatewayName     = "gateway-controller"
)

// The values of the setting gatewayController.
const (
	controllerOff     = "off"
	controllerTraefik = "traefik"
)

// definitionsOfCluster is the value of gatewayDefinitions for those that a cluster has.
const definitionsOfCluster = "cluster"

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
	s.gatewayControllerSettings(g)
	s.logAgentSettings(g)
	s.kubeletMetricsSettings(g)
}

func (s *Stack) gatewayControllerSettings(g *settings.Group) {
	a, w, only := &s.AddOns, &s.AddOns.Gateway, settings.Only(room.Addons)
	holds := func() bool { return a.Controller == controllerTraefik }
	wanted := settings.While(holds, "gatewayController is traefik")
	onNodes := settings.While(func() bool { return holds() && w.Service == addons.NodePort }, "gatewayController is traefik and gatewayControllerService is NodePort")
	node := []settings.Option{settings.Between(30000, 32767), settings.OrZero("to let the cluster choose"), only, onNodes}
	g.Text(&a.Controller, "gatewayController", "Install a controller of Gateways, and of Ingress objects that name its class: traefik, or off. edgeGateway of other stacks names a Gateway of its.",
		settings.OneOf(controllerOff, controllerTraefik), only)
	g.Text(&w.Definitions, "gatewayDefinitions", "Where the Gateway API's definitions are: https://…, or the path of a manifest; cluster for those that the cluster has.", settings.Valid(manifestPlace), only, wanted)
	g.Text(&w.Chart, "gatewayControllerChart", "Where its Helm chart is: https://REPOSITORY/NAME, oci://…, or the path of a folder or an archive.", settings.Valid(chartPlace), only, wanted)
	g.Text(&w.Version, "gatewayControllerVersion", "Version of the chart; one that is a path has its own.", settings.Valid(chartVersion),
		settings.While(func() bool { return holds() && !w.Local() }, "gatewayController is traefik and gatewayControllerChart is no path"), only)
	g.Text(&w.Registry, "gatewayControllerRegistry", "Registry of its image.", settings.Valid(mirror), only, wanted)
	g.Int(&w.Replicas, "gatewayControllerReplicas", "Its pods, through which each request goes.", settings.Between(1, 50), only, wanted)
	g.Resources(&w.Resources, "gatewayControllerResources", "each of these pods", only, wanted)
	g.Text((*string)(&w.Service), "gatewayControllerService", "How clients reach it: LoadBalancer, or NodePort. Nodes with a pod of its take connections, and clients keep their addresses.",
		settings.OneOf(addons.LoadBalancer, addons.NodePort), only, wanted)
	g.Int(&w.HTTPNodePort, "gatewayControllerHttpNodePort", "Node port of plain HTTP.", node...)
	g.Int(&w.HTTPSNodePort, "gatewayControllerHttpsNodePort", "Node port of HTTPS.", node...)
	g.Check(func(p *settings.Problems) {
		if w.HTTPNodePort != 0 && w.HTTPNodePort == w.HTTPSNodePort {
			p.Add("gatewayControllerHttpNodePort", "%d is gatewayControllerHttpsNodePort, too: choose two ports", w.HTTPNodePort)
		}
	})
}

// manifestPlace is for settings.Valid.
func manifestPlace(v string) error {
	if scheme, rest, ok := strings.Cut(v, "://"); v == "" || ok && (scheme != "https" || !strings.Contains(rest, "/")) {
		return fmt.Errorf("%q is not where a manifest is: write https://HOST/FILE, a path, or cluster", v)
	}
	return nil
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

// installs is what an add-on brings to a cluster.
type installs struct {
	// setting asks for it, what is its name; instead is what its user can do where somebody else has it.
	setting, what, instead string
	// groups are those of the definitions that it brings.
	groups    []string
	namespace string
	// classes are cluster-scoped objects that it brings, by their kinds.
	classes map[string]string
}

// addonsElsewhere refuses to install over what somebody else has installed: definitions of
// the same kinds, which two controllers would fight for.
func (s *Stack) addonsElsewhere(ctx context.Context, cluster *live.Cluster) error {
	if s.AddOns.CertManager {
		err := s.elsewhere(ctx, cluster, installs{
			setting: "certManager", what: "cert-manager", namespace: s.AddOns.Manager.Namespace, groups: addons.CertManagerGroups,
			instead: "set it false, and let tlsIssuer of other stacks name an issuer of that one; or uninstall that one, with its definitions, first",
		})
		if err != nil {
			return err
		}
	}
	if s.AddOns.Controller != controllerTraefik {
		return nil
	}
	of := installs{
		setting: "gatewayController", what: "the Gateway API", namespace: s.AddOns.Gateway.Namespace, groups: addons.GatewayGroups,
		instead: "set gatewayDefinitions cluster to use those; or gatewayController off, and let edgeGateway of other stacks name a Gateway of that one's",
		classes: map[string]string{"GatewayClass": addons.GatewayClass, "IngressClass": addons.GatewayClass},
	}
	if s.AddOns.Gateway.Definitions == definitionsOfCluster {
		of.groups = nil
	}
	return s.elsewhere(ctx, cluster, of)
}

func (s *Stack) elsewhere(ctx context.Context, cluster *live.Cluster, of installs) error {
	if len(of.groups) > 0 {
		found, err := cluster.Definitions(ctx, of.groups...)
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
			return &refusal{fmt.Sprintf("%s: the cluster has %s already, and not from this stack (%s): %s", of.setting, of.what, brief(theirs), of.instead)}
		}
	}
	n, err := cluster.Get(ctx, "Namespace", "", of.namespace)
	if err != nil {
		return err
	}
	if n != nil && n.Annotations[platform.OwnerAnnotation] != s.Cluster.owner {
		return &refusal{fmt.Sprintf("%s: its namespace %s exists and is not of this stack: delete it if nobody needs it, or leave %s out", of.setting, of.namespace, of.setting)}
	}
	if n != nil {
		return nil // what it brought before
	}
	for _, kind := range slices.Sorted(maps.Keys(of.classes)) {
		if found, err := cluster.Get(ctx, kind, "", of.classes[kind]); err != nil {
			return err
		} else if found != nil {
			return &refusal{fmt.Sprintf("%s: the cluster has a controller of that name already (%s %s): leave it out, and let other stacks name that one's class or Gateway", of.setting, kind, of.classes[kind])}
		}
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
	if s.AddOns.Controller == controllerTraefik {
		args := s.AddOns.Gateway
		args.Owner, args.Protect = s.Cluster.owner, s.Platform.Protect
		if args.Definitions == definitionsOfCluster {
			args.Definitions = ""
		}
		g, err := addons.NewGateway(ctx, gatewayName, &args, pulumi.Provider(provider))
		if err != nil {
			return nil, err
		}
		out["gatewayController"] = pulumi.StringMap{"namespace": g.Namespace, "class": g.Class}
	}
	if err := s.deployLogAgent(ctx, out, pulumi.Provider(provider)); err != nil {
		return nil, err
	}
	return out, s.deployKubeletMetrics(ctx, out, pulumi.Provider(provider))
}
