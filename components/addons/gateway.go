package addons

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	helm "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/helm/v4"
	yaml "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/yaml/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// GatewayGroups are the groups of APIs of the Gateway API.
var GatewayGroups = []string{"gateway.networking.k8s.io"}

// GatewayClass is the name of the class of the controller's Gateways, and of its Ingress
// objects.
const GatewayClass = "traefik"

// ServiceType is how clients reach the controller.
type ServiceType string

// The types.
const (
	LoadBalancer ServiceType = "LoadBalancer"
	NodePort     ServiceType = "NodePort"
)

// ServiceTypes lists them.
var ServiceTypes = []ServiceType{LoadBalancer, NodePort}

// Ports of the controller, which the listeners of its Gateways have to name.
const (
	GatewayHTTPPort  = 8000
	GatewayHTTPSPort = 8443
)

// GatewayArgs are the arguments of Traefik, which serves Gateways and Ingress objects.
type GatewayArgs struct {
	// Chart is where upstream's Helm chart is: https://REPOSITORY/NAME, oci://…, or the
	// path of a folder or an archive.
	Chart string
	// Version of the chart; one that is a path has its own.
	Version string
	// Definitions is the manifest of the Gateway API: https://…, or a path; "" for a
	// cluster that has it.
	Definitions string
	// Namespace is made for it, with Pod Security restricted.
	Namespace string
	// Owner names the stack in the annotation platform.OwnerAnnotation, on the namespace and
	// on the definitions; "" for none.
	Owner string
	// Protect refuses to delete the definitions, and with them each route of the cluster.
	// They and the namespace outlive a destroy anyhow.
	Protect bool
	// Registry is where the image is, by the name of traefik.
	Registry string
	// Replicas of the controller, through which each request goes.
	Replicas int
	// Resources of each of them.
	Resources room.Resources
	// Service is how clients reach it. Clients keep their addresses, so that only nodes
	// with a replica take connections.
	Service ServiceType
	// HTTPNodePort and HTTPSNodePort with NodePort; 0 lets Kubernetes choose.
	HTTPNodePort, HTTPSNodePort int
}

// GatewayDefaults are upstream's chart and the Gateway API's definitions, pinned, and
// resources for some hundred requests a second.
func GatewayDefaults() GatewayArgs {
	return GatewayArgs{
		Chart: "https://traefik.github.io/charts/traefik", Version: "41.3.0",
		Definitions: "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml",
		Namespace:   "traefik", Registry: "docker.io", Replicas: 2, Service: LoadBalancer,
		Resources: room.ResourcesOf("100m", "128Mi", "1", "256Mi"),
	}
}

// Local tells whether the chart is a path, which has its own version.
func (a GatewayArgs) Local() bool { return local(a.Chart) }

// Validate reports everything that is wrong with the arguments.
func (a GatewayArgs) Validate() error {
	errs := []error{checkInstalled(a.Namespace, a.Chart, a.Version, a.Replicas), a.Resources.Validate()}
	if strings.HasPrefix(a.Definitions, "http://") {
		errs = append(errs, fmt.Errorf("definitions %q: a path, https://… or nothing is needed", a.Definitions))
	}
	if !slices.Contains(ServiceTypes, a.Service) {
		errs = append(errs, fmt.Errorf("service %q: want one of %q", a.Service, ServiceTypes))
	}
	if (a.HTTPNodePort != 0 || a.HTTPSNodePort != 0) && a.Service != NodePort {
		errs = append(errs, fmt.Errorf("node ports %d and %d need service %q", a.HTTPNodePort, a.HTTPSNodePort, NodePort))
	}
	return errors.Join(errs...)
}

// Gateway is Traefik on a cluster.
type Gateway struct {
	pulumi.ResourceState

	// Namespace is known when all of it runs.
	Namespace pulumi.StringOutput
	// Class of its Gateways.
	Class pulumi.StringOutput
}

// NewGateway installs Traefik, and the Gateway API where Definitions says so.
func NewGateway(ctx *pulumi.Context, name string, args *GatewayArgs, opts ...pulumi.ResourceOption) (*Gateway, error) {
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("gateway controller %s: %w", name, err)
	}
	g := &Gateway{}
	if err := ctx.RegisterComponentResource("alphapulse:index:GatewayController", name, g, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(g)
	ns, err := restricted(ctx, name, args.Namespace, args.Owner, parent)
	if err != nil {
		return nil, err
	}
	first := []pulumi.Resource{ns}
	if args.Definitions != "" {
		api, err := yaml.NewConfigFile(ctx, name+"-api", &yaml.ConfigFileArgs{File: pulumi.String(args.Definitions)},
			parent, pulumi.Transforms([]pulumi.ResourceTransform{keep(args.Owner, args.Protect)}))
		if err != nil {
			return nil, fmt.Errorf("definitions: %w", err)
		}
		first = append(first, api)
	}
	chart := &helm.ChartArgs{
		Name: pulumi.String("traefik"), Values: args.values(),
		// Those in the chart are for Traefik's own kinds, which are off.
		SkipCrds: pulumi.Bool(true),
	}
	g.Namespace, err = installChart(ctx, name, chart, args.Namespace, args.Chart, args.Version, parent, pulumi.DependsOn(first))
	if err != nil {
		return nil, err
	}
	g.Class = pulumi.String(GatewayClass).ToStringOutput()
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"namespace": g.Namespace, "class": g.Class})
}

// values are those of the chart that differ from upstream's.
func (a *GatewayArgs) values() pulumi.Map {
	on := func(enabled bool) pulumi.Map { return pulumi.Map{"enabled": pulumi.Bool(enabled)} }
	classes, budget := on(true), on(a.Replicas > 1)
	classes["isDefaultClass"] = pulumi.Bool(false) // others may serve Ingress objects that name none
	if a.Replicas > 1 {
		budget["maxUnavailable"] = pulumi.Int(1)
	}
	port := func(number, node int) pulumi.Map {
		p := pulumi.Map{"port": pulumi.Int(number)}
		if node != 0 {
			p["nodePort"] = pulumi.Int(node)
		}
		return p
	}
	return pulumi.Map{
		"image":               pulumi.Map{"registry": pulumi.String(a.Registry)},
		"deployment":          pulumi.Map{"replicas": pulumi.Int(a.Replicas)},
		"resources":           amounts(a.Resources),
		"podDisruptionBudget": budget,
		// Not its experimental channel: it would wait for kinds that Definitions does not bring.
		"providers":    pulumi.Map{"kubernetesCRD": on(false), "kubernetesIngress": on(true), "kubernetesGateway": on(true)},
		"gateway":      on(false), // an administrator's, who has its certificate
		"gatewayClass": pulumi.Map{"enabled": pulumi.Bool(true), "name": pulumi.String(GatewayClass)},
		"ingressClass": classes,
		"ports":        pulumi.Map{"web": port(GatewayHTTPPort, a.HTTPNodePort), "websecure": port(GatewayHTTPSPort, a.HTTPSNodePort)},
		"service":      pulumi.Map{"spec": pulumi.Map{"type": pulumi.String(a.Service), "externalTrafficPolicy": pulumi.String("Local")}},
		// It asks nobody whether there is a newer one, and tells nobody that it runs.
		"global": pulumi.Map{"checkNewVersion": pulumi.Bool(false), "sendAnonymousUsage": pulumi.Bool(false)},
		"api":    pulumi.Map{"dashboard": pulumi.Bool(false)},
	}
}
