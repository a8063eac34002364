package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// onceTimeout bounds what runs once, the restore of a large database included.
const onceTimeout = "12h"

// RunOnce runs a process to its end before anything else that runs its image is made or
// changed: whatever of the workload ImageOf comes later waits for it. One that fails ends
// the update with what it wrote last. attempt names the try, and its container: it is made
// beside that of the try before, which goes with the next update. Were it deleted first,
// then so would be at once whatever waits for it, the server that still runs included.
func (h *Host) RunOnce(ctx *pulumi.Context, c Container, attempt string, opts ...pulumi.ResourceOption) error {
	image, err := h.image(ctx, c.ImageOf+"-image", c.Image, opts...)
	if err != nil {
		return err
	}
	c.attempt = "-" + attempt
	mounts, _, carrier, err := h.mounts(ctx, c, image, opts...)
	if err != nil {
		return err
	}
	var after []pulumi.Resource
	if carrier != nil {
		after = append(after, carrier)
	}
	name := c.Identity.Name
	args := h.confined(c, image, mounts)
	args.Name, args.Hostname = pulumi.String(h.named(name+c.attempt)), pulumi.String(name)
	args.Entrypoints = pulumi.ToStringArray(c.Command)
	args.Attach, args.Logs, args.MustRun = pulumi.Bool(true), pulumi.Bool(true), pulumi.Bool(false)
	args.Restart = pulumi.String("no")
	h.connect(args, c, nil)
	ended, err := docker.NewContainer(ctx, name, args, append(slices.Clone(opts), pulumi.DependsOn(after), anew(), pulumi.DeleteBeforeReplace(false),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: onceTimeout}))...)
	if err != nil {
		return fmt.Errorf("container %s: %w", name, err)
	}
	h.images[c.ImageOf+"-image"] = pulumi.All(image, ended.ExitCode, ended.ContainerLogs).ApplyT(func(v []any) (string, error) {
		if code := v[1].(int); code != 0 {
			return "", fmt.Errorf("%s ended with status %d, and what runs was left as it is: %s", name, code, lastLines(v[2].(string)))
		}
		return v[0].(string), nil
	}).(pulumi.StringOutput)
	return nil
}

// lastLines are what a process that failed had to say at its end.
func lastLines(log string) string {
	const most = 8
	lines := strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// fromImage is a volume with a folder of an image. The engine fills a new volume from the
// image when a container that mounts it is made, which need not run. It is called after
// the image's ID: another image fills another one. It belongs to the instance, whichever
// of its containers asks first: one that comes or goes must not make it anew.
func (h *Host) fromImage(ctx *pulumi.Context, i room.Identity, v Volume, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	name := i.Instance + "-" + v.hostName()
	if made, ok := h.shared[name]; ok {
		return made, nil
	}
	image, err := h.image(ctx, name+"-image", v.FromImage.Image, opts...)
	if err != nil {
		return nil, err
	}
	volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
		Name: image.ApplyT(func(id string) string {
			return h.named(name) + "-" + content.Digest("", map[string]string{"image": id})
		}).(pulumi.StringOutput),
		Labels: docker.VolumeLabelArray{&docker.VolumeLabelArgs{Label: pulumi.String(stackLabel), Value: pulumi.String(h.args.Prefix)}},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", v.Name, err)
	}
	filler, err := docker.NewContainer(ctx, name+"-files", &docker.ContainerArgs{
		Name:         pulumi.String(h.named(name + "-files")),
		Image:        image,
		Start:        pulumi.Bool(false),
		MustRun:      pulumi.Bool(false),
		Restart:      pulumi.String("no"),
		NetworkMode:  pulumi.String("none"),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(room.Identity{Name: name, Instance: i.Instance, Component: i.Instance}),
		Mounts: docker.ContainerMountArray{&docker.ContainerMountArgs{
			Type: pulumi.String("volume"), Source: volume.Name, Target: pulumi.String(v.FromImage.Path),
		}},
	}, append(slices.Clone(opts), anew(), pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return nil, fmt.Errorf("carrier: %w", err)
	}
	// Who mounts it comes after it is filled.
	filled := pulumi.All(volume.Name, filler.ID()).ApplyT(func(v []any) string { return v[0].(string) }).(pulumi.StringOutput)
	h.shared[name] = filled
	return filled, nil
}
