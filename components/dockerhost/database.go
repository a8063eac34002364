package dockerhost

import (
	"fmt"
	"path"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// Database is the server, what brings its roles to what is declared, and its exporter.
type Database struct {
	pulumi.ResourceState

	// Ready is there once the server accepts connections and its roles, its database
	// and the extension are as declared.
	Ready pulumi.Resource
}

// DatabaseWorkloads are the names of the database's containers, for links.
type DatabaseWorkloads struct{ Server, Reconciler, Exporter string }

// DatabaseWorkloadsOf gives the names of the database called name.
func DatabaseWorkloadsOf(name string) DatabaseWorkloads {
	return DatabaseWorkloads{Server: name, Reconciler: name + "-reconcile", Exporter: name + "-exporter"}
}

// user of the exporters, whose images name none that is a number.
const nobody = 65534

// NewDatabase creates the database. The volume's size is not bounded: the size of the
// write-ahead log follows from Storage all the same.
func NewDatabase(ctx *pulumi.Context, name string, host *Host, args *database.Args, opts ...pulumi.ResourceOption) (*Database, error) {
	if host == nil {
		return nil, errNoHost
	}
	if args == nil {
		args = &database.Args{}
	}
	own := *args
	own.Namespace = pulumi.String(host.args.Prefix)
	if err := own.Validate(name); err != nil {
		return nil, err
	}
	d := &Database{}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerDatabase", name, d, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(d)
	w := DatabaseWorkloadsOf(name)
	of := func(workload, component string) labels.Set {
		return labels.Set{Name: workload, Instance: name, Component: component}
	}
	server, reconciler, exporter := of(w.Server, "database"), of(w.Reconciler, "database-roles"), of(w.Exporter, "database-metrics")

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
	// The server makes its socket here, as the one who may write. It is in memory: a
	// socket that outlived its server would be of no use.
	socketVolume, err := docker.NewVolume(ctx, name+"-socket", &docker.VolumeArgs{
		Name:   pulumi.String(host.named(name + "-socket")),
		Driver: pulumi.String("local"),
		DriverOpts: pulumi.ToStringMap(map[string]string{
			"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("size=1m,mode=0755,uid=%[1]d,gid=%[1]d", database.User),
		}),
	}, parent)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	socket := mount{volume: socketVolume.Name, path: database.SocketPath}
	verifiers, err := own.Verifiers(ctx, name, parent)
	if err != nil {
		return nil, err
	}

	tuning := own.Tuning()
	serverFiles, err := newFiles(ctx, host, server, image, []folder{
		plain("config", database.ConfigPath, database.ConfigFiles(tuning)),
		hidden("superuser", database.RolesPath, pulumi.StringMap{database.SuperuserFile: verifiers[database.SuperuserFile]}),
	}, parent)
	if err != nil {
		return nil, err
	}
	p := database.ServerProcess()
	running, err := container{
		labels: server, image: image, user: database.User,
		arguments: pulumi.ToStringArray(p.Args), env: pulumi.ToStringMap(p.Env),
		resources: own.Resources, sharedMemory: tuning.SharedMemory,
		files: serverFiles, data: data, dataPath: database.VolumePath, shared: []mount{socket},
		writable: map[string]string{"/tmp": "64Mi"},
		health:   health{command: p.Ready}, startupSeconds: tuning.StartupSeconds(),
		// A fast shutdown, whatever the image declares.
		stopSignal: "SIGINT", graceSeconds: tuning.GraceSeconds(),
		aliases: own.AliasServices,
	}.create(ctx, host, parent)
	if err != nil {
		return nil, err
	}

	reconcilerFiles, err := newFiles(ctx, host, reconciler, image, []folder{
		plain("scripts", database.ScriptsPath, database.ScriptFiles()),
		hidden("verifiers", database.RolesPath, verifiers),
	}, parent)
	if err != nil {
		return nil, err
	}
	p = database.ReconcilerProcess(w.Server)
	ready, err := container{
		labels: reconciler, image: image, user: database.User,
		entrypoint: p.Command, env: pulumi.ToStringMap(p.Env), resources: database.ReconcilerResources,
		files: reconcilerFiles, shared: []mount{socket},
		writable: map[string]string{path.Dir(p.Ready[len(p.Ready)-1]): "1Mi"},
		health:   health{command: p.Ready}, startupSeconds: tuning.StartupSeconds(), graceSeconds: 5,
		after: []pulumi.Resource{running},
	}.create(ctx, host, parent)
	if err != nil {
		return nil, err
	}
	d.Ready = ready

	exporterFiles, err := newFiles(ctx, host, exporter, exporterImage, []folder{
		hidden("password", database.RolesPath, pulumi.StringMap{database.PasswordFile: own.MonitoringPassword}),
	}, parent)
	if err != nil {
		return nil, err
	}
	// Over the socket: the server takes the exporter's role from the network of its own
	// host only, and a container that shares that of another does not outlive it.
	p = database.ExporterProcess(database.SocketPath)
	socket.readOnly = true
	if _, err := (container{
		labels: exporter, image: exporterImage, user: nobody,
		env: pulumi.ToStringMap(p.Env), resources: database.ExporterResources,
		files: exporterFiles, shared: []mount{socket},
		health: ask(database.MetricsPort, "/"), startupSeconds: 60, graceSeconds: 5,
		after: []pulumi.Resource{ready},
	}).create(ctx, host, parent); err != nil {
		return nil, err
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{})
}
