package stacks

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// lookAtEngine asks the engine of a Docker host which one it is. One that does not answer
// is reported, not refused, as a cluster is.
func (s *Stack) lookAtEngine(ctx *pulumi.Context, before Previous) error {
	engine, err := live.AskEngine(ctx.Context(), s.Host.Address)
	if errors.Is(err, live.ErrUnasked) {
		return ctx.Log.Info(fmt.Sprintf("which engine it is was not asked: %v", err), nil)
	}
	if err != nil {
		return ctx.Log.Warn(fmt.Sprintf("the Docker engine does not answer, so it was not checked that it is the one with the stack's data: %v", err), nil)
	}
	warning, err := s.knowEngine(engine, before)
	if err != nil {
		return fmt.Errorf("the configuration of stack %s has 1 problem(s), nothing was changed:\n%w", s.Name, err)
	}
	if warning != "" {
		return ctx.Log.Warn(warning, nil)
	}
	return nil
}

// knowEngine remembers which engine the stack is on and refuses another one; the warning
// says that the engine hides who the clients are.
func (s *Stack) knowEngine(engine *live.Engine, before Previous) (warning string, err error) {
	s.Host.id = engine.ID
	s.Host.folder = engine.Folder
	if before.Engine != "" && engine.ID != "" && before.Engine != engine.ID && s.Host.MoveTo != engine.ID {
		return "", &refusal{fmt.Sprintf("dockerHost: it means another engine (%s) than the one that has the stack's data (%s), "+
			"which would stay behind: name that one, use another stack, or move on purpose with `pulumi config set dockerHostMoveTo %s`",
			engine.ID, before.Engine, engine.ID)}
	}
	if engine.Rootless {
		return "dockerHost: the engine is rootless: its port driver may hide the clients' addresses, so that all users share the limits of one address " +
			"(edgeApiRate and the others): see \"Who the client is\" in docs/single-host.md", nil
	}
	return "", nil
}
