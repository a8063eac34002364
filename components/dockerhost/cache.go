package dockerhost

import (
	"path"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// Cache is the server and its exporter.
type Cache struct {
	pulumi.ResourceState

	// Ready is there once the server answers.
	Ready pulumi.Resource
}

// CacheWorkloads are the names of the cache's containers, for links.
type CacheWorkloads struct{ Server, Exporter string }

// CacheWorkloadsOf gives the names of the cache called name.
func CacheWorkloadsOf(name string) CacheWorkloads {
	return CacheWorkloads{Server: name, Exporter: name + "-exporter"}
}

// NewCache creates the cache. The volume's size is not bounded.
func NewCache(ctx *pulumi.Context, name string, host *Host, args *cache.Args, opts ...pulumi.ResourceOption) (*Cache, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil {
		args = &cache.Args{}
	}
	own := *args
	own.Namespace = pulumi.String(host.args.Prefix)
	if err := own.Validate(name); err != nil {
		return nil, err
	}
	c := &Cache{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerCache", name, c, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(c)
	w := CacheWorkloadsOf(name)
	server := labels.Set{Name: w.Server, Instance: name, Component: "cache"}
	exporter := labels.Set{Name: w.Exporter, Instance: name, Component: "cache-metrics"}

	image, err := host.image(ctx, name+"-image", own.Image, parent)
	if err != nil {
		return nil, err
	}
	exporterImage, err := host.image(ctx, w.Exporter+"-image", own.ExporterImage, parent)
	if err != nil {
		return nil, err
	}
	data, err := host.data(ctx, server, parent)
	if err != nil {
		return nil, err
	}
	serverFiles, err := newFiles(ctx, host, server, image, []folder{
		plain("config", path.Dir(cache.ConfigFile), map[string]string{path.Base(cache.ConfigFile): own.Config()}),
		hidden("acl", path.Dir(cache.ACLFile), pulumi.StringMap{path.Base(cache.ACLFile): own.ACL()}),
	}, parent)
	if err != nil {
		return nil, err
	}
	p := cache.ServerProcess()
	running, err := container{
		labels: server, image: image, user: cache.User,
		entrypoint: p.Command, resources: own.Resources,
		files: serverFiles, data: data, dataPath: cache.DataPath,
		health: health{command: p.Ready}, startupSeconds: own.StartupSeconds(), graceSeconds: cache.GraceSeconds,
		aliases: own.AliasServices,
	}.create(ctx, host, parent)
	if err != nil {
		return nil, err
	}
	c.Ready = running

	exporterFiles, err := newFiles(ctx, host, exporter, exporterImage, []folder{
		hidden("password", path.Dir(cache.ExporterFile), pulumi.StringMap{path.Base(cache.ExporterFile): own.ExporterPasswords(w.Server)}),
	}, parent)
	if err != nil {
		return nil, err
	}
	if _, err := (container{
		labels: exporter, image: exporterImage, user: nobody,
		env: pulumi.ToStringMap(cache.ExporterProcess(w.Server).Env), resources: cache.ExporterResources,
		files:  exporterFiles,
		health: health{none: true}, graceSeconds: 5,
		after: []pulumi.Resource{running},
	}).create(ctx, host, parent); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{})
}
