package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

var engineSubject = subject{
	name: "Docker engine", command: "local engine", back: "local engine up", runs: "containers",
	stopHelp: `End the engine in order: containers first, each in the time that it was given.

What it changes on the machine: removes every process, mount, namespace, link,
routing rule and cgroup of the engine. Its state in .local/engine stays, so that
'local engine up' brings it back, with the containers that have a restart policy.`,
	downHelp: `End the engine at once and erase what it stores: containers, volumes, images, and
what was pushed to its registry.

What it changes on the machine: removes every process, mount, namespace, link,
routing rule and cgroup of the engine, also those that a crash left behind, and the
folder .local/engine of the clone. Installed Debian packages and the cache folder
stay.`,
	statusHelp: `Tell what there is of the engine. It changes nothing on the machine. The exit
status is 0 only if the engine answers.`,
	stop: node.EngineStop, down: node.EngineDown, status: node.EngineStatus,
	where: func(node.State) string {
		return fmt.Sprintf("DOCKER_HOST=%s, registry %s, node %s", node.DockerHost, node.Registry, topology.Local().First().IP())
	},
}

func engineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "engine",
		Short: "A real Docker engine on this machine, for stacks on one Docker host",
		Long: `A real Docker engine, Debian's, in namespaces of its own as the cluster is. The
stack single, and any other whose file says target: docker, is deployed to it by
  local pulumi -- up --stack single
while it runs and DOCKER_HOST does not name another engine. A machine runs the
cluster or the engine, not both at once; each keeps what it stores meanwhile.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(append(engineSubject.commands(), engineUpCommand())...)
	return c
}

func engineUpCommand() *cobra.Command {
	first := topology.Local().First()
	var opts node.EngineOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make sure that the engine runs and has the images of the stack",
		Long: fmt.Sprintf(`Make sure that the engine runs and that it has the images of the stack under their
public names. Run it again at any time, also to bring back what 'local engine stop'
ended.

What it changes on the machine:
  - installs the Debian package iptables where the command is missing, and what
    'local images' says for images that are not there yet; they stay
  - unpacks Debian's docker.io, containerd and runc into the cache folder
    (~/.cache/alphapulse-infra) without installing them, and makes images there;
    they stay
  - keeps the engine's images, containers and volumes in .local/engine of the clone
  - makes the network namespace %[1]s, the link %[2]s (%[3]s), a routing
    rule that keeps the machine from forwarding what comes from it, the cgroup
    %[1]s, and the folder /run/%[1]s with the engine's socket docker.sock
  - listens on ports 30443, 30080 and %[4]d of 127.0.0.1: what a container publishes
    on the first two, and a registry without TLS or password on the third
  - dockerd asks the kernel for the modules of bridges and address translation,
    which stay loaded where they are modules
No setting of the kernel, no file in /etc, no other link and no other engine is
touched, and no packet of a container leaves the machine.

--builds makes what the Dockerfiles in docker/ begin with, and fetches the Go
modules and npm packages that they ask for. The engine's node serves those to
builds, together with the rest of this machine's download cache of Go modules.`,
			first.Name(), first.Link(), first.MachineIP(), plan.RegistryPort),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			if err := node.EngineUp(cmd.Context(), r, opts); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the Docker engine is ready: export DOCKER_HOST=%s\nits registry answers at %s\n", node.DockerHost, node.Registry)
			return err
		},
	}
	cmd.Flags().BoolVar(&opts.Builds, "builds", false, "make it ready for builds of the application's images, too")
	return cmd
}
