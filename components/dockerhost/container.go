package dockerhost

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
)

// container is what the containers differ in.
type container struct {
	labels labels.Set
	// name below the stack's prefix; the workload's where it is empty.
	name string
	// image is an image's ID.
	image pulumi.StringInput
	// user is the numeric uid and gid.
	user int
	// entrypoint replaces the image's own when not empty; arguments follow it.
	entrypoint []string
	arguments  pulumi.StringArray
	// env are plain variables; never one with a credential.
	env       pulumi.StringMap
	resources sizing.Resources
	// sharedMemory is the size of /dev/shm in bytes; 0 for Docker's own.
	sharedMemory int64
	// files are read, data is written to dataPath; shared are further mounts.
	files    *files
	data     pulumi.StringInput
	dataPath string
	shared   []mount
	// writable are folders in memory, by their paths, with their sizes.
	writable map[string]string
	// health is how Docker asks whether the container can be used.
	health health
	// startupSeconds is how long it may take to be healthy for the first time.
	startupSeconds int
	// graceSeconds is the time between the stop signal and the end.
	graceSeconds int
	// stopSignal; "" for the image's own.
	stopSignal string
	// aliases are further names in the stack's networks beside the workload's.
	aliases []string
	ports   []port
	// after is what has to be there first.
	after []pulumi.Resource
}

// port is published on the host.
type port struct {
	host, container int
	// address of the host; "" for every one.
	address string
}

// health is a check. Its zero value leaves the image's own, which there must be.
type health struct {
	// command succeeds when the container can be used.
	command []string
	// none says that the image has nothing in it that could ask; Prometheus notices.
	none bool
}

// ask asks an HTTP server in an image that has busybox or wget.
func ask(portNumber int, path string) health {
	return health{command: []string{"wget", "-q", "-O", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d%s", portNumber, path)}}
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

// create makes the container and, where it has a check, waits until it is healthy.
func (c container) create(ctx *pulumi.Context, h *Host, opts ...pulumi.ResourceOption) (*docker.Container, error) {
	name := c.name
	if name == "" {
		name = c.labels.Name
	}
	args := &docker.ContainerArgs{
		Name:         pulumi.String(h.named(name)),
		Hostname:     pulumi.String(name),
		Image:        c.image,
		Restart:      pulumi.String("unless-stopped"),
		User:         pulumi.String(fmt.Sprintf("%[1]d:%[1]d", c.user)),
		ReadOnly:     pulumi.Bool(true),
		Capabilities: &docker.ContainerCapabilitiesArgs{Drops: pulumi.ToStringArray([]string{"ALL"})},
		SecurityOpts: pulumi.ToStringArray(securityOpts),
		Labels:       h.labels(c.labels),
		Envs:         variables(c.env),
		Mounts:       c.mounts(),
		LogDriver:    pulumi.String("json-file"),
		LogOpts:      pulumi.ToStringMap(map[string]string{"max-size": logSize, "max-file": logFiles}),

		Memory:            pulumi.Int(mebibytes(c.resources.Limits.Memory)),
		MemorySwap:        pulumi.Int(mebibytes(c.resources.Limits.Memory)), // both together: no swap
		MemoryReservation: pulumi.Int(mebibytes(c.resources.Requests.Memory)),
		Cpus:              pulumi.String(cores(c.resources.Limits.CPU)),
		CpuShares:         pulumi.Int(shares(c.resources.Requests.CPU)),

		DestroyGraceSeconds: pulumi.Int(c.graceSeconds),
		StopTimeout:         pulumi.Int(c.graceSeconds),
	}
	if len(c.entrypoint) > 0 {
		args.Entrypoints = pulumi.ToStringArray(c.entrypoint)
	}
	if len(c.arguments) > 0 {
		args.Command = c.arguments
	}
	if c.stopSignal != "" {
		args.StopSignal = pulumi.String(c.stopSignal)
	}
	if c.sharedMemory > 0 {
		args.ShmSize = pulumi.Int(mebibytes(*resource.NewQuantity(c.sharedMemory, resource.BinarySI)))
	}
	wait := time.Duration(c.startupSeconds)*time.Second + healthRetries*healthInterval
	if len(c.health.command) > 0 {
		args.Healthcheck = &docker.ContainerHealthcheckArgs{
			Tests:       pulumi.ToStringArray(append([]string{"CMD"}, c.health.command...)),
			Interval:    pulumi.String(healthInterval.String()),
			Timeout:     pulumi.String(healthTimeout.String()),
			StartPeriod: pulumi.String((time.Duration(c.startupSeconds) * time.Second).String()),
			Retries:     pulumi.Int(healthRetries),
		}
	}
	if !c.health.none {
		args.Wait = pulumi.Bool(true)
		args.WaitTimeout = pulumi.Int(int(wait.Seconds()))
	}
	var networks docker.ContainerNetworksAdvancedArray
	for _, z := range h.zones[c.labels.Name] {
		networks = append(networks, &docker.ContainerNetworksAdvancedArgs{
			Name:    h.networks[z],
			Aliases: pulumi.ToStringArray(append([]string{c.labels.Name}, c.aliases...)),
		})
	}
	if len(networks) > 0 {
		args.NetworksAdvanced = networks
	} else {
		args.NetworkMode = pulumi.String("none")
	}
	var ports docker.ContainerPortArray
	for _, p := range c.ports {
		address := p.address
		if address == "" {
			address = "0.0.0.0"
		}
		ports = append(ports, &docker.ContainerPortArgs{
			Internal: pulumi.Int(p.container), External: pulumi.Int(p.host), Ip: pulumi.String(address), Protocol: pulumi.String("tcp"),
		})
	}
	if len(ports) > 0 {
		args.Ports = ports
	}
	after := c.after
	if c.files != nil && c.files.carrier != nil {
		after = append(slices.Clone(after), c.files.carrier)
	}
	created, err := docker.NewContainer(ctx, name, args, append(opts,
		pulumi.DependsOn(after),
		// Two of one name cannot be.
		pulumi.DeleteBeforeReplace(true),
		// What the provider would note as changed and not change.
		pulumi.ReplaceOnChanges([]string{"healthcheck"}),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: timeout(wait), Update: timeout(wait), Delete: timeout(time.Duration(c.graceSeconds) * time.Second)}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", name, err)
	}
	return created, nil
}

// timeout leaves the engine and the provider a minute beside what a container needs.
func timeout(d time.Duration) string { return (d + time.Minute).String() }

func (c container) mounts() docker.ContainerMountArray {
	var all docker.ContainerMountArray
	volume := func(m mount) {
		all = append(all, &docker.ContainerMountArgs{
			Type: pulumi.String("volume"), Source: m.volume.ToStringOutput(), Target: pulumi.String(m.path), ReadOnly: pulumi.Bool(m.readOnly),
		})
	}
	if c.data != nil {
		volume(mount{volume: c.data, path: c.dataPath})
	}
	for _, m := range c.shared {
		volume(m)
	}
	if c.files != nil {
		for _, m := range c.files.mounts {
			volume(m)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(c.writable)) {
		size := resource.MustParse(c.writable[p])
		all = append(all, &docker.ContainerMountArgs{
			Type: pulumi.String("tmpfs"), Target: pulumi.String(p),
			TmpfsOptions: &docker.ContainerMountTmpfsOptionsArgs{SizeBytes: pulumi.Int(int(size.Value()))},
		})
	}
	return all
}

// labels of a container, in a stable order.
func (h *Host) labels(l labels.Set) docker.ContainerLabelArray {
	all := l.All()
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

// inMemory gives each path the same size.
func inMemory(size string, paths map[string]string) map[string]string {
	out := map[string]string{}
	for _, p := range paths {
		out[path.Clean(p)] = size
	}
	return out
}
