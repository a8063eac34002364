package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// carried is where the carrier has the folders.
const carried = "/alphapulse.files"

// folder is a volume of files and where a container has it.
type folder struct {
	Volume
	path string
}

// name of the folder on a Docker host.
func (v Volume) hostName() string {
	if v.HostName != "" {
		return v.HostName
	}
	return v.Name
}

// carry fills the folders of a container: each is a volume that is named by its content,
// so that a change replaces exactly the container that reads it. Docker copies files into
// a container before it starts, but not into one with a read-only root. So they go
// through the volumes of a carrier: a container of the same image that never starts.
// `docker inspect` shows nothing of their contents, and the host keeps them where root
// alone can read. One of another attempt stands beside the carrier of before.
func (h *Host) carry(ctx *pulumi.Context, i room.Identity, attempt string, image pulumi.StringInput, folders []folder, opts ...pulumi.ResourceOption) (mounts []hostMount, carrier *docker.Container, err error) {
	if len(folders) == 0 {
		return nil, nil, nil
	}
	var carrierMounts docker.ContainerMountArray
	var uploads docker.ContainerUploadArray
	for _, f := range folders {
		files := f.shown()
		name := i.Name + "-" + f.hostName()
		key := pulumi.String("").ToStringOutput()
		if f.Files.Secret {
			if key, err = content.NamingKey(ctx, name, opts...); err != nil {
				return nil, nil, fmt.Errorf("naming key of %s: %w", f.Name, err)
			}
		}
		volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
			Name: content.Named(h.named(name), key, files.ToStringMapOutput()),
			Labels: docker.VolumeLabelArray{&docker.VolumeLabelArgs{
				Label: pulumi.String(stackLabel), Value: pulumi.String(h.args.Prefix),
			}},
		}, opts...)
		if err != nil {
			return nil, nil, fmt.Errorf("volume %s: %w", f.Name, err)
		}
		mounts = append(mounts, hostMount{volume: volume.Name, path: f.path, readOnly: true})
		at := carried + "/" + f.hostName()
		carrierMounts = append(carrierMounts, &docker.ContainerMountArgs{
			Type: pulumi.String("volume"), Source: volume.Name, Target: pulumi.String(at),
		})
		for _, file := range slices.Sorted(maps.Keys(files)) {
			text := files[file].ToStringOutput()
			if f.Files.Secret {
				text = pulumi.ToSecret(text).(pulumi.StringOutput)
			}
			uploads = append(uploads, &docker.ContainerUploadArgs{
				File: pulumi.String(at + "/" + file), Content: text,
			})
		}
	}
	carrier, err = docker.NewContainer(ctx, i.Name+"-files", &docker.ContainerArgs{
		Name:         pulumi.String(h.named(i.Name + "-files" + attempt)),
		Image:        image,
		Start:        pulumi.Bool(false),
		MustRun:      pulumi.Bool(false),
		Restart:      pulumi.String("no"),
		NetworkMode:  pulumi.String("none"),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(i),
		Mounts:       carrierMounts,
		Uploads:      uploads,
	}, append(slices.Clone(opts), anew(), pulumi.DeleteBeforeReplace(attempt == ""))...)
	if err != nil {
		return nil, nil, fmt.Errorf("carrier: %w", err)
	}
	return mounts, carrier, nil
}
