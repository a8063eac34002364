package dockerhost

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// CredentialsPath is the folder with a file for each secret variable of a process. An
// image on a Docker host reads a variable X that is not set from the file that X_FILE
// names, for the environment of a container is no secret there.
const CredentialsPath = "/etc/alphapulse/credentials"

// BackendArgs configure a Backend.
type BackendArgs struct {
	// Args are those of the cluster's backend. There are Scaling.Min containers of the
	// API; probes are the image's own HEALTHCHECK, which it has to have.
	*backend.Args
	// Variables are plain ones that every process reads.
	Variables map[string]string
	// Credentials are the secret variables of each process, by workload.
	Credentials map[string]pulumi.StringMap
	// After has to be there before the application starts.
	After []pulumi.Resource
}

func (a *BackendArgs) validate() error {
	if a.Args == nil {
		return errors.New("docker backend: Args is missing: pass those of the backend")
	}
	return a.Validate()
}

// Replicas are the names of the containers of the API called name.
func (a *BackendArgs) Replicas(name string) []string {
	replicas := make([]string, a.Scaling.Min)
	for i := range replicas {
		replicas[i] = fmt.Sprintf("%s-%d", name, i+1)
	}
	return replicas
}

// Backend is the application's server side.
type Backend struct {
	pulumi.ResourceState

	// Ready are the containers that the edge asks.
	Ready []pulumi.Resource
}

// NewBackend creates API, engine and dashboard.
func NewBackend(ctx *pulumi.Context, name string, host *Host, args *BackendArgs, opts ...pulumi.ResourceOption) (*Backend, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil {
		args = &BackendArgs{}
	}
	own := *args
	if own.Args != nil {
		filled := *own.Args
		// What a cluster alone has; nothing of it is read here.
		filled.Namespace, filled.SettingsName = pulumi.String(host.args.Prefix), pulumi.String(host.args.Prefix)
		filled.WaitForImage = nil
		filled.Scaling = backend.Scaling{Min: filled.Scaling.Min, Max: filled.Scaling.Min, CPUUtilization: 100, MemoryUtilization: 100}
		own.Args = &filled
	}
	if err := own.validate(); err != nil {
		return nil, err
	}
	b := &Backend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerBackend", name, b, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(b)
	for _, w := range own.Running(name) {
		l := labels.Set{Name: w.Name, Instance: name, Component: w.Component}
		image, err := host.image(ctx, w.Name+"-image", w.Image, parent)
		if err != nil {
			return nil, err
		}
		env := map[string]string{}
		maps.Copy(env, own.Variables)
		maps.Copy(env, w.Env)
		var folders []folder
		if secrets := own.Credentials[w.Name]; len(secrets) > 0 {
			folders = append(folders, hidden("credentials", CredentialsPath, secrets))
			for variable := range secrets {
				env[variable+"_FILE"] = CredentialsPath + "/" + variable
			}
		}
		f, err := newFiles(ctx, host, l, image, folders, parent)
		if err != nil {
			return nil, err
		}
		process := container{
			labels: l, image: image, user: backend.User,
			entrypoint: w.Command, arguments: pulumi.ToStringArray(w.Args), env: pulumi.ToStringMap(env),
			resources: w.Resources, files: f, writable: inMemory("64Mi", backend.Writable),
			startupSeconds: w.StartupSeconds, graceSeconds: own.DrainSeconds(),
			after: own.After,
		}
		if w.Process != &own.API {
			created, err := process.create(ctx, host, parent)
			if err != nil {
				return nil, err
			}
			if w.Process == own.Dashboard {
				b.Ready = append(b.Ready, created)
			}
			continue
		}
		// One after the other, so that an update replaces one while the others answer.
		for _, replica := range own.Replicas(name) {
			process.name, process.aliases = replica, []string{replica}
			created, err := process.create(ctx, host, parent)
			if err != nil {
				return nil, err
			}
			process.after = append(slices.Clone(own.After), created)
			b.Ready = append(b.Ready, created)
		}
	}
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{})
}

// Frontend is the user interface.
type Frontend struct {
	pulumi.ResourceState

	// Ready is there once the pages are served.
	Ready pulumi.Resource
}

// NewFrontend creates the user interface in one container, whatever Replicas says;
// its probe is the image's own HEALTHCHECK, which it has to have.
func NewFrontend(ctx *pulumi.Context, name string, host *Host, args *frontend.Args, opts ...pulumi.ResourceOption) (*Frontend, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil {
		args = &frontend.Args{}
	}
	own := *args
	own.Namespace = pulumi.String(host.args.Prefix)
	filled, err := own.Validated()
	if err != nil {
		return nil, err
	}
	f := &Frontend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerFrontend", name, f, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(f)
	image, err := host.image(ctx, name+"-image", filled.Image, parent)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"PORT": fmt.Sprint(filled.Port)}
	maps.Copy(env, filled.Env)
	created, err := container{
		labels: labels.Set{Name: name, Instance: name, Component: "frontend"}, image: image, user: frontend.User,
		env: pulumi.ToStringMap(env), resources: filled.Resources, writable: inMemory("16Mi", frontend.Writable),
		startupSeconds: filled.StartupSeconds, graceSeconds: frontend.DrainSeconds,
	}.create(ctx, host, parent)
	if err != nil {
		return nil, err
	}
	f.Ready = created
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{})
}
