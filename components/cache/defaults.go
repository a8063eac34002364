package cache

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of a cache, sized as in the application's first
// manifests; what has no sensible default is left out.
func Defaults() Args {
	return Args{
		Image:         pulumi.String("docker.io/library/redis:8.0.6"),
		ExporterImage: pulumi.String("docker.io/oliver006/redis_exporter:v1.88.0"),
		Resources:     room.ResourcesOf("500m", "1Gi", "1", "2Gi"),
		Policy:        DefaultPolicy,
		Storage:       resource.MustParse("10Gi"),
	}
}

// withDefaults is a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	d := room.Fill(*a, Defaults())
	if d.Encryption == "" {
		d.Encryption = room.Unencrypted
		if d.Authority.Seed != nil {
			d.Encryption = room.Preferred
		}
	}
	return &d
}

// LeastVersion of Redis: its append-only file is a folder, and clients are bounded.
const LeastVersion = "7"
