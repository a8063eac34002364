package stacks

import (
	"context"
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// kubeletsAccount is the ServiceAccount that asks the kubelets.
var kubeletsAccount = monitoring.PrometheusOf(monitoringName).Name

// kubeletMetrics is what a stack says of the kubelets.
type kubeletMetrics struct {
	on, verify bool
}

// kubeletSettings say whether the kubelets tell what containers take.
func (s *Stack) kubeletSettings(g *settings.Group) {
	k, only := &s.kubelets, settings.Only(room.Kubernetes)
	g.Bool(&k.on, "kubeletMetrics", "Show what containers take of CPU, memory and network, and alert on those that are held back at their CPU limit. The kubelets tell it, to the namespaces that kubeletMetricsNamespaces of the add-ons names; an Operator's Prometheus has it anyhow.", only)
	g.Bool(&k.verify, "kubeletVerify", "Trust kubelets by the cluster's CA alone; false where they sign their own certificates, as kubeadm's do by default.", only,
		settings.While(func() bool { return k.on && !s.operated.on() }, "kubeletMetrics is true and monitoringBackend is "+MonitoringOwn))
	g.Object("workloadAlertLimits", "From when on alerts on workloads fire: throttled 0.25 (the share of a container's time with work in which it is held back at its CPU limit; needs kubeletMetrics), volumes 0.85 (the used share of a claim), quota 0.9 (the used share of a resource of the namespace's quota), flapping 8 (how often an autoscaler may change its mind within half an hour).", limits(&s.Monitoring.Limits), only)
	g.Check(func(p *settings.Problems) {
		if v := s.Monitoring.Limits.Volumes; v != 0 && v <= monitoring.RetentionShare {
			p.Add("workloadAlertLimits", "volumes: %g is no more than what Prometheus fills of its volume by design: set more than %g", v, monitoring.RetentionShare)
		}
		if k.on {
			s.Monitoring.Prometheus.Kubelets = &config.Kubelets{Unverified: !k.verify}
		} else if s.Monitoring.Limits.Throttled != 0 {
			p.Add("workloadAlertLimits", "throttled is set, and nothing tells how containers are held back: set kubeletMetrics true, or remove it")
		}
	})
}

// kubeletsTell refuses a cluster whose administrator does not let the stack's Prometheus ask
// the kubelets.
func (s *Stack) kubeletsTell(ctx context.Context, cluster *live.Cluster) error {
	if !s.kubelets.on || s.operated.on() {
		return nil
	}
	refused, err := cluster.Refuses(ctx, s.Cluster.Namespace, kubeletsAccount, live.Right{Verb: "get", Resource: "nodes", Subresource: "metrics"})
	if err != nil {
		return err
	}
	if refused {
		return &refusal{fmt.Sprintf("kubeletMetrics: true, and the ServiceAccount %s of namespace %s may not get nodes/metrics: let the cluster's administrator name the namespace in kubeletMetricsNamespaces of the add-ons, or set kubeletMetrics false",
			kubeletsAccount, s.Cluster.Namespace)}
	}
	return nil
}
