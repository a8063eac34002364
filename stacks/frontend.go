package stacks

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/components/frontend"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

func (s *Stack) frontendSettings(set *settings.Set) {
	a, only := s.Frontend, settings.Only(room.Kubernetes)
	g := set.Group("Frontend", "The user interface.")
	g.Image(&a.Image, "frontendImage", "The application's user interface.")
	g.Int(&a.Replicas, "frontendReplicas", "Frontend pods.", settings.Between(2, 100), only)
	g.Resources(&a.Resources, "frontendResources", "one frontend pod", settings.AtLeast(frontend.LeastMemory, "as limits.memory no server starts with it"))
	g.Variables(&a.Env, "frontendEnv", "Further plain variables of the frontend. Browsers read them.", settings.Each(pageVariable))
	tlsPort(g, &a.TLSPort, "frontendTlsPort", "the frontend", "the frontend's other port", &a.Port)
	g.Path(&a.LivenessPath, "frontendHealthPath", "Path that answers while the frontend works.", only)
	g.Path(&a.MetricsPath, "frontendMetricsPath", "Path of the frontend's metrics; - for a build that has none.", hidden("UI"))
	g.Check(func(p *settings.Problems) {
		warnOfSecrets(p, "frontendEnv", a.Env, func(name string) string {
			return fmt.Sprintf("browsers read it, too; `pulumi config rm --path frontendEnv.%s`, and renew it", name)
		})
	})
}

// arrangeFrontend comes after the edge, whose addresses the pages link to.
func (s *Stack) arrangeFrontend() {
	a, urls := s.Frontend, s.Edge.URLs()
	a.ReadinessPath = a.LivenessPath
	a.Env = backend.Merge(map[string]string{"DASHBOARD_URL": urls["dashboard"], "GRAFANA_URL": urls["grafana"]}, a.Env)
	a.SpreadRequired = s.Cluster.SpreadRequired
}
