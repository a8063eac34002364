package workload

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Look runs an image once, to see what is in it. On a Docker host a container stops
// before its successor starts: what would not work is to be known before.
type Look struct {
	// Command replaces the entrypoint; what it prints is judged.
	Command []string
	// Judge says why the image will not do.
	Judge func(printed string) error
}

// lookTimeout bounds a look, the start of its container included.
const lookTimeout = "2m"

// look gives the image back once it was found to do. Its container has nothing of the
// stack, and stays, ended, so that the next update does not look again.
func (h *Host) look(ctx *pulumi.Context, c Container, image pulumi.StringOutput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	name := c.Identity.Name + "-look"
	looked, err := docker.NewContainer(ctx, name, &docker.ContainerArgs{
		Name:         pulumi.String(h.named(name)),
		Image:        image,
		Entrypoints:  pulumi.ToStringArray(c.Look.Command),
		User:         pulumi.String(fmt.Sprintf("%[1]d:%[1]d", c.User)),
		Attach:       pulumi.Bool(true),
		Logs:         pulumi.Bool(true),
		MustRun:      pulumi.Bool(false),
		Restart:      pulumi.String("no"),
		ReadOnly:     pulumi.Bool(true),
		NetworkMode:  pulumi.String("none"),
		LogDriver:    pulumi.String("json-file"), // any other may not be readable
		Memory:       pulumi.Int(64),
		MemorySwap:   pulumi.Int(64),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(c.Identity),
	}, append(slices.Clone(opts), pulumi.DeleteBeforeReplace(true),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: lookTimeout}))...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("look: %w", err)
	}
	return pulumi.All(image, looked.ContainerLogs).ApplyT(func(v []any) (string, error) {
		return v[0].(string), c.Look.Judge(v[1].(string))
	}).(pulumi.StringOutput), nil
}
