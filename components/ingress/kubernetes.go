// Package ingress runs the edge: nginx in front of every service, which terminates
// TLS, limits clients, balances over pods and passes WebSockets on. The way in
// (NodePort, LoadBalancer, an Ingress object of any class, a Gateway) is one setting.
package ingress

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Ingress is the edge of one stack.
type Ingress struct {
	pulumi.ResourceState

	// URLs are the public addresses; see Args.URLs.
	URLs pulumi.StringMapOutput
	// Address is the load balancer's or Ingress controller's address, "" as long as
	// there is none: it is not awaited.
	Address pulumi.StringOutput
	// CACertificate is the development CA's certificate (PEM) that a client must
	// trust; "" with any other.
	CACertificate pulumi.StringOutput
}

// NewIngress creates the edge.
func NewIngress(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Ingress, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated()
	if err != nil {
		return nil, err
	}
	e := &Ingress{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Ingress", name, e, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(e)
	secrets, err := args.Secrets(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	on := room.Kubernetes
	if args.TLS.Issuer != nil {
		if secrets.Given, err = args.issued(ctx, Edge(name), parent); err != nil {
			return nil, err
		}
	}
	login, err := args.signOnPods(ctx, name, parent)
	if err != nil {
		return nil, err
	}
	server, volumes := args.server(name, args.render(name), secrets)
	prober, proberFiles := args.prober(name)
	counter, counterFiles, err := args.counter(name, on)
	if err != nil {
		return nil, err
	}
	processes := []workload.Process{server, args.exporter(name, on), prober, counter, args.handshakes(name)}
	volumes = append(append(volumes, proberFiles), counterFiles...)
	if args.Logs.On() {
		forwarder, files, err := args.forwarder(name)
		if err != nil {
			return nil, err
		}
		processes, volumes = append(processes, forwarder), append(volumes, files)
	}
	created, err := workload.Pod{
		Identity: Edge(name), Placement: args.Placement,
		Replicas: pulumi.Int(args.Replicas), Most: args.Replicas, Spread: workload.SpreadOf(args.SpreadRequired),
		Processes: processes, Volumes: volumes,
		Scrape: args.Facts(name, on).Workloads[0].Scrape,
	}.Create(ctx, parent, pulumi.DependsOn(slices.Concat(args.After, login)))
	if err != nil {
		return nil, err
	}
	var certificate pulumi.StringInput = created.Objects["tls"]
	if secrets.Given != nil {
		certificate = secrets.Given
	}
	if e.Address, err = expose(ctx, Edge(name), args, certificate, secrets.Root, parent); err != nil {
		return nil, err
	}
	e.URLs = pulumi.ToStringMap(args.URLs()).ToStringMapOutput()
	e.CACertificate = secrets.Root
	return e, ctx.RegisterResourceOutputs(e, pulumi.Map{
		"urls":          e.URLs,
		"address":       e.Address,
		"caCertificate": e.CACertificate,
	})
}

// Secrets are the files of the edge that are no configuration.
type Secrets struct {
	// Certificate and Key are PEM, secret; unset with Given.
	Certificate, Key pulumi.StringOutput
	// Given is the name of the Secret that somebody else puts both into; nil for none.
	Given pulumi.StringInput
	// Password is the password file's line, secret; nil without a password.
	Password pulumi.StringInput
	// Root is the development CA's certificate, "" with any other. It is not secret.
	Root pulumi.StringOutput
}

// Secrets makes the certificate and the password file.
func (a *Args) Secrets(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*Secrets, error) {
	// What the development CA and the password file's salt follow from. It is kept
	// in the state, so both stay what they are from run to run.
	seed, err := random.NewRandomPassword(ctx, name+"-seed", &random.RandomPasswordArgs{
		Length:  pulumi.Int(48), // 62 characters each: 285 bits
		Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	s := &Secrets{Given: a.TLS.Secret, Root: pulumi.String("").ToStringOutput()}
	if !a.TLS.renewed() {
		pair := certificate(a, seed.Result)
		s.Certificate, s.Key, s.Root = pair.certificate, pair.key, pair.root
	}
	if a.PrometheusPassword != nil {
		s.Password = pulumi.All(seed.Result, a.PrometheusPassword).ApplyT(func(v []any) (string, error) {
			return nginx.PasswordLine(v[0].(string), v[1].(string))
		}).(pulumi.StringOutput)
	}
	return s, nil
}

// render gives nginx.conf once the namespace and the Services' names are known.
func (a *Args) render(name string) pulumi.StringOutput {
	return a.renderAt(a.Namespace, func(namespace string) Place { return a.onCluster(name, namespace) })
}

// renderAt gives nginx.conf once what the place follows from and the names of the
// routes' hosts are known. It expects the defaults to be filled in.
func (a *Args) renderAt(from pulumi.StringInput, place func(from string) Place) pulumi.StringOutput {
	inputs := []any{from}
	for _, r := range a.routes() {
		if r.upstream == nil {
			inputs = append(inputs, "")
			continue
		}
		inputs = append(inputs, r.upstream.Host)
	}
	return pulumi.All(inputs...).ApplyT(func(v []any) (string, error) {
		hosts := make([]string, 0, len(v)-1)
		for _, h := range v[1:] {
			hosts = append(hosts, h.(string))
		}
		return a.config(place(v[0].(string)), hosts...).Render()
	}).(pulumi.StringOutput)
}
