package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The instances' names. They are part of every object's name and selector, which
// Kubernetes never lets change: constants, whatever a stack sets.
const (
	platformName   = "platform"
	hostName       = "host"
	databaseName   = "database"
	cacheName      = "cache"
	backupName     = "backup"
	backendName    = "backend"
	frontendName   = "frontend"
	edgeName       = "edge"
	monitoringName = "monitoring"
	telemetryName  = "telemetry"
)

// part is one room of a stack.
type part struct {
	name string
	// facts are what the room says about itself.
	facts func(name string, on room.Target) room.Facts
	// place is where its pods are; data says that it holds what users stored.
	place *workload.Placement
	data  bool
}

// rooms is what a stack consists of. The order is that of scraping, alerts and panels.
func (s *Stack) rooms() []part {
	parts := []part{{databaseName, s.Database.Facts, &s.Database.Placement, true}}
	if s.stays() {
		parts = append(parts, part{backupName, s.Backups.Facts, &s.Backups.Placement, true})
	}
	return append(parts, []part{
		{cacheName, s.Cache.Facts, &s.Cache.Placement, true},
		{edgeName, s.Edge.Facts, &s.Edge.Placement, false},
		{backendName, s.Backend.Facts, &s.Backend.Placement, false},
		{frontendName, s.Frontend.Facts, &s.Frontend.Placement, false},
		{telemetryName, s.Telemetry.Facts, &s.Telemetry.Placement, true},
		{monitoringName, s.Monitoring.Facts, &s.Monitoring.Placement, true},
	}...)
}
