package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Container is a process on a Docker host.
type Container struct {
	Process
	// Volumes that the process' mounts are of.
	Volumes []Volume
	// ImageOf is the workload, made before, that runs the same image; "" for none.
	ImageOf string
	// Look runs the image once before it replaces what runs; nil trusts it.
	Look *Look
	// Members are the names of equal containers, each of which is replaced when the one
	// before it is ready; nil for one that is called like the workload.
	Members []string
	// Aliases are further names in the stack's networks beside the workload's.
	Aliases   []string
	Published []Published
	// After is what has to be there first.
	After []pulumi.Resource
	// attempt is the ending of the names of what is made anew for each try, beside what
	// is left of the one before; "" for what runs all the time.
	attempt string
}

// Published is a container's port on the host.
type Published struct {
	Host, Container int
	// Address of the host; "" for every one.
	Address string
}

// hostMount is a volume in a container.
type hostMount struct {
	volume   pulumi.StringInput
	path     string
	readOnly bool
}

// Nobody is the uid of images that name none that is a number.
const Nobody = 65534

// Loopback is the host's own address.
const Loopback = "127.0.0.1"

// AskHTTP asks an HTTP server in an image that has busybox or wget.
func AskHTTP(portNumber int, path string) Health {
	return Health{Command: []string{"wget", "-q", "-O", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d%s", portNumber, path)}}
}

// Docker asks every interval, at first after one, and takes a container for unhealthy
// after so many answers that failed or did not come within the time-out. What is
// deployed waits for what it needs: a first start goes through five intervals.
const (
	healthInterval = 5 * time.Second
	healthTimeout  = 8 * time.Second
	healthRetries  = 6
)

// securityOpts of every container.
var securityOpts = []string{"no-new-privileges:true"}

// Each container's log is rotated.
const (
	logSize  = "10m"
	logFiles = "3"
)

// Run makes the containers of a process and, where it has a check, waits until they are
// healthy. Image, volumes and files come first.
func (h *Host) Run(ctx *pulumi.Context, c Container, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	imageOf := c.ImageOf
	if imageOf == "" {
		imageOf = c.Identity.Name
	}
	image, err := h.image(ctx, imageOf+"-image", c.Image, opts...)
	if err != nil {
		return nil, err
	}
	if c.Look != nil {
		if image, err = h.look(ctx, c, image, opts...); err != nil {
			return nil, err
		}
		h.images[imageOf+"-image"] = image // others of it wait for the look, too
	}
	mounts, sharedMemory, carrier, err := h.mounts(ctx, c, image, opts...)
	if err != nil {
		return nil, err
	}
	after := c.After
	if carrier != nil {
		after = append(slices.Clone(after), carrier)
	}
	if len(c.Members) == 0 {
		created, err := h.container(ctx, c, c.Identity.Name, c.Aliases, image, mounts, sharedMemory, after, opts...)
		return []pulumi.Resource{created}, err
	}
	var all []pulumi.Resource
	// One after the other, so that an update replaces one while the others answer.
	for i, member := range c.Members {
		wait := after
		if i > 0 {
			wait = append(slices.Clone(after), all[i-1])
		}
		created, err := h.container(ctx, c, member, []string{member}, image, mounts, sharedMemory, wait, opts...)
		if err != nil {
			return nil, err
		}
		all = append(all, created)
	}
	return all, nil
}

// devShm is a container's shared memory, which Docker has an option of its own for.
const devShm = "/dev/shm"

// mounts creates the volumes of a container: data first, then what it shares, then its
// files, and what is in memory last.
func (h *Host) mounts(ctx *pulumi.Context, c Container, image pulumi.StringInput, opts ...pulumi.ResourceOption) (all docker.ContainerMountArray, sharedMemory int, carrier *docker.Container, err error) {
	volumes := map[string]Volume{}
	for _, v := range c.Volumes {
		volumes[v.Name] = v
	}
	var data, shared, files []hostMount
	var bound docker.ContainerMountArray
	var folders []folder
	memory := map[string]string{}
	for _, m := range c.Mounts {
		v, ok := volumes[m.Volume]
		switch {
		case !ok:
			return nil, 0, nil, fmt.Errorf("container %s: no volume %q", c.Identity.Name, m.Volume)
		case v.Data != nil || v.Claim != nil || v.Scratch != nil || v.FromImage != nil:
			name, err := h.kept(ctx, c.Identity, v, opts...)
			if err != nil {
				return nil, 0, nil, err
			}
			data = append(data, hostMount{volume: name, path: m.Path, readOnly: m.ReadOnly})
		case v.Empty != nil && m.Path == devShm:
			sharedMemory = mebibytes(resource.MustParse(v.Empty.Size))
		case v.Empty != nil && v.Empty.Shared:
			name, err := h.sharedFolder(ctx, c.Identity.Instance, v, c.User, opts...)
			if err != nil {
				return nil, 0, nil, err
			}
			shared = append(shared, hostMount{volume: name, path: m.Path, readOnly: m.ReadOnly})
		case v.Empty != nil:
			memory[m.Path] = v.Empty.hostSize()
		case v.HostFolder != "":
			bound = append(bound, &docker.ContainerMountArgs{
				Type: pulumi.String("bind"), Source: pulumi.String(v.HostFolder), Target: pulumi.String(m.Path), ReadOnly: pulumi.Bool(m.ReadOnly || !v.HostWritten),
			})
		default:
			folders = append(folders, folder{v, m.Path})
		}
	}
	if files, carrier, err = h.carry(ctx, c.Identity, c.attempt, image, folders, opts...); err != nil {
		return nil, 0, nil, err
	}
	for _, m := range slices.Concat(data, shared, files) {
		all = append(all, &docker.ContainerMountArgs{
			Type: pulumi.String("volume"), Source: m.volume.ToStringOutput(), Target: pulumi.String(m.path), ReadOnly: pulumi.Bool(m.readOnly),
		})
	}
	all = append(all, bound...)
	for _, p := range slices.Sorted(maps.Keys(memory)) {
		size := resource.MustParse(memory[p])
		all = append(all, &docker.ContainerMountArgs{
			Type: pulumi.String("tmpfs"), Target: pulumi.String(p),
			TmpfsOptions: &docker.ContainerMountTmpfsOptionsArgs{SizeBytes: pulumi.Int(int(size.Value()))},
		})
	}
	return all, sharedMemory, carrier, nil
}

// kept is a volume that outlives the container.
func (h *Host) kept(ctx *pulumi.Context, i room.Identity, v Volume, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	switch {
	case v.Claim != nil:
		return v.Claim, nil
	case v.Scratch != nil:
		return h.scratch(ctx, i.Name+"-"+v.hostName(), opts...)
	case v.FromImage != nil:
		return h.fromImage(ctx, i, v, opts...)
	case v.HostName != "":
		return h.data(ctx, v.HostName, h.args.Protect, opts...)
	}
	return h.data(ctx, i.Name, h.args.Protect, opts...)
}

func (e *Empty) hostSize() string {
	if e.HostSize != "" {
		return e.HostSize
	}
	return e.Size
}

// confined is what every container has that runs something of the stack's: its bounds, and
// no way to get more.
func (h *Host) confined(c Container, image pulumi.StringInput, mounts docker.ContainerMountArray) *docker.ContainerArgs {
	return &docker.ContainerArgs{
		Image:        image,
		User:         pulumi.String(fmt.Sprintf("%[1]d:%[1]d", c.User)),
		ReadOnly:     pulumi.Bool(true),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(c.Identity),
		Envs:         variables(c.Env),
		Mounts:       mounts,
		LogDriver:    pulumi.String("json-file"), // any other may not be readable
		LogOpts:      pulumi.ToStringMap(map[string]string{"max-size": logSize, "max-file": logFiles}),

		Memory:            pulumi.Int(mebibytes(c.Resources.Limits.Memory)),
		MemorySwap:        pulumi.Int(mebibytes(c.Resources.Limits.Memory)), // both together: no swap
		MemoryReservation: pulumi.Int(mebibytes(c.Resources.Requests.Memory)),
		Cpus:              pulumi.String(cores(c.Resources.Limits.CPU)),
		CpuShares:         pulumi.Int(shares(c.Resources.Requests.CPU)),

		DestroyGraceSeconds: pulumi.Int(c.GraceSeconds),
		StopTimeout:         pulumi.Int(c.GraceSeconds),
	}
}

// container makes one container.
func (h *Host) container(ctx *pulumi.Context, c Container, name string, aliases []string, image pulumi.StringInput, mounts docker.ContainerMountArray, sharedMemory int, after []pulumi.Resource, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	args := h.confined(c, image, mounts)
	args.Name, args.Hostname = pulumi.String(h.named(name)), pulumi.String(name)
	args.Restart = pulumi.String("unless-stopped")
	if h.args.NamedLogs {
		args.LogOpts = pulumi.ToStringMap(map[string]string{"max-size": logSize, "max-file": logFiles, "tag": "{{.Name}}"})
	}
	if len(c.Command) > 0 {
		args.Entrypoints = pulumi.ToStringArray(c.Command)
	}
	if list, plain := c.Args.(pulumi.StringArray); c.Args != nil && (!plain || len(list) > 0) {
		args.Command = c.Args
	}
	if c.StopSignal != "" {
		args.StopSignal = pulumi.String(c.StopSignal)
	}
	if sharedMemory > 0 {
		args.ShmSize = pulumi.Int(sharedMemory)
	}
	wait := c.check(args)
	h.connect(args, c, aliases)
	created, err := docker.NewContainer(ctx, name, args, append(slices.Clone(opts),
		pulumi.DependsOn(after),
		// Two of one name cannot be.
		pulumi.DeleteBeforeReplace(true),
		anew(),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: timeout(wait), Update: timeout(wait), Delete: timeout(time.Duration(c.GraceSeconds) * time.Second)}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", name, err)
	}
	return created, nil
}

// anew replaces a container where the provider would note a change and make none: it
// replaces one for another number of mounts, and for another volume in one of them it
// reports an update and leaves the container as it is. Nothing else that containers have
// here does the same: of what is nested in them, the provider's schema lacks ForceNew for
// these two only.
func anew() pulumi.ResourceOption { return pulumi.ReplaceOnChanges([]string{"healthcheck", "mounts"}) }

// check renders the health check, and tells how long a container may need to pass it.
func (c Container) check(args *docker.ContainerArgs) time.Duration {
	startup := time.Duration(c.StartupSeconds) * time.Second
	wait := startup + healthRetries*healthInterval
	if len(c.Health.Command) > 0 {
		args.Healthcheck = &docker.ContainerHealthcheckArgs{
			Tests:       pulumi.ToStringArray(append([]string{"CMD"}, c.Health.Command...)),
			Interval:    pulumi.String(healthInterval.String()),
			Timeout:     pulumi.String(healthTimeout.String()),
			StartPeriod: pulumi.String(startup.String()),
			Retries:     pulumi.Int(healthRetries),
		}
	}
	if !c.Health.None {
		args.Wait = pulumi.Bool(true)
		args.WaitTimeout = pulumi.Int(int(wait.Seconds()))
	}
	return wait
}

// connect puts a container on the networks of its links, and publishes its ports.
func (h *Host) connect(args *docker.ContainerArgs, c Container, aliases []string) {
	var networks docker.ContainerNetworksAdvancedArray
	for _, z := range h.zones[c.Identity.Name] {
		networks = append(networks, &docker.ContainerNetworksAdvancedArgs{
			Name:    h.networks[z],
			Aliases: pulumi.ToStringArray(append([]string{c.Identity.Name}, aliases...)),
		})
	}
	if len(networks) > 0 {
		args.NetworksAdvanced = networks
	} else {
		args.NetworkMode = pulumi.String("none")
	}
	var ports docker.ContainerPortArray
	for _, p := range c.Published {
		address := p.Address
		if address == "" {
			address = "0.0.0.0"
		}
		ports = append(ports, &docker.ContainerPortArgs{
			Internal: pulumi.Int(p.Container), External: pulumi.Int(p.Host), Ip: pulumi.String(address), Protocol: pulumi.String("tcp"),
		})
	}
	if len(ports) > 0 {
		args.Ports = ports
	}
}

// timeout leaves the engine and the provider a minute beside what a container needs.
func timeout(d time.Duration) string { return (d + time.Minute).String() }

// labels of a container, in a stable order.
func (h *Host) labels(i room.Identity) docker.ContainerLabelArray {
	all := i.Labels()
	all[stackLabel] = h.args.Prefix
	var out docker.ContainerLabelArray
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, &docker.ContainerLabelArgs{Label: pulumi.String(k), Value: pulumi.String(all[k])})
	}
	return out
}

// variables renders an environment in a stable order.
func variables(env pulumi.StringMap) pulumi.StringArray {
	var out pulumi.StringArray
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, pulumi.Sprintf("%s=%s", k, env[k]))
	}
	return out
}

// mebibytes is Docker's unit here, rounded up.
func mebibytes(q resource.Quantity) int {
	const miB = 1 << 20
	return int((q.Value() + miB - 1) / miB)
}

// cores writes an amount of CPU as the provider reads it back, so that a refresh sees
// no drift: 0.5, 1.0, but 10.
func cores(q resource.Quantity) string {
	s := strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
	if !strings.ContainsAny(s, ".0") {
		s += ".0"
	}
	return s
}

// shares of a request: 1024 for a core, and at least the two that the kernel wants.
func shares(q resource.Quantity) int { return max(2, int(q.MilliValue()*1024/1000)) }
