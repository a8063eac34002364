package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

var clusterSubject = subject{
	name: "cluster", command: "local", back: "local start", runs: "pods",
	stopHelp: `End the cluster in order: pods first, then everything else.

What it changes on the machine: removes every process, mount, namespace, link,
route, routing rule and cgroup of the cluster. Its state in .local/cluster stays,
so that 'local start' or 'local up' brings it back.`,
	downHelp: `End the cluster at once and erase what it stores, volumes included.

What it changes on the machine: removes every process, mount, namespace, link,
route, routing rule and cgroup of the cluster, also those that a crash left
behind, and the folder .local/cluster of the clone. Installed Debian packages and
the cache folder stay.`,
	statusHelp: `Tell what there is of the cluster. It changes nothing on the machine. The exit
status is 0 only if the cluster is ready.`,
	stop: node.Stop, down: node.Down, status: node.Status,
	where: func(st node.State) string {
		var nodes []string
		for _, n := range st.Nodes {
			line := fmt.Sprintf("node %s %s at %s in zone %s", n.Name, n.State, n.IP, n.Zone)
			if n.Memory > 0 {
				line += fmt.Sprintf(", %d MiB of memory", n.Memory>>20)
			}
			nodes = append(nodes, line)
		}
		return fmt.Sprintf("API %s\n%s", topology.Local().APIServer(), strings.Join(nodes, "\n"))
	},
}

func clusterCommands() []*cobra.Command {
	return append(clusterSubject.commands(), upCommand(), startCommand(), nodeCommand(), kubeconfigCommand(), initCommand(), forwardCommand(), serveCommand())
}

func upCommand() *cobra.Command {
	first := topology.Local().First()
	var nodes topology.Request
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make sure that the cluster runs and answers",
		Long: fmt.Sprintf(`Make sure that the cluster runs and that its services answer. Run it again at any
time: what is there already is not done again, and what a crash or Ctrl-C left
half done is finished or removed first.

What it changes on the machine:
  - installs the Debian packages iptables, ipset, nftables and mount where their
    commands are missing; they stay
  - builds programs and unpacks containerd, runc and the CNI plugins into the
    cache folder (~/.cache/alphapulse-infra); they stay
  - keeps the cluster's state in .local/cluster of the clone
  - makes the network namespace %[1]s, the link %[2]s (%[3]s), routes
    to %[4]s and %[5]s over it, a routing rule that keeps the
    machine from forwarding what comes from it, the cgroup %[1]s, and the
    folder /run/%[6]s
  - with further nodes, for each of them the like, named %[1]s-2 and so on, and the
    network namespace %[7]s that joins them to each other
  - listens on ports 30443 and 30080 of 127.0.0.1
No setting of the kernel, no other link and no running container engine is
touched. The node's processes live in namespaces of their own; 'local stop' and
'local down' end all of them.`,
			first.Name(), first.Link(), first.MachineIP(), first.Cluster.Pods, first.Cluster.Services, first.Cluster.Name, first.Cluster.Switch()),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			if err := node.Up(cmd.Context(), r, node.Options{Nodes: nodes}); err != nil {
				return err
			}
			return printReady(cmd.OutOrStdout())
		},
	}
	nodeFlags(cmd, &nodes)
	return cmd
}

// nodeFlags are what can be asked of the cluster's nodes.
func nodeFlags(cmd *cobra.Command, r *topology.Request) {
	f := cmd.Flags()
	f.IntVar(&r.Nodes, "nodes", 0, "number of nodes, which can grow; a new cluster has one")
	f.StringSliceVar(&r.Zones, "zones", nil, "zones that are dealt to the nodes in turn, as a,b,c; each has its own by default")
	f.StringArrayVar(&r.Labels, "label", nil, "label a node, as NODE:KEY=VALUE; may be repeated, and replaces all that were asked for before")
	f.BoolVar(&r.DualStack, "dual-stack", false, "give a new cluster addresses of version 6 of IP, too")
	f.StringArrayVar(&r.Taints, "taint", nil, "taint a node, as NODE:KEY=VALUE:EFFECT; may be repeated, and replaces all that were asked for before")
}

func printReady(w io.Writer) error {
	path, err := node.Kubeconfig()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "the cluster is ready: export KUBECONFIG=%s\n", path)
	return err
}

func startCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "start",
		Short: "Bring back the cluster that 'local stop' ended",
		Long: `Bring back the cluster that 'local stop' ended, with everything that it stores.
It changes on the machine what 'local up' does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			if err := node.Start(cmd.Context(), r, node.Options{}); err != nil {
				return err
			}
			return printReady(cmd.OutOrStdout())
		},
	}
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Long: `Print the path of the administrator's kubeconfig. It changes nothing on the
machine; your own kubeconfig is never touched. Use it with
  export KUBECONFIG=$(local kubeconfig)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := node.Kubeconfig()
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), path)
			return nil
		},
	}
}

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use: plan.InitCommand + " FOLDER", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return node.RunInit(args[0]) },
	}
}

func forwardCommand() *cobra.Command {
	return &cobra.Command{
		Use: plan.ForwardCommand, Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, targets []string) error { return node.RunForward(targets) },
	}
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: plan.ServeCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return node.RunServe() },
	}
}
