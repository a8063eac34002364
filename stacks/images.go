package stacks

import (
	"net/netip"
	"strings"

	"github.com/distribution/reference"
	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/images"
)

// application are the images of the application: those that the stack names, or
// those that it builds.
type application struct {
	backend, dashboard, frontend pulumi.StringInput
	// first lets a resource wait for the built images, so that a build or a push
	// that fails ends the update before anything else has changed. Whatever a stack
	// deploys has it; it is empty when images are named.
	first []pulumi.ResourceOption
}

// buildContext is the folder below Pulumi.yaml's that images are built from.
const buildContext = "docker"

// newApplication decides the references, and builds what has to be built.
func newApplication(ctx *pulumi.Context, c *Config) (*application, error) {
	a := &application{
		backend:   pulumi.String(c.Images.Backend),
		dashboard: pulumi.String(c.Images.Dashboard),
		frontend:  pulumi.String(c.Images.Frontend),
	}
	if !c.Build.Enabled {
		return a, nil
	}
	engine, err := newEngine(ctx, c)
	if err != nil {
		return nil, err
	}
	build := func(name string) (*images.Image, error) {
		return images.NewImage(ctx, name+"-image", &images.Args{
			Context:    buildContext,
			Dockerfile: "Dockerfile." + name + ".prod",
			Sources:    []string{name},
			Repository: c.Build.Registry + "/" + name,
			Owner:      ctx.Stack(),
			Push:       true,
		}, pulumi.Provider(engine))
	}
	backend, err := build(backendName)
	if err != nil {
		return nil, err
	}
	frontend, err := build(frontendName)
	if err != nil {
		return nil, err
	}
	if c.Images.Dashboard == c.Images.Backend {
		a.dashboard = backend.Reference
	}
	a.backend, a.frontend = backend.Reference, frontend.Reference
	a.first = []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{backend.Ready, frontend.Ready})}
	return a, nil
}

// newEngine is the Docker engine that builds and pushes. DOCKER_HOST names it, as for
// Docker's own command line.
func newEngine(ctx *pulumi.Context, c *Config) (*docker.Provider, error) {
	named, err := reference.ParseNormalizedNamed(c.Build.Registry + "/" + backendName)
	if err != nil {
		return nil, err // checked by Parse
	}
	auth := docker.ProviderRegistryAuthArgs{Address: pulumi.String(registryAddress(reference.Domain(named)))}
	if c.Build.Username == "" {
		// Without this the provider looks for a login of whoever runs it.
		auth.AuthDisabled = pulumi.Bool(true)
	} else {
		auth.Username = pulumi.String(c.Build.Username)
		auth.Password = pulumi.ToSecret(pulumi.StringPtr(c.Build.Password)).(pulumi.StringPtrOutput)
	}
	return docker.NewProvider(ctx, "docker", &docker.ProviderArgs{
		RegistryAuth: docker.ProviderRegistryAuthArray{auth},
	})
}

// registryAddress is where a registry's own interface is: Docker Hub's has another
// name than its images, and what listens on this machine only speaks plain HTTP, as
// for the engine.
func registryAddress(domain string) string {
	if domain == "docker.io" {
		return "registry-1.docker.io"
	}
	host := domain
	if i := strings.LastIndex(domain, ":"); i >= 0 && !strings.HasSuffix(domain, "]") {
		host = domain[:i]
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if host == "localhost" || err == nil && address.IsLoopback() {
		return "http://" + domain
	}
	return domain
}

// outputs are the references that the stack deploys, e.g. for a stack that takes over
// what another one has built and tried.
func (a *application) outputs() pulumi.StringMap {
	return pulumi.StringMap{"backend": a.backend, "dashboard": a.dashboard, "frontend": a.frontend}
}
