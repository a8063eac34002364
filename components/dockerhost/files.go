package dockerhost

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

// folder is a folder of files that a container reads.
type folder struct {
	// name of the folder, unique in its workload.
	name string
	// path in the container.
	path string
	// files by name; none is empty.
	files pulumi.StringMap
	// secret folders are Pulumi secrets, and their contents cannot be told from
	// their names.
	secret bool
}

// plain is a folder of files that are no secret.
func plain(name, path string, files map[string]string) folder {
	return folder{name: name, path: path, files: pulumi.ToStringMap(files)}
}

// hidden is a folder of secrets.
func hidden(name, path string, files pulumi.StringMap) folder {
	return folder{name: name, path: path, files: files, secret: true}
}

// mount is a volume in a container.
type mount struct {
	volume   pulumi.StringInput
	path     string
	readOnly bool
}

// files are folders on their way into a container: each is a volume that is named by
// its content, so that a change replaces exactly the container that reads it.
type files struct {
	mounts  []mount
	carrier *docker.Container
}

// carried is where the carrier has the folders.
const carried = "/alphapulse.files"

// newFiles fills the folders of a workload. Docker copies files into a container
// before it starts, but not into one with a read-only root. So they go through the
// volumes of a carrier: a container of the same image that never starts. `docker
// inspect` shows nothing of their contents, and the host keeps them where root alone
// can read.
func newFiles(ctx *pulumi.Context, h *Host, l labels.Set, image pulumi.StringInput, folders []folder, opts ...pulumi.ResourceOption) (*files, error) {
	f := &files{}
	if len(folders) == 0 {
		return f, nil
	}
	var mounts docker.ContainerMountArray
	var uploads docker.ContainerUploadArray
	for _, d := range folders {
		name := l.Name + "-" + d.name
		key := pulumi.String("").ToStringOutput()
		if d.secret {
			var err error
			if key, err = content.NamingKey(ctx, name, opts...); err != nil {
				return nil, fmt.Errorf("naming key of %s: %w", d.name, err)
			}
		}
		volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
			Name: content.Named(h.named(name), key, d.files.ToStringMapOutput()),
			Labels: docker.VolumeLabelArray{&docker.VolumeLabelArgs{
				Label: pulumi.String(stackLabel), Value: pulumi.String(h.args.Prefix),
			}},
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", d.name, err)
		}
		f.mounts = append(f.mounts, mount{volume: volume.Name, path: d.path, readOnly: true})
		at := carried + "/" + d.name
		mounts = append(mounts, &docker.ContainerMountArgs{
			Type: pulumi.String("volume"), Source: volume.Name, Target: pulumi.String(at),
		})
		for _, file := range slices.Sorted(maps.Keys(d.files)) {
			text := d.files[file].ToStringOutput()
			if d.secret {
				text = pulumi.ToSecret(text).(pulumi.StringOutput)
			}
			uploads = append(uploads, &docker.ContainerUploadArgs{
				File: pulumi.String(at + "/" + file), Content: text,
			})
		}
	}
	carrier, err := docker.NewContainer(ctx, l.Name+"-files", &docker.ContainerArgs{
		Name:         pulumi.String(h.named(l.Name + "-files")),
		Image:        image,
		Start:        pulumi.Bool(false),
		MustRun:      pulumi.Bool(false),
		Restart:      pulumi.String("no"),
		NetworkMode:  pulumi.String("none"),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(l),
		Mounts:       mounts,
		Uploads:      uploads,
	}, append(opts, pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return nil, fmt.Errorf("carrier: %w", err)
	}
	f.carrier = carrier
	return f, nil
}
