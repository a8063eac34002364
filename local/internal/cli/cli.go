// Package cli is the command line of the local cluster.
package cli

import (
	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// New returns the root command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "local",
		Short: "A real Kubernetes on this machine, and the Pulumi that deploys to it",
		Long: `A real Kubernetes on this machine, built from source, and the pinned
Pulumi that deploys to it; or, for stacks on one Docker host, a real Docker engine.

What is built lies in the user's cache folder and is used again by later runs
and by other clones. What belongs to the cluster lies in .local of the clone.
Each command's --help says what it changes on the machine.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.PersistentFlags().BoolP("verbose", "v", false, "print the output of the tools that are run")
	root.AddCommand(clusterCommands()...)
	root.AddCommand(engineCommand())
	root.AddCommand(imagesCommand())
	root.AddCommand(deployCommands()...)
	return root
}

// reporter returns the reporter of the command's progress.
func reporter(cmd *cobra.Command) (*progress.Reporter, error) {
	verbose, err := cmd.Flags().GetBool("verbose")
	if err != nil {
		return nil, err
	}
	logs, err := paths.State("log")
	if err != nil {
		return nil, err
	}
	return progress.New(cmd.ErrOrStderr(), verbose, logs), nil
}
