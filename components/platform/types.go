package platform

import (
	"github.com/alphapulse/alphapulse-infra/components/internal/netedge"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
)

// The types that a composition hands from component to component, under public names.
type (
	// Resources is what one container asks for and may use at most.
	Resources = sizing.Resources
	// Amounts is an amount of each compute resource.
	Amounts = sizing.Amounts
	// Demand is what one workload needs of the quota.
	Demand = sizing.Demand
	// Workload is one set of pods.
	Workload = netedge.Workload
	// Network is a part of the world outside the namespace.
	Network = netedge.Network
	// Peer is one end of an edge.
	Peer = netedge.Peer
	// Edge allows connections from one peer to another.
	Edge = netedge.Edge
)

var (
	// Anywhere is every address.
	Anywhere = netedge.Anywhere
	// Internet is every address that is not private, link-local or shared.
	Internet = netedge.Internet
)

// ResourcesOf builds Resources from quantity literals; it panics on a malformed one.
func ResourcesOf(cpuRequest, memoryRequest, cpuLimit, memoryLimit string) Resources {
	return sizing.Of(cpuRequest, memoryRequest, cpuLimit, memoryLimit)
}

// Pods makes a peer of a workload.
func Pods(w Workload) Peer { return netedge.Pods(w) }

// Outside makes a peer of a network.
func Outside(n Network) Peer { return netedge.Outside(n) }
