package database

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

func good() *Args {
	return &Args{
		Placement: workload.Placement{Namespace: pulumi.String("n")}, Image: pulumi.String("i:1"), ExporterImage: pulumi.String("e:1"),
		Resources: room.ResourcesOf("1", "2Gi", "2", "4Gi"), Storage: resource.MustParse("50Gi"),
		SuperuserPassword: pulumi.String("s"), ApplicationPassword: pulumi.String("a"), MonitoringPassword: pulumi.String("m"),
	}
}

func TestArgsThatAreRefused(t *testing.T) {
	if err := good().Validate("database"); err != nil {
		t.Fatalf("good arguments: %v", err)
	}
	for _, c := range []struct {
		name string
		edit func(*Args)
		want []string
	}{
		{"nothing given", func(a *Args) { *a = Args{} }, []string{"Namespace", "Image", "ExporterImage", "SuperuserPassword",
			"ApplicationPassword", "MonitoringPassword", "limits.memory", "Storage"}},
		{"memory too small", func(a *Args) { a.Resources = room.ResourcesOf("1", "128Mi", "1", "255Mi") }, []string{"255Mi", "256Mi"}},
		{"request above limit", func(a *Args) { a.Resources = room.ResourcesOf("3", "2Gi", "2", "4Gi") }, []string{"requests.cpu 3"}},
		{"too few connections", func(a *Args) { a.MaxConnections = 24 }, []string{"MaxConnections is 24", "25 to 409"}},
		{"too many connections", func(a *Args) { a.MaxConnections = 410 }, []string{"MaxConnections is 410", "25 to 409"}},
		{"volume too small", func(a *Args) { a.Storage = resource.MustParse("1023Mi") }, []string{"Storage is 1023Mi", "1Gi"}},
		{"alias no name", func(a *Args) { a.AliasServices = []string{"Timescale_DB"} }, []string{`"Timescale_DB"`}},
		{"alias its own", func(a *Args) { a.AliasServices = []string{"database"} }, []string{`"database"`}},
		{"alias headless", func(a *Args) { a.AliasServices = []string{"database-headless"} }, []string{`"database-headless"`}},
		{"alias twice", func(a *Args) { a.AliasServices = []string{"postgres", "postgres"} }, []string{`"postgres"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := good()
			c.edit(a)
			err := a.Validate("database")
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestDemandsCountEveryContainerServiceAndClaim(t *testing.T) {
	a := good()
	a.AliasServices = []string{"timescaledb", "postgres"}
	a.Instances, a.Generation = 2, 1
	sum := platform.Sum(a.Facts("database", room.Kubernetes))
	// Two members, which are stopped first; two poolers, in a rollout a third one and two
	// that are about to end.
	if sum.Pods != 7 || sum.Claims != 2 || sum.Services != 7 {
		t.Errorf("pods %d, claims %d, Services %d; want 7, 2, 7", sum.Pods, sum.Claims, sum.Services)
	}
	if want := resource.MustParse("100Gi"); sum.Storage.Cmp(want) != 0 {
		t.Errorf("storage %s, want %s", sum.Storage.String(), want.String())
	}
	var want resource.Quantity
	for range 2 {
		want.Add(a.Resources.Limits.Memory)
		want.Add(ExporterResources.Limits.Memory)
	}
	for range 5 {
		want.Add(PoolerResources.Limits.Memory)
	}
	for range 7 {
		want.Add(AgentResources.Limits.Memory)
	}
	if sum.Limits.Memory.Cmp(want) != 0 {
		t.Errorf("memory limits %s, want %s", sum.Limits.Memory.String(), want.String())
	}
}

// A fraction of a core counts as a whole one, as the image's own tuning counts it.
func TestTuningRoundsCPUsUp(t *testing.T) {
	a := good()
	a.Resources = room.ResourcesOf("1", "2Gi", "2500m", "4Gi")
	if got := a.Tuning().ParallelWorkers; got != 3 {
		t.Errorf("%d parallel workers for 2500m, want 3", got)
	}
}
