package backup

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Defaults are the arguments of a backup; what has no sensible default is left out.
func Defaults() Args {
	return Args{
		Resources: room.ResourcesOf("100m", "256Mi", "2", "1Gi"),
		Archive:   database.Archive{Repository: pgbackrest.Repository{Region: "us-east-1", Full: 2, Differential: 6}},
		// No two of them begin at the same time.
		Full:         "0 0 * * 0",
		Differential: "0 0 * * 1-6",
		Incremental:  "0 6,12,18 * * *",
		Proof:        "0 3 * * *",
	}
}

// DefaultStore is an S3 server of this size.
func DefaultStore() Store {
	return Store{
		Image:     pulumi.String("docker.io/versity/versitygw:v1.8.0"),
		Resources: room.ResourcesOf("25m", "64Mi", "1", "256Mi"),
		Storage:   resource.MustParse("50Gi"),
	}
}

// LeastMemory of a pod that proves: a server with 128 MiB of shared buffers runs in it.
var LeastMemory = resource.MustParse("256Mi")
