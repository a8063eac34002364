package workload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Service is a name under which pods of the namespace reach a workload.
type Service struct {
	Name string
	// Type of the Service; "" leaves Kubernetes' default unsaid.
	Type string
	// Headless resolves to one address for each ready pod; NotReady to those that are
	// not, too, so that an operator reaches them.
	Headless, NotReady bool
	Port               Port
	// More ports beside Port.
	More []Port
	// Selects are labels that the pods have beside the identity's.
	Selects map[string]string
}

// BothFamilies asks for addresses of both families of IP where the cluster has both.
const BothFamilies = pulumi.String("PreferDualStack")

// Unawaited keeps Pulumi from waiting for a Service's endpoints or an address: the
// workload's own rollout is awaited, and awaiting endpoints would wait for a pod that is
// created later.
var Unawaited = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}

// Forced lets server-side apply take fields that another manager has set otherwise.
var Forced = pulumi.StringMap{"pulumi.com/patchForce": pulumi.String("true")}

func (s Service) create(ctx *pulumi.Context, i room.Identity, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	meta := Meta(s.Name, namespace, i)
	meta.Annotations = Unawaited
	selector := i.Selector()
	maps.Copy(selector, s.Selects)
	spec := &corev1.ServiceSpecArgs{IpFamilyPolicy: BothFamilies, Selector: pulumi.ToStringMap(selector)}
	var ports corev1.ServicePortArray
	for _, p := range append([]Port{s.Port}, s.More...) {
		ports = append(ports, &corev1.ServicePortArgs{
			Name: pulumi.String(p.Name), Port: pulumi.Int(p.Number), TargetPort: pulumi.String(p.Name),
		})
	}
	spec.Ports = ports
	if s.Type != "" {
		spec.Type = pulumi.String(s.Type)
	}
	if s.Headless {
		spec.ClusterIP = pulumi.String("None")
	}
	if s.NotReady {
		spec.PublishNotReadyAddresses = pulumi.Bool(true)
	}
	service, err := corev1.NewService(ctx, s.Name, &corev1.ServiceArgs{Metadata: meta, Spec: spec}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return service.Metadata.Name().Elem(), nil
}

// ServiceNames are the names of Services.
func ServiceNames(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return names
}

// PodsService is the name of the headless Service of Balanced.
func PodsService(name string) string { return name + "-pods" }

// Balanced are the Services of a workload of several pods: one for clients, and a
// headless one over whose addresses the edge balances itself, each with all of the ports, of
// which there is at least one.
func Balanced(name string, ports ...Port) []Service {
	return []Service{
		{Name: name, Type: "ClusterIP", Port: ports[0], More: ports[1:]},
		{Name: PodsService(name), Type: "ClusterIP", Headless: true, Port: ports[0], More: ports[1:]},
	}
}

// WithTLS are a workload's port and, unless it is 0, the one of Authority.Secure.
func WithTLS(port Port, secure int) []Port {
	if secure == 0 {
		return []Port{port}
	}
	return []Port{port, securePort(secure)}
}

func securePort(number int) Port { return Port{Name: "https", Number: number} }

// Secure has a process of the workload called name speak TLS at a port of its own, by the
// variables and files of the reference's images, with a certificate for the names of
// Balanced.
func (a Authority) Secure(p *Process, name string, port int) Volume {
	const dir = "/etc/alphapulse/tls"
	p.Ports = append(p.Ports, securePort(port))
	p.Env["TLS_PORT"] = pulumi.String(strconv.Itoa(port))
	p.Env["TLS_CERT_FILE"], p.Env["TLS_KEY_FILE"] = pulumi.String(dir+"/"+CertificateFile), pulumi.String(dir+"/"+KeyFile)
	p.Mounts = append(p.Mounts, Mount{Volume: "tls", Path: dir, ReadOnly: true})
	v := Folder(a.Certificate("tls", name, ServiceNames(Balanced(name, Port{}))...))
	v.Keys = []string{CertificateFile, KeyFile}
	return v
}

// Headless is the name of the Service that gives the pod of a server its own name.
func Headless(name string) string { return name + "-headless" }

// Server are the Services of a server with its aliases: one for clients under each name,
// and a headless one, each with all of the ports, of which there is at least one.
func Server(name string, aliases []string, ports ...Port) []Service {
	services := []Service{{Name: name}}
	for _, alias := range aliases {
		services = append(services, Service{Name: alias})
	}
	services = append(services, Service{Name: Headless(name), Headless: true, NotReady: true})
	for i := range services {
		services[i].Port, services[i].More = ports[0], ports[1:]
	}
	return services
}

// serviceName is what Kubernetes accepts as the name of a Service (RFC 1035).
var serviceName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ValidateAliases reports every alias that cannot be a Service beside the server's own.
func ValidateAliases(name string, aliases []string) []error {
	var problems []error
	taken := []string{name, Headless(name)}
	for _, alias := range aliases {
		switch {
		case !serviceName.MatchString(alias):
			problems = append(problems, fmt.Errorf("AliasServices: %q is no Service name: "+
				"use lower-case letters, digits and '-', beginning with a letter, 63 at most", alias))
		case slices.Contains(taken, alias):
			problems = append(problems, fmt.Errorf("AliasServices: %q is given twice or is a Service of %s itself: remove it", alias, name))
		}
		taken = append(taken, alias)
	}
	return problems
}
