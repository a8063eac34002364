package stacks

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// kubeletMetricsName is the instance's name.
const kubeletMetricsName = "kubelet-metrics"

func (s *Stack) kubeletMetricsSettings(g *settings.Group) {
	g.List(&s.AddOns.Kubelets, "kubeletMetricsNamespaces", "Namespaces of the stacks whose Prometheus may ask the nodes' kubelets what containers take, e.g. alphapulse-prod; each sets kubeletMetrics. A kubelet tells of every container on its node, and Prometheus keeps what is of its namespace.",
		settings.Each(namespaceName), settings.Only(room.Addons))
}

// kubeletMetricsElsewhere refuses a role or a binding of that name that somebody else has
// made.
func (s *Stack) kubeletMetricsElsewhere(ctx context.Context, cluster *live.Cluster) error {
	if len(s.AddOns.Kubelets) == 0 {
		return nil
	}
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
		found, err := cluster.Get(ctx, kind, "", addons.KubeletMetricsRole)
		if err != nil {
			return err
		}
		if found != nil && found.Annotations[platform.OwnerAnnotation] != s.Cluster.owner {
			return &refusal{fmt.Sprintf("kubeletMetricsNamespaces: the %s %s exists and is not of this stack: delete it if nobody needs it, or leave kubeletMetricsNamespaces out", kind, found.Name)}
		}
	}
	return nil
}

// deployKubeletMetrics gives the right, if it is asked for, and tells of it in out.
func (s *Stack) deployKubeletMetrics(ctx *pulumi.Context, out pulumi.Map, opts ...pulumi.ResourceOption) error {
	if len(s.AddOns.Kubelets) == 0 {
		return nil
	}
	k, err := addons.NewKubeletMetrics(ctx, kubeletMetricsName, &addons.KubeletMetricsArgs{
		Namespaces: s.AddOns.Kubelets, Account: kubeletsAccount, Owner: s.Cluster.owner,
	}, opts...)
	if err != nil {
		return err
	}
	out["kubeletMetrics"] = pulumi.Map{"namespaces": k.Namespaces}
	return nil
}
