package stacks

import (
	"net/netip"
	"slices"
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

// newApplication decides the references, and builds what has to be built. A stack
// that names its images needs no engine.
func newApplication(ctx *pulumi.Context, s *Stack, engine *docker.Provider) (*application, error) {
	a := &application{backend: s.Backend.API.Image, dashboard: s.Application.DashboardImage, frontend: s.Frontend.Image}
	if s.Build.Enabled {
		build := func(name string) (*images.Image, error) {
			return images.NewImage(ctx, name+"-build", &images.Args{
				Context:    buildContext,
				Dockerfile: "Dockerfile." + name + ".prod",
				Sources:    []string{name},
				Repository: s.Build.repository(name),
				Owner:      ctx.Stack(),
				Push:       s.Build.Registry != "",
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
		a.backend, a.frontend = backend.Reference, frontend.Reference
		a.first = []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{backend.Ready, frontend.Ready})}
	}
	if a.dashboard == nil {
		a.dashboard = a.backend
	}
	s.deploys(a)
	return a, nil
}

// deploys gives the images to those who run them.
func (s *Stack) deploys(a *application) {
	s.Backend.API.Image, s.Frontend.Image = a.backend, a.frontend
	if e := s.Backend.Engine; e != nil {
		e.Image = a.backend
	}
	if d := s.Backend.Dashboard; d != nil {
		d.Image = a.dashboard
	}
}

// repository is where an image that the stack builds belongs; without a registry it is
// a name on the engine.
func (b *Build) repository(name string) string {
	if b.Registry == "" {
		return "alphapulse/" + name
	}
	return b.Registry + "/" + name
}

// newDockerProvider is explicit, so that a stack says which engine it means: the one
// that it runs on, or the one that builds its images.
func newDockerProvider(ctx *pulumi.Context, c *Stack) (*docker.Provider, error) {
	args := &docker.ProviderArgs{}
	if c.Host.Address != "" {
		args.Host = pulumi.String(c.Host.Address)
	}
	auth, pushesTo, err := c.Build.auth()
	if err != nil {
		return nil, err
	}
	for _, registry := range c.Platform.PullRegistries {
		if registryHost(registry) == pushesTo {
			continue // who may push may pull, and the provider takes one login a registry
		}
		auth = append(auth, &docker.ProviderRegistryAuthArgs{
			Address: pulumi.String(registry), ConfigFileContent: optionalSecret(c.Platform.PullCredentials).ToStringOutput(),
		})
	}
	if len(auth) > 0 {
		args.RegistryAuth = auth
	}
	return docker.NewProvider(ctx, "docker", args)
}

// auth is how the provider asks the registry that it pushes to, and that one's host;
// nothing when nothing is pushed.
func (b *Build) auth() (auth docker.ProviderRegistryAuthArray, host string, err error) {
	if b.Registry == "" {
		return nil, "", nil
	}
	named, err := reference.ParseNormalizedNamed(b.repository(backendName))
	if err != nil {
		return nil, "", err // checked by Parse
	}
	address := registryAddress(reference.Domain(named))
	login := &docker.ProviderRegistryAuthArgs{Address: pulumi.String(address)}
	if b.Username == "" {
		// Without this the provider looks for a login of whoever runs it.
		login.AuthDisabled = pulumi.Bool(true)
	} else {
		login.Username = pulumi.String(b.Username)
		login.Password = pulumi.ToSecret(pulumi.StringPtr(b.Password)).(pulumi.StringPtrOutput)
	}
	return docker.ProviderRegistryAuthArray{login}, registryHost(address), nil
}

// registryHost is the host of a registry as a config.json or an image names it.
func registryHost(registry string) string {
	_, rest, found := strings.Cut(registry, "://")
	if !found {
		rest = registry
	}
	host, _, _ := strings.Cut(rest, "/")
	if slices.Contains([]string{"docker.io", "index.docker.io", "registry.hub.docker.com"}, host) {
		return dockerHub
	}
	return host
}

// dockerHub is where Docker Hub's interface is; its images have another host.
const dockerHub = "registry-1.docker.io"

// registryAddress is where a registry's own interface is. What listens on this machine
// only speaks plain HTTP, as for the engine.
func registryAddress(domain string) string {
	if domain == "docker.io" {
		return dockerHub
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
