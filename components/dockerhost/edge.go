package dockerhost

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// EdgeArgs configure an Edge.
type EdgeArgs struct {
	// Args are those of the cluster's edge; Exposure and Replicas are left aside: one
	// container publishes PublicHTTPSPort.
	*ingress.Args
	// HTTPPort of the host, which redirects to HTTPS; 0 publishes none.
	HTTPPort int
	// After has to be there before the edge serves.
	After []pulumi.Resource
}

// Edge is nginx in front of every service, and its exporter.
type Edge struct {
	pulumi.ResourceState

	// URLs, CACertificate and CertificateExpiry are those of ingress.Ingress.
	URLs              pulumi.StringMapOutput
	CACertificate     pulumi.StringOutput
	CertificateExpiry pulumi.IntOutput
}

// EdgeWorkloads are the names of the edge's containers, for links.
type EdgeWorkloads struct{ Server, Exporter string }

// EdgeWorkloadsOf gives the names of the edge called name.
func EdgeWorkloadsOf(name string) EdgeWorkloads {
	return EdgeWorkloads{Server: name, Exporter: name + "-exporter"}
}

// place is a Docker host: its DNS server is the same in every container, and the
// exporter is a container of its own. The figures that it asks for are counters, and
// their port is not published.
var place = ingress.Place{Resolver: "127.0.0.11", StatusAddress: "0.0.0.0"}

func (a *EdgeArgs) validate() error {
	if a.HTTPPort < 0 || a.HTTPPort > 65535 {
		return fmt.Errorf("docker edge: HTTPPort %d: want a port of the host from 1 to 65535, or 0 for none", a.HTTPPort)
	}
	if a.HTTPPort != 0 && a.HTTPPort == a.PublicHTTPSPort {
		return fmt.Errorf("docker edge: HTTPPort and PublicHTTPSPort are both %d: give them different ports", a.HTTPPort)
	}
	return nil
}

// NewEdge creates the edge.
func NewEdge(ctx *pulumi.Context, name string, host *Host, args *EdgeArgs, opts ...pulumi.ResourceOption) (*Edge, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil || args.Args == nil {
		return nil, errors.New("docker edge: Args is missing: pass those of the edge")
	}
	own := *args
	filled := *own.Args
	filled.Namespace, filled.Exposure = pulumi.String(host.args.Prefix), ingress.ClusterIP
	filled.HTTPNodePort, filled.HTTPSNodePort, filled.IngressClass = 0, 0, ""
	valid, err := filled.Validated()
	own.Args = valid
	if err := errors.Join(err, own.validate()); err != nil {
		return nil, err
	}
	e := &Edge{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerEdge", name, e, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(e)
	w := EdgeWorkloadsOf(name)
	server := labels.Set{Name: w.Server, Instance: name, Component: "ingress"}
	exporter := labels.Set{Name: w.Exporter, Instance: name, Component: "ingress-metrics"}

	image, err := host.image(ctx, name+"-image", own.Image, parent)
	if err != nil {
		return nil, err
	}
	exporterImage, err := host.image(ctx, w.Exporter+"-image", own.ExporterImage, parent)
	if err != nil {
		return nil, err
	}
	secrets, err := own.Secrets(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	folders := []folder{
		{name: "nginx", path: ingress.ConfigDir, files: pulumi.StringMap{
			ingress.ConfigKey: own.RenderAt(own.Namespace, func(string) ingress.Place { return place }),
		}},
		hidden("tls", ingress.TLSDir, pulumi.StringMap{ingress.CertificateKey: secrets.Certificate, ingress.PrivateKey: secrets.Key}),
	}
	if secrets.Password != nil {
		folders = append(folders, hidden("password", ingress.PasswordDir, pulumi.StringMap{ingress.PasswordKey: secrets.Password}))
	}
	serverFiles, err := newFiles(ctx, host, server, image, folders, parent)
	if err != nil {
		return nil, err
	}
	ports := []port{{host: own.PublicHTTPSPort, container: ingress.HTTPSPort}}
	if own.HTTPPort != 0 {
		ports = append(ports, port{host: own.HTTPPort, container: ingress.HTTPPort})
	}
	running, err := container{
		labels: server, image: image, user: ingress.User,
		entrypoint: ingress.Command(), resources: own.Resources,
		files: serverFiles, writable: map[string]string{"/tmp": "64Mi"},
		health: health{command: []string{"curl", "-fsS", "-o", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d%s", ingress.HTTPPort, nginx.HealthPath)}},
		// By SIGQUIT nginx finishes what it is doing, whatever the image declares.
		stopSignal: "SIGQUIT", startupSeconds: 60, graceSeconds: own.DrainSeconds(),
		ports: ports, after: own.After,
	}.create(ctx, host, parent)
	if err != nil {
		return nil, err
	}
	if _, err := (container{
		labels: exporter, image: exporterImage, user: nobody,
		arguments: pulumi.ToStringArray(ingress.ExporterArgs(w.Server)), resources: own.ExporterResources,
		health: health{none: true}, graceSeconds: 5,
		after: []pulumi.Resource{running},
	}).create(ctx, host, parent); err != nil {
		return nil, err
	}
	e.URLs = pulumi.ToStringMap(own.URLs()).ToStringMapOutput()
	e.CACertificate = secrets.Root
	e.CertificateExpiry = secrets.Expiry
	return e, ctx.RegisterResourceOutputs(e, pulumi.Map{
		"urls": e.URLs, "caCertificate": e.CACertificate, "certificateExpiry": e.CertificateExpiry,
	})
}
