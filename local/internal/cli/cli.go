// Package cli is the command line of the local cluster.
package cli

import "github.com/spf13/cobra"

// New returns the root command.
func New() *cobra.Command {
	return &cobra.Command{
		Use:           "local",
		Short:         "A real one-node Kubernetes on this machine, and the Pulumi that deploys to it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
}
