package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "node",
		Short: "Take a node of the cluster away, cut it off, and bring it back",
		Long: `Faults of nodes, one command each. They are for clusters of several nodes, which
'local up --nodes 3' makes. 'local status' lists the nodes, and 'local up' brings all
of them back.`,
		Args: cobra.NoArgs,
	}
	for _, f := range []struct {
		use, short, long string
		run              func(context.Context, *progress.Reporter, string) error
	}{
		{"stop", "End a node in order", `End a node in order: its pods first, then everything else. The cluster is not told;
'kubectl drain' before it moves the pods to other nodes.

What it changes on the machine: removes every process, mount, namespace, link, route,
routing rule and cgroup of the node. Its state stays, volumes included.`, node.StopNode},
		{"kill", "End a node as a power cut does", `End a node at once: all its processes are killed and its links go. To other nodes it
is silent, as a machine without power is.

What it changes on the machine: removes every process, mount, namespace, link, route,
routing rule and cgroup of the node. What it has written stays, volumes included.`, node.KillNode},
		{"start", "Bring a node back", `Bring back a node that 'local node stop' or 'local node kill' has ended, with what
it stores, and wait until it is ready.

What it changes on the machine: for this node, what 'local up' does.`, node.StartNode},
		{"cut", "Separate a node from the others", `Separate a node from the others, as a broken switch does: what it runs goes on, and
this machine still reaches it, but no packet passes between it and other nodes.

What it changes on the machine: takes down one link in the network namespace that
joins the nodes.`, node.CutNode},
		{"join", "Join a node to the others again", `Join a node that 'local node cut' has separated to the others again.

What it changes on the machine: brings up one link in the network namespace that
joins the nodes.`, node.JoinNode},
	} {
		c.AddCommand(&cobra.Command{
			Use: f.use + " NAME", Short: f.short, Long: f.long, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				r, err := reporter(cmd)
				if err != nil {
					return err
				}
				return f.run(cmd.Context(), r, args[0])
			},
		})
	}
	return c
}
