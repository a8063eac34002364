package database

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of a database, sized as in the application's first
// manifests; what has no sensible default is left out.
func Defaults() Args {
	return Args{
		AgentImage:     pulumi.String(room.AgentImage),
		PoolerImage:    pulumi.String("ghcr.io/cloudnative-pg/pgbouncer:1.26.1"),
		ExporterImage:  pulumi.String("docker.io/prometheuscommunity/postgres-exporter:v0.19.1"),
		Instances:      MostInstances,
		Generation:     1,
		Encryption:     room.Preferred,
		Resources:      room.ResourcesOf("1", "2Gi", "2", "4Gi"),
		MaxConnections: 100,
		Clients:        100,
		APIServerPorts: []int{443, 6443},
		Storage:        resource.MustParse("50Gi"),
	}
}

// The images of the server where none is named.
const (
	HAImage   = "docker.io/timescale/timescaledb-ha:pg17.10-ts2.28.2"
	HostImage = "docker.io/timescale/timescaledb:2.19.3-pg17"
)

// running is a copy with the target's image where none is named.
func (a *Args) running(image string) *Args {
	own := Args{}
	if a != nil {
		own = *a
	}
	if own.Image == nil {
		own.Image = pulumi.String(image)
	}
	return &own
}

// withDefaults is a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	d := room.Fill(*a, Defaults())
	if a.MaxConnections == 0 {
		d.MaxConnections = min(d.MaxConnections, MostConnections(d.Resources.Limits.Memory.Value()))
	}
	return &d
}

// Major version of PostgreSQL: a volume that another one has made does not open.
const Major = "17"
