package room

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Target is what a stack runs on.
type Target string

// The targets.
const (
	// Kubernetes is one namespace of a cluster: a workload is a set of pods.
	Kubernetes Target = "kubernetes"
	// DockerHost is one Docker engine: a workload is a set of containers, and what is a
	// second container of a pod is a workload of its own.
	DockerHost Target = "docker"
	// Addons is a cluster's own layer, which several platforms share: no room runs there.
	Addons Target = "addons"
)

// Identity names a workload. Name and Instance make up the selector, which Kubernetes
// never lets change: both are constants of the program, never a setting.
type Identity struct {
	// Name is the workload's name, e.g. "backend-engine".
	Name string
	// Instance is the component instance that owns the workload, e.g. "backend".
	Instance string
	// Component is the workload's role in the architecture, e.g. "api" or "database".
	Component string
}

// Selector returns the labels that select the workload's pods.
func (i Identity) Selector() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":     i.Name,
		"app.kubernetes.io/instance": i.Instance,
	}
}

// Labels returns the full label set that objects and pods carry.
func (i Identity) Labels() map[string]string {
	all := map[string]string{
		"app.kubernetes.io/component":  i.Component,
		"app.kubernetes.io/part-of":    "alphapulse",
		"app.kubernetes.io/managed-by": "pulumi",
	}
	maps.Copy(all, i.Selector())
	return all
}

// Scrape is where a workload serves metrics in Prometheus' format.
type Scrape struct {
	// Port of the pod or container.
	Port int
	// Path, with its slash.
	Path string
	// Job is the workload that the metrics are about, where another one serves them: an
	// exporter that is a container of its own. Zero for the workload itself.
	Job Identity
	// Params are the parameters of the request: what an exporter of many targets is
	// to look at. nil for none.
	Params map[string]string
	// Service is the headless Service on a cluster that has Port of all of the pods; "" where
	// none has.
	Service string
	// Beside is what another process of the same pods serves, and what is Beside that a
	// third; nil for nothing.
	Beside *Scrape
}

// All are the scrape and those beside it.
func (s *Scrape) All() []*Scrape {
	var all []*Scrape
	for ; s != nil; s = s.Beside {
		all = append(all, s)
	}
	return all
}

// ScrapePrefixes are what the annotations of a pod begin with, below "prometheus.io/", for
// each of the processes that serve metrics. There are no more.
var ScrapePrefixes = []string{"", "beside-", "third-"}

// Workload is a set of equal pods, or of equal containers of a Docker host.
type Workload struct {
	Identity
	// Replicas is the most pods that ever run (an autoscaler's maximum), or the number
	// of containers.
	Replicas int
	// Surge is how many pods more a rolling update starts at once; 0 for what stops a
	// pod first.
	Surge int
	// Ordered: a pod is not replaced before it has ended, as in a StatefulSet. Pods of
	// others are replaced at once, and count until their grace is over.
	Ordered bool
	// Containers are the resources of every container of a pod, sidecars included.
	Containers []Resources
	// Members are the names of the containers of a workload on a Docker host that has
	// several; nil for one that is called like the workload.
	Members []string
	// Scrape is where it serves metrics; nil where it does not, so that there is no
	// target that stays red.
	Scrape *Scrape
}

// Claim is a volume of a workload that holds what users stored.
type Claim struct {
	// Name of the claim.
	Name string
	// Size of the volume. It may grow later, never shrink.
	Size resource.Quantity
}

// Facts are what one room says about itself.
type Facts struct {
	Workloads []Workload
	Claims    []Claim
	// Services are the names that the room takes among the Services of a namespace, or
	// among the names of a host's networks.
	Services []string
	// Links are the connections within the room, and from it to what belongs to no room
	// (the API server, a receiver outside).
	Links []Link
	// Rules are what Prometheus computes and alerts on, Panels what Grafana shows.
	Rules  []rule.Group
	Panels []board.Contribution
}

// Workload returns the workload called name; its zero value where there is none.
func (f Facts) Workload(name string) (Workload, bool) {
	for _, w := range f.Workloads {
		if w.Name == name {
			return w, true
		}
	}
	return Workload{}, false
}
