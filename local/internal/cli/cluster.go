package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
)

// errNotReady makes `status` end with a status of its own when there is no
// usable cluster; what is wrong was printed.
var errNotReady = errors.New("the local cluster is not ready")

func clusterCommands() []*cobra.Command {
	return []*cobra.Command{upCommand(), startCommand(), stopCommand(), downCommand(), statusCommand(), kubeconfigCommand(), initCommand(), forwardCommand(), serveCommand()}
}

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Make sure that the cluster runs and answers",
		Long: `Make sure that the cluster runs and that its services answer. Run it again at any
time: what is there already is not done again, and what a crash or Ctrl-C left
half done is finished or removed first.

What it changes on the machine:
  - installs the Debian packages iptables, ipset, nftables and mount where their
    commands are missing; they stay
  - builds programs and unpacks containerd, runc and the CNI plugins into the
    cache folder (~/.cache/alphapulse-infra); they stay
  - keeps the cluster's state in .local/cluster of the clone
  - makes the network namespace ` + node.Name + `, the link ` + node.HostLink + ` (` + node.HostIP + `), routes
    to ` + node.PodCIDR + ` and ` + node.ServiceCIDR + ` over it, a routing rule that keeps the
    machine from forwarding what comes from it, the cgroup ` + node.Name + `, and the
    folder /run/` + node.Name + `
  - listens on ports 30443 and 30080 of 127.0.0.1
No setting of the kernel, no other link and no running container engine is
touched. The node's processes live in namespaces of their own; 'local stop' and
'local down' end all of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			if err := node.Up(cmd.Context(), r, node.Options{}); err != nil {
				return err
			}
			return printReady(cmd.OutOrStdout())
		},
	}
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

func stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "End the cluster and keep what it stores",
		Long: `End the cluster in order: pods first, then everything else.

What it changes on the machine: removes every process, mount, namespace, link,
route, routing rule and cgroup of the cluster. Its state in .local/cluster stays,
so that 'local start' or 'local up' brings it back.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return node.Stop(cmd.Context(), r)
		},
	}
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the cluster and erase what it stores",
		Long: `End the cluster at once and erase what it stores, volumes included.

What it changes on the machine: removes every process, mount, namespace, link,
route, routing rule and cgroup of the cluster, also those that a crash left
behind, and the folder .local/cluster of the clone. Installed Debian packages and
the cache folder stay.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return node.Down(cmd.Context(), r)
		},
	}
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what there is of the cluster",
		Long: `Tell what there is of the cluster. It changes nothing on the machine. The exit
status is 0 only if the cluster is ready.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := node.Status(cmd.Context())
			if err != nil {
				return err
			}
			printStatus(cmd.OutOrStdout(), st)
			if !st.Ready {
				return errNotReady
			}
			return nil
		},
	}
}

func printStatus(w io.Writer, st node.State) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	switch {
	case st.Foreign != nil:
		p("not running: %v", st.Foreign)
		return
	case !st.Running:
		if st.Stored {
			p("stopped; 'local start' brings it back, 'local down' erases it")
		} else {
			p("there is none; 'local up' makes one")
		}
		if len(st.Leftovers) > 0 {
			p("left behind by a crash: %s; 'local up' and 'local down' remove it", strings.Join(st.Leftovers, ", "))
		}
		return
	case st.Ready:
		p("ready, running for %s, %d pods", st.Uptime, st.Pods)
	default:
		p("running for %s, but not ready:", st.Uptime)
		for _, problem := range st.Problems {
			p("  - %s", problem)
		}
	}
	p("API %s, node %s, state in %s", node.APIServer, node.NodeIP, st.Owner)
	printRestarts(w, st)
}

func printRestarts(w io.Writer, st node.State) {
	for _, c := range st.Components {
		if c.Restarts > 0 {
			_, _ = fmt.Fprintf(w, "%s was restarted %d times: %s\n", c.Name, c.Restarts, c.LastExit)
		}
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
	var kind, state string
	cmd := &cobra.Command{
		Use: node.InitCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return node.RunInit(kind, state) },
	}
	cmd.Flags().StringVar(&kind, "kind", "", "what the node is")
	cmd.Flags().StringVar(&state, "state", "", "folder of the node's state")
	return cmd
}

func forwardCommand() *cobra.Command {
	return &cobra.Command{
		Use: node.ForwardCommand, Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, ports []string) error { return node.RunForward(ports) },
	}
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: node.ServeCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return node.RunServe() },
	}
}
