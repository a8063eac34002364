package database

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// fits refuses, in the image of the members, one that has not the PostgreSQL that is
// needed, and with data a volume that it does not open: in one line, and before Patroni,
// which would try again and again. A rollout of members halts at the first.
func (a *Args) fits(data string) workload.Process {
	p := workload.Process{
		Name: "fits", Image: a.Image, User: MemberUser,
		Command:   []string{agentPath + "/agent", "fits", "-bin", binPath, "-major", Major},
		Resources: AgentResources,
		Mounts:    []workload.Mount{{Volume: "agent", Path: agentPath, ReadOnly: true}},
	}
	if data != "" {
		p.Command = append(p.Command, "-data", data)
		p.Mounts = append(p.Mounts, workload.Mount{Volume: dataVolume, Path: volumeRoot, ReadOnly: true})
	}
	return p
}

// fitsSeconds is how long a look into an image may take, its download included.
const fitsSeconds = 540

// fitsIdentity is that of the pod that looks into an image.
func fitsIdentity(name string) room.Identity {
	return room.Identity{Name: name + "-fits", Instance: name, Component: "database-fits"}
}

// looked looks into the image before any member changes: a pod of its own for each image.
// It is nil where the image's tag tells, or where the image is not known yet.
func (a *Args) looked(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	image, known := a.Image.(pulumi.String)
	if !a.LookIntoImage || !known {
		return nil, nil
	}
	place := a.Placement
	place.PriorityClass = nil // it holds nothing
	install := a.installer()
	install.Args = pulumi.ToStringArray([]string{"install", agentPath})
	install.Mounts = install.Mounts[:1]
	pod := workload.Pod{
		Identity: fitsIdentity(name), Placement: place,
		Volumes: []workload.Volume{{Name: "agent", Empty: &workload.Empty{Size: "64Mi"}}},
	}
	made, err := pod.CreateJobs(ctx, []workload.Job{{
		Name: fmt.Sprintf("%s-%s", fitsIdentity(name).Name, content.Digest("", map[string]string{"image": string(image)})),
		Init: []workload.Process{install}, Processes: []workload.Process{a.fits("")},
		DeadlineSeconds: fitsSeconds, Awaited: true, Answers: true,
	}}, opts...)
	if err != nil {
		return nil, fmt.Errorf("a look into the image: %w", err)
	}
	return made[0], nil
}

// serverVersion is what PostgreSQL's programs say of themselves.
var serverVersion = regexp.MustCompile(`\) (\d+)(\S*)`)

// look asks the image of a Docker host for its version before it replaces the server.
func (a *Args) look() *workload.Look {
	if !a.LookIntoImage {
		return nil
	}
	return &workload.Look{Command: []string{"postgres", "--version"}, Judge: func(printed string) error {
		m := serverVersion.FindStringSubmatch(printed)
		switch {
		case m == nil:
			return fmt.Errorf("database: the image has no PostgreSQL, it says %q: name one with PostgreSQL %s; the running server was left as it is", printed, Major)
		case m[1] != Major:
			return fmt.Errorf("database: the image has PostgreSQL %s: name one with PostgreSQL %s; the running server was left as it is", m[1]+m[2], Major)
		}
		return nil
	}}
}
