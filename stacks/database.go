package stacks

import (
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) databaseSettings(set *settings.Set) {
	a := s.Database
	g := set.Group("Database", "TimescaleDB and its exporter.")
	g.Image(&a.Image, "databaseImage", "TimescaleDB, Alpine edition.",
		settings.Of(settings.Release{Product: "PostgreSQL", Repositories: []string{"postgres", "postgresql"}, Mark: "pg", Only: database.Major}))
	g.Image(&a.ExporterImage, "databaseExporterImage", "Prometheus exporter of the database.")
	g.Resources(&a.Resources, "databaseResources", "the database; its memory settings follow from the limits",
		settings.AtLeast(database.LeastMemory, "as limits.memory PostgreSQL with TimescaleDB does not start with it"))
	s.volume(g, databaseName, &a.Storage, "databaseStorage", "Size of the database's volume. It can grow, never shrink. A Docker volume has no bound: the write-ahead log's follows from it.",
		settings.AtLeast(database.LeastStorage, "the write-ahead log does not fit"))
	g.Int(&a.MaxConnections, "databaseMaxConnections", "Connections that the database accepts, as many as its memory carries.", settings.Between(database.LeastConnections, 1000))
	g.List(&a.AliasServices, "databaseAliases", "Further Service names of the database, for builds that hard-code a host name.", settings.Each(settings.ServiceName))
	g.Check(func(p *settings.Problems) {
		memory := a.Resources.Limits.Memory
		if most := database.MostConnections(memory.Value()); a.MaxConnections > most {
			p.Add("databaseMaxConnections", "%d is too many for databaseResources.limits.memory %s: set at most %d or raise the memory",
				a.MaxConnections, memory.String(), most)
		}
	})
}

func (s *Stack) arrangeDatabase() {
	s.Database.StorageClass, s.Database.Protect = s.Cluster.StorageClass, s.Platform.Protect
}

// databaseCredentials gives the database the passwords of its roles.
func (s *Stack) databaseCredentials(c *platform.Credentials) {
	s.Database.SuperuserPassword = c.DatabaseAdmin
	s.Database.ApplicationPassword = c.DatabaseApplication
	s.Database.MonitoringPassword = c.DatabaseMonitoring
}
