package platform

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Totals is the content of a ResourceQuota.
type Totals struct {
	Requests, Limits room.Amounts
	Pods             int
	Claims           int
	Storage          resource.Quantity
	Services         int
}

// Headroom is what the quota keeps free beside the composed workloads: two pods
// for jobs and for an operator's debugging pod, and two Services.
var Headroom = room.Facts{
	Workloads: []room.Workload{{
		Identity: room.Identity{Name: "headroom"}, Replicas: 2, Ordered: true,
		Containers: []room.Resources{room.ResourcesOf("250m", "256Mi", "1", "1Gi")},
	}},
	Services: []string{"", ""},
}

// Sum adds up what the rooms need while every workload rolls out at its maximum scale,
// and all the pods that it replaces take their whole grace to terminate: a quota counts
// them until they are gone, and the controllers ask again ever more seldom after a
// refusal.
func Sum(facts ...room.Facts) Totals {
	var t Totals
	for _, f := range facts {
		for _, w := range f.Workloads {
			pods := w.Replicas + w.Surge
			if !w.Ordered {
				pods += w.Replicas
			}
			for range pods {
				for _, c := range w.Containers {
					t.Requests.CPU.Add(c.Requests.CPU)
					t.Requests.Memory.Add(c.Requests.Memory)
					t.Limits.CPU.Add(c.Limits.CPU)
					t.Limits.Memory.Add(c.Limits.Memory)
				}
			}
			t.Pods += pods
		}
		t.Services += len(f.Services)
		for _, c := range f.Claims {
			t.Claims++
			t.Storage.Add(c.Size)
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
