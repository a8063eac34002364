package cli

import (
	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/deploy"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

func deployCommands() []*cobra.Command {
	return []*cobra.Command{deployCommand(), destroyCommand(), pulumiCommand(), kubectlCommand(), logsCommand()}
}

func deployCommand() *cobra.Command {
	var (
		nodes  topology.Request
		addons []string
	)
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Deploy the stack " + deploy.Stack + " and print where it answers: `make up`",
		Long: `Choose a cluster, make everything that a deployment needs, run 'pulumi up' of the
stack ` + deploy.Stack + `, and print where it answers and how to log in. Run it again at any time.

The cluster is the one of this machine, which is built and started as 'local up'
does, unless ` + deploy.Setting + `=current asks for the current context of your kubeconfig.
It never deploys there by surprise.

What it changes on the machine: what 'local up' and 'local images' change, and the
folder .local of the clone, which holds Pulumi's home and state. On the cluster:
what the stack consists of.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return deploy.Up(cmd.Context(), r, nodes, addons)
		},
	}
	nodeFlags(cmd, &nodes)
	cmd.Flags().StringSliceVar(&addons, "addons", nil, "what the local cluster has beside the stack, e.g. certManager,gateway; none leaves it as it is")
	return cmd
}

func destroyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "destroy",
		Short: "Take away what was deployed",
		Long: `Run 'pulumi destroy' for the stack ` + deploy.Stack + ` and for every stack on the local
cluster. 'make down' runs this first and 'local down' then.

What it changes on the machine: Pulumi's state in .local of the clone. On the
cluster: everything that the stacks consist of goes; what prod protects stays,
unless the local cluster itself ends.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return deploy.Destroy(cmd.Context(), r)
		},
	}
}

func pulumiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pulumi -- ARGS...",
		Short: "Run the pinned pulumi on the clone's state: `make pulumi`",
		Long: `Run pulumi with the given arguments, on the state that 'local deploy' uses and
against the cluster that the stack is deployed to; a stack with target: docker is
deployed to the engine of 'local engine up' while it runs, unless DOCKER_HOST names
another. Example:
  local pulumi -- preview --stack dev --diff

What it changes on the machine: builds pulumi and its providers into the cache
folder where they are missing, and Pulumi's home and state in .local of the clone.
On the cluster: what the command says.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return deploy.Pulumi(cmd.Context(), r, args)
		},
	}
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl -- ARGS...",
		Short: "Run kubectl on the cluster that the stack " + deploy.Stack + " stands on",
		Long: `Run kubectl with the given arguments on the cluster that the stack ` + deploy.Stack + ` stands
on; on the local cluster if it stands nowhere. Example:
  local kubectl -- get pods --namespace alphapulse-dev

What it changes on the machine: nothing. On the cluster: what the command says.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return deploy.Kubectl(cmd.Context(), r, args)
		},
	}
}

func logsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs COMPONENT",
		Short: "Print the logs of a component of the stack " + deploy.Stack + ": `make logs`",
		Long: `Print the last 100 log lines of each container of a component, for example backend
or backend-engine.

What it changes: nothing.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			component := ""
			if len(args) > 0 {
				component = args[0]
			}
			return deploy.Logs(cmd.Context(), r, component, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines until interrupted")
	return cmd
}
