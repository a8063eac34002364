package monitoring

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// portName is the name of the port that probes and Services refer to.
const portName = "http"

const dataVolume = "data"

// server is one process with a volume: what Prometheus, Alertmanager and Grafana have in
// common, on both targets.
type server struct {
	identity  room.Identity
	container string
	image     pulumi.StringInput
	command   []string
	arguments pulumi.StringArray
	env       pulumi.StringMap
	port      int
	resources room.Resources
	user      int
	// dataPath is where the volume of size storage is mounted.
	dataPath string
	storage  resource.Quantity
	// livenessPath and readinessPath of the HTTP probes.
	livenessPath, readinessPath string
	// startupSeconds is how long the process may take to answer for the first time.
	startupSeconds int
	graceSeconds   int
	// apiReads are the resources of its namespace that it may read.
	apiReads map[string]string
	init     []workload.Process
	// volumes and mounts beside the data volume.
	volumes []workload.Volume
	mounts  []workload.Mount
}

// reads mounts a volume of files.
func (s *server) reads(v workload.Volume, path string) {
	s.volumes = append(s.volumes, v)
	s.mounts = append(s.mounts, workload.Mount{Volume: v.Name, Path: path, ReadOnly: true})
}

func (s *server) dataMount() workload.Mount {
	return workload.Mount{Volume: dataVolume, Path: s.dataPath}
}

// render is the server's process and its volumes.
func (s *server) render(a *Args) (workload.Process, []workload.Volume) {
	if s.env == nil {
		s.env = pulumi.StringMap{}
	}
	return workload.Process{
			Name: s.container, Identity: s.identity, Image: s.image, User: s.user,
			Command: s.command, Args: s.arguments, Env: s.env, Resources: s.resources,
			Ports:          []workload.Port{{Name: portName, Number: s.port}},
			Mounts:         append(s.mounts[:len(s.mounts):len(s.mounts)], s.dataMount()),
			StartupSeconds: s.startupSeconds,
			Alive:          &workload.Probe{Path: s.livenessPath, Port: portName, PeriodSeconds: 10, TimeoutSeconds: 5, Failures: 6},
			Ready:          &workload.Probe{Path: s.readinessPath, Port: portName, PeriodSeconds: 5, TimeoutSeconds: 5, Failures: 3},
			Health:         workload.AskHTTP(s.port, s.readinessPath),
			GraceSeconds:   s.graceSeconds,
		}, append(s.volumes[:len(s.volumes):len(s.volumes)],
			workload.Volume{Name: dataVolume, Data: &workload.Data{Size: s.storage, StorageClass: a.StorageClass, Protect: a.Protect}})
}

// pod makes account, claim, Service, StatefulSet and disruption budget. The Service is
// headless: each is one pod.
func (s *server) pod(ctx *pulumi.Context, a *Args, scrape *room.Scrape, opts ...pulumi.ResourceOption) error {
	process, volumes := s.render(a)
	name := s.identity.Name
	_, err := workload.Pod{
		Identity: s.identity, Placement: a.Placement, Kind: workload.Stateful,
		Processes: []workload.Process{process}, Init: s.init, Volumes: volumes,
		Services:         []workload.Service{{Name: name, Type: "ClusterIP", Headless: true, Port: process.Ports[0]}},
		GoverningService: name, Scrape: scrape, Reads: s.apiReads, Protect: a.Protect,
	}.Create(ctx, opts...)
	return err
}
