// Package sizing holds the arithmetic of resource requests, limits and quotas.
// It is plain Go: no Pulumi types, so that a test can add the numbers up.
package sizing

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

type (
	// Amounts is an amount of each compute resource.
	Amounts = room.Amounts
	// Resources is what one container asks for and may use at most.
	Resources = room.Resources
)

// Of is room.ResourcesOf.
func Of(cpuRequest, memoryRequest, cpuLimit, memoryLimit string) Resources {
	return room.ResourcesOf(cpuRequest, memoryRequest, cpuLimit, memoryLimit)
}

// Demand is what one workload needs of the namespace's quota while it rolls out
// at its maximum scale.
type Demand struct {
	// Workload names the workload, for messages and tests.
	Workload string
	// Replicas is the most pods the workload ever runs (an HPA's maximum).
	Replicas int
	// Surge is how many pods more a rolling update starts at once; 0 for
	// StatefulSets and for the Recreate strategy, which stop a pod first.
	Surge int
	// Containers lists every container of a pod, sidecars included.
	Containers []Resources
	// Volumes lists the size of each claim that the workload owns.
	Volumes []resource.Quantity
	// Services is the number of Service objects that belong to the workload.
	Services int
}

// Pods is the most pods that exist at once.
func (d Demand) Pods() int { return d.Replicas + d.Surge }

// Totals is the content of a ResourceQuota.
type Totals struct {
	Requests, Limits Amounts
	Pods             int
	Claims           int
	Storage          resource.Quantity
	Services         int
}

// Headroom is what the quota keeps free beside the composed workloads: two pods
// for jobs and for an operator's debugging pod, each of this size.
var Headroom = Demand{
	Workload:   "headroom",
	Replicas:   2,
	Containers: []Resources{Of("250m", "256Mi", "1", "1Gi")},
	Services:   2,
}

// Sum adds the demands up.
func Sum(demands ...Demand) Totals {
	var t Totals
	for _, d := range demands {
		for range d.Pods() {
			for _, c := range d.Containers {
				t.Requests.CPU.Add(c.Requests.CPU)
				t.Requests.Memory.Add(c.Requests.Memory)
				t.Limits.CPU.Add(c.Limits.CPU)
				t.Limits.Memory.Add(c.Limits.Memory)
			}
		}
		t.Pods += d.Pods()
		t.Services += d.Services
		for _, v := range d.Volumes {
			t.Claims++
			t.Storage.Add(v)
		}
	}
	return t
}

// Hard renders the totals as the hard limits of a ResourceQuota.
func (t Totals) Hard() map[string]string {
	return map[string]string{
		"requests.cpu":           t.Requests.CPU.String(),
		"requests.memory":        t.Requests.Memory.String(),
		"limits.cpu":             t.Limits.CPU.String(),
		"limits.memory":          t.Limits.Memory.String(),
		"pods":                   fmt.Sprint(t.Pods),
		"persistentvolumeclaims": fmt.Sprint(t.Claims),
		"requests.storage":       t.Storage.String(),
		"services":               fmt.Sprint(t.Services),
	}
}
