package stacks

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/addons"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// LogAgent is the agent that reads the nodes' log files.
type LogAgent struct {
	// On asks for it, and Args say how.
	On   bool
	Args addons.LogAgentArgs
	// Namespaces are those of the stacks whose containers it reads.
	Namespaces []string
}

// logAgentName is the instance's name.
const logAgentName = "log-agent"

// defaultLogAgent is off.
func defaultLogAgent() LogAgent {
	l := LogAgent{Args: addons.LogAgentDefaults()}
	// The edge's forwarder, and the processes of the application, send theirs themselves, but
	// for what they write to stderr.
	l.Args.Exclude = []string{edgeName + "-*/nginx" + addons.OfStdout, backendName + "-*/*" + addons.OfStdout}
	return l
}

func (s *Stack) logAgentSettings(g *settings.Group) {
	l, only := &s.AddOns.Logs, settings.Only(room.Addons)
	wanted := settings.While(func() bool { return l.On }, "logAgent is true")
	g.Bool(&l.On, "logAgent", "Run the OpenTelemetry Collector on every node, which reads the log files of the containers of logAgentNamespaces and sends them to the collectors of those stacks.", only)
	g.Image(&l.Args.Image, "logAgentImage", "OpenTelemetry Collector, contrib distribution, of the agent.", only, wanted)
	g.Resources(&l.Args.Resources, "logAgentResources", "the agent on a node", leastCollector, only, wanted)
	g.List(&l.Namespaces, "logAgentNamespaces", "Namespaces of the stacks whose containers are read, e.g. alphapulse-prod; each sets logsBackend, and logsAgentNamespace to log-agent. Nothing is read of others.",
		settings.Each(namespaceName), only, wanted)
	g.List(&l.Args.Exclude, "logAgentExclude", "Containers that are not read, as PODS/CONTAINERS with * for any characters: those that send their lines themselves; with :stdout behind it what they write to stderr is read all the same. Leave out backend-*/*:stdout for a build without an OpenTelemetry SDK; for one that writes to stderr what it sends, write backend-*/*.",
		settings.Each(addons.ExcludedContainers), only, wanted)
	g.Check(func(p *settings.Problems) {
		if l.On && len(l.Namespaces) == 0 {
			p.Add("logAgentNamespaces", "it is not set, and logAgent is true: name the namespaces of the stacks, e.g. alphapulse-prod")
		}
		l.Args.Gateways, l.Args.GatewayPort = map[string]string{}, agentPort
		for _, namespace := range l.Namespaces {
			l.Args.Gateways[namespace] = agentGateway(namespace)
		}
	})
}

// logAgentElsewhere refuses a namespace that somebody else has made.
func (s *Stack) logAgentElsewhere(ctx context.Context, cluster *live.Cluster) error {
	if !s.AddOns.Logs.On {
		return nil
	}
	return s.elsewhere(ctx, cluster, installs{setting: "logAgent", namespace: s.AddOns.Logs.Args.Namespace})
}

// deployLogAgent creates the agent, if it is asked for, and tells of it in out.
func (s *Stack) deployLogAgent(ctx *pulumi.Context, out pulumi.Map, opts ...pulumi.ResourceOption) error {
	if !s.AddOns.Logs.On {
		return nil
	}
	args := s.AddOns.Logs.Args
	args.Owner = s.Cluster.owner
	l, err := addons.NewLogAgent(ctx, logAgentName, &args, opts...)
	if err != nil {
		return err
	}
	out["logAgent"] = pulumi.StringMap{"namespace": l.Namespace}
	return nil
}
