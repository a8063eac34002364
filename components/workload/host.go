package workload

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// HostArgs configure a Host.
type HostArgs struct {
	// Prefix of every name on the host, of the stack's own: a host has one name space
	// for containers, volumes and networks of every stack.
	Prefix string
	// Links say who talks to whom; a workload is on the networks of its links, and on
	// no other.
	Links []room.Link
	// KeepVolumes leaves volumes that hold data where they are when the stack is
	// destroyed: an update afterwards finds them by their names.
	KeepVolumes bool
	// Protect makes Pulumi refuse to delete volumes that hold data.
	Protect bool
	// NamedLogs writes the container's name into each line of its log file, for whoever
	// reads the engine's files. Another value replaces every container.
	NamedLogs bool
}

// Host is what the components of one stack have in common.
type Host struct {
	pulumi.ResourceState

	// Volumes are the names of the volumes that hold data, by workload.
	Volumes map[string]string

	args     HostArgs
	images   map[string]pulumi.StringOutput
	shared   map[string]pulumi.StringOutput
	zones    map[string][]room.Zone
	networks map[room.Zone]pulumi.StringOutput
}

// names is what Docker takes for a container's or volume's name.
var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func (a *HostArgs) validate() error {
	var problems []error
	if !names.MatchString(a.Prefix) {
		problems = append(problems, fmt.Errorf("docker host: Prefix %q: want letters, digits, dots, dashes and underscores, a letter or digit first", a.Prefix))
	}
	for _, l := range a.Links {
		if err := l.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("docker host: %w", err))
		}
	}
	return errors.Join(problems...)
}

// ErrNoHost is what every component says without one.
var ErrNoHost = errors.New("docker host: it is missing: pass what NewHost returned")

// NewHost creates the stack's networks.
func NewHost(ctx *pulumi.Context, name string, args *HostArgs, opts ...pulumi.ResourceOption) (*Host, error) {
	if args == nil {
		args = &HostArgs{}
	}
	if err := args.validate(); err != nil {
		return nil, err
	}
	h := &Host{args: *args, Volumes: map[string]string{},
		images: map[string]pulumi.StringOutput{}, shared: map[string]pulumi.StringOutput{},
		zones: zonesOf(args.Links), networks: map[room.Zone]pulumi.StringOutput{}}
	if err := ctx.RegisterComponentResource("alphapulse:index:DockerHost", name, h, opts...); err != nil {
		return nil, err
	}
	for _, z := range used(args.Links) {
		network, err := docker.NewNetwork(ctx, name+"-"+string(z), &docker.NetworkArgs{
			Name:     pulumi.String(h.named(string(z))),
			Driver:   pulumi.String("bridge"),
			Internal: pulumi.Bool(z.Internal()),
			Labels: docker.NetworkLabelArray{&docker.NetworkLabelArgs{
				Label: pulumi.String(stackLabel), Value: pulumi.String(args.Prefix),
			}},
		}, pulumi.Parent(h))
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", z, err)
		}
		h.networks[z] = network.Name
	}
	return h, ctx.RegisterResourceOutputs(h, pulumi.Map{})
}

// stackLabel marks everything of a stack on the host, dataLabel the volumes that hold
// what users stored.
const (
	stackLabel = "com.alphapulse.stack"
	dataLabel  = "com.alphapulse.data"
)

// DataLabels are those of a stack's volumes that hold data, as KEY=VALUE.
func DataLabels(prefix string) []string {
	return []string{dataLabel + "=true", stackLabel + "=" + prefix}
}

// Prefix of every name on the host.
func (h *Host) Prefix() string { return h.args.Prefix }

// named is a name on the host.
func (h *Host) named(name string) string { return h.args.Prefix + "-" + name }

// image finds an image on the host, or pulls it, and gives its ID: a container that
// named it by its tag would be replaced at every update. It stays on the host when
// nothing refers to it any more.
func (h *Host) image(ctx *pulumi.Context, name string, reference pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	if made, ok := h.images[name]; ok {
		return made, nil
	}
	image, err := docker.NewRemoteImage(ctx, name, &docker.RemoteImageArgs{
		Name: reference, KeepLocally: pulumi.Bool(true),
		// The provider asks for the opposite, and with an image that is deleted first Pulumi
		// deletes every container of it, before anybody has looked into the new one.
	}, append(slices.Clone(opts), pulumi.DeleteBeforeReplace(false))...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("image: %w", err)
	}
	h.images[name] = image.ImageId
	return image.ImageId, nil
}

// Left is a volume that held data, and that nobody mounts any more: its user may let it go
// in one update, in a protected stack, too.
func (h *Host) Left(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) error {
	_, err := h.data(ctx, name, false, opts...)
	return err
}

// data is a volume that holds data, made once.
func (h *Host) data(ctx *pulumi.Context, name string, protect bool, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	if made, ok := h.shared[name]; ok {
		return made, nil
	}
	h.Volumes[name] = h.named(name)
	volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
		Name: pulumi.String(h.named(name)),
		Labels: docker.VolumeLabelArray{
			&docker.VolumeLabelArgs{Label: pulumi.String(dataLabel), Value: pulumi.String("true")},
			&docker.VolumeLabelArgs{Label: pulumi.String(stackLabel), Value: pulumi.String(h.args.Prefix)},
		},
	}, append(opts, pulumi.RetainOnDelete(h.args.KeepVolumes), pulumi.Protect(protect))...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("volume: %w", err)
	}
	h.shared[name] = volume.Name
	return volume.Name, nil
}

// Made is a volume that a container has made the host make before, by its name without the
// prefix; nil for none.
func (h *Host) Made(name string) pulumi.StringInput {
	if made, ok := h.shared[name]; ok {
		return made
	}
	return nil
}

// scratch is a volume of a container that holds nothing that could not be made again.
func (h *Host) scratch(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
		Name: pulumi.String(h.named(name)),
		Labels: docker.VolumeLabelArray{
			&docker.VolumeLabelArgs{Label: pulumi.String(stackLabel), Value: pulumi.String(h.args.Prefix)},
		},
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("volume: %w", err)
	}
	return volume.Name, nil
}

// sharedFolder is a folder in memory that the containers of one instance share: what outlived
// them in it would be of no use. It is made once, as the one who may write.
func (h *Host) sharedFolder(ctx *pulumi.Context, instance string, v Volume, user int, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	name := instance + "-" + v.hostName()
	if made, ok := h.shared[name]; ok {
		return made, nil
	}
	volume, err := docker.NewVolume(ctx, name, &docker.VolumeArgs{
		Name:   pulumi.String(h.named(name)),
		Driver: pulumi.String("local"),
		DriverOpts: pulumi.ToStringMap(map[string]string{
			"type": "tmpfs", "device": "tmpfs",
			"o": fmt.Sprintf("size=%dm,mode=0755,uid=%[2]d,gid=%[2]d", mebibytes(resource.MustParse(v.Empty.Size)), user),
		}),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("%s: %w", v.Name, err)
	}
	h.shared[name] = volume.Name
	return volume.Name, nil
}
