package stacks

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// smallestVolume is the least storage that any of the stateful workloads starts with.
var smallestVolume = resource.MustParse("256Mi")

func (s *Stack) cacheSettings(set *settings.Set) {
	a := s.Cache
	g := set.Group("Cache", "Redis and its exporter.")
	g.Image(&a.Image, "cacheImage", "Redis, Debian edition, or Valkey, which reads no volume that Redis 7.4 or later has written.",
		settings.Of(settings.Release{Product: "Redis", Repositories: []string{"redis", "valkey"}, Least: cache.LeastVersion}))
	g.Image(&a.ExporterImage, "cacheExporterImage", "Prometheus exporter of the cache.")
	g.Resources(&a.Resources, "cacheResources", "the cache; its maxmemory follows from the limit",
		settings.AtLeast(cache.LeastMemory, "as limits.memory Redis does not start with it"))
	g.Text(&a.Policy, "cachePolicy", "Which entries Redis drops when its memory is full (maxmemory-policy); noeviction drops none and refuses writes, as a queue needs.", settings.OneOf(cache.Policies...))
	g.Object("cacheAlertLimits", "From when on alerts on the cache fire: hitRatio 0.5, the share of lookups that find something.", limits(&a.Limits))
	s.volume(g, cacheName, &a.Storage, "cacheStorage", "Size of the cache's volume. It can grow, never shrink.",
		settings.AtLeast(smallestVolume, ""), settings.Only(room.Kubernetes))
	g.List(&a.AliasServices, "cacheAliases", "Further Service names of the cache, for builds that hard-code a host name.", settings.Each(settings.ServiceName))
	g.Check(func(p *settings.Problems) {
		memory := a.Resources.Limits.Memory
		least := resource.NewQuantity(cache.LeastStorage(cache.MaxMemory(memory.Value())), resource.BinarySI)
		if s.Target == room.DockerHost {
			a.Storage = *least // no setting, and no bound, there
		} else if a.Storage.Cmp(*least) < 0 {
			p.Add("cacheStorage", "%s is too small, the append-only file of cacheResources.limits.memory %s may outgrow it: set at least %s",
				a.Storage.String(), memory.String(), least.String())
		}
	})
}

func (s *Stack) arrangeCache() {
	s.Cache.StorageClass, s.Cache.Protect = s.Cluster.StorageClass, s.Platform.Protect
}

// cacheCredentials gives the cache the passwords of its users.
func (s *Stack) cacheCredentials(c *platform.Credentials) {
	s.Cache.ApplicationPassword, s.Cache.MonitoringPassword = c.CacheApplication, c.CacheMonitoring
	s.Cache.FormerPassword = c.FormerCache
}
