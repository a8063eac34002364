package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// A subject is what the machine runs one of at a time: the cluster or the engine.
type subject struct {
	name    string // in sentences
	command string // what up, stop and down follow
	back    string // the command that brings it back once it was stopped
	runs    string // what is counted in it
	// Explanations of the commands.
	stopHelp, downHelp, statusHelp string

	stop, down func(context.Context, *progress.Reporter) error
	status     func(context.Context) (node.State, error)
	// where tells how it is reached.
	where func(node.State) string
}

// commands returns stop, down and status.
func (s subject) commands() []*cobra.Command {
	return []*cobra.Command{
		reporting("stop", fmt.Sprintf("End the %s and keep what it stores", s.name), s.stopHelp, s.stop),
		reporting("down", fmt.Sprintf("End the %s and erase what it stores", s.name), s.downHelp, s.down),
		s.statusCommand(),
	}
}

// reporting is a command without arguments that reports its progress.
func reporting(use, short, long string, run func(context.Context, *progress.Reporter) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := reporter(cmd)
			if err != nil {
				return err
			}
			return run(cmd.Context(), r)
		},
	}
}

func (s subject) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: fmt.Sprintf("Tell what there is of the %s", s.name),
		Long:  s.statusHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := s.status(cmd.Context())
			if err != nil {
				return err
			}
			s.print(cmd.OutOrStdout(), st)
			if !st.Ready {
				// The exit status tells it, too; what is wrong was printed.
				return errors.New("the local " + s.name + " is not ready")
			}
			return nil
		},
	}
}

// print tells a person what there is.
func (s subject) print(w io.Writer, st node.State) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	switch {
	case st.Foreign != nil:
		p("not running: %v", st.Foreign)
		return
	case !st.Running:
		if st.Stored {
			p("stopped; '%s' brings it back, '%s down' erases it", s.back, s.command)
		} else {
			p("there is none; '%s up' makes one", s.command)
		}
		if len(st.Leftovers) > 0 {
			p("left behind by a crash: %[1]s; '%[2]s up' and '%[2]s down' remove it", strings.Join(st.Leftovers, ", "), s.command)
		}
		return
	case st.Ready:
		p("ready, running for %s, %d %s", st.Uptime, st.Pods, s.runs)
	default:
		p("running for %s, but not ready:", st.Uptime)
		for _, problem := range st.Problems {
			p("  - %s", problem)
		}
	}
	p("%s\nstate in %s", s.where(st), st.Owner)
	for _, c := range st.Components {
		if c.Restarts > 0 {
			p("%s was restarted %d times: %s", c.Name, c.Restarts, c.LastExit)
		}
	}
}
