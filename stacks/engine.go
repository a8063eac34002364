package stacks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// lookAtEngine asks the engine of a Docker host which one it is. One that does not answer
// is reported, not refused, as a cluster is.
func (s *Stack) lookAtEngine(ctx *pulumi.Context, before Previous) error {
	engine, err := live.AskEngine(ctx.Context(), s.Host.Address, workload.DataLabels(s.Host.Prefix)...)
	if errors.Is(err, live.ErrUnasked) {
		if !before.Exists() {
			return ctx.Log.Warn(unaskedGeneration, nil)
		}
		return ctx.Log.Info(fmt.Sprintf("which engine it is was not asked: %v", err), nil)
	}
	if err != nil {
		return ctx.Log.Warn(fmt.Sprintf("the Docker engine does not answer, so it was not checked that it is the one with the stack's data: %v", err), nil)
	}
	warning, err := s.knowEngine(engine, before)
	if err == nil {
		err = s.foundOnEngine(engine.Volumes, before)
	}
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

// unaskedGeneration warns of a database that a destroy has left behind.
const unaskedGeneration = "dockerHost: an engine behind ssh is not asked which volumes of the database it has: if this stack was backed up, or restored, before it was destroyed, " +
	"it would now begin with another volume than the one that it was on; in that case, for this one update, reach the engine otherwise, e.g. through `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST` as unix:///tmp/engine.sock"

// foundOnEngine lets a stack that was destroyed go on with the volume that it was on: its
// outputs are gone, and the volumes are not.
func (s *Stack) foundOnEngine(volumes []string, before Previous) error {
	if before.Exists() {
		return nil
	}
	newest, former := 0, ""
	for _, volume := range volumes {
		workload := strings.TrimPrefix(volume, s.Host.Prefix+"-")
		newest = max(newest, hostGeneration(workload))
		if workload == databaseName {
			former = volume
		}
	}
	if newest == 0 && former != "" && s.Backup.on() {
		return &refusal{"databaseBackup: " + fmt.Sprintf(notArchived, s.Backup.Mode, former)}
	}
	if newest > 0 {
		s.Database.Archived, s.Database.Generation = true, newest
	}
	return nil
}
