package workload

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Process is one process of a workload: a container of its pod, or a container of its own
// on a Docker host.
type Process struct {
	// Name of the container in a pod.
	Name string
	// Identity of the container on a Docker host, where each process is a workload.
	Identity room.Identity
	// Image reference, with a tag or digest.
	Image pulumi.StringInput
	// User is the numeric uid and gid. All processes of a pod have the one of the first,
	// but for those with OwnUser.
	User    int
	OwnUser bool
	// Command replaces the image's entrypoint; empty keeps it.
	Command []string
	// Args of the entrypoint, never one with a credential; nil leaves the image's own.
	Args pulumi.StringArrayInput
	// Env are plain variables; never one with a credential.
	Env pulumi.StringMap
	// Fields are variables with values of the pod itself, by the paths of its fields. Env
	// may refer to them as $(NAME).
	Fields map[string]string
	// Settings and Credentials are variables that come from a ConfigMap and a Secret of a
	// namespace, by the objects' names; nil for none.
	Settings, Credentials pulumi.StringInput
	Resources             room.Resources
	Ports                 []Port
	// Mounts of the workload's volumes, in order.
	Mounts []Mount

	// Sidecar makes one of a pod's Init go on beside its Processes: it starts before them
	// and ends after them.
	Sidecar bool

	// StartupSeconds is the longest that the process may take until it can be used.
	StartupSeconds int
	// AnswersWithin is how long it may take until Alive is answered for the first time,
	// in seconds; 0 for StartupSeconds.
	AnswersWithin int
	// Alive asks whether the process works, Ready whether it can be used; nil asks
	// nothing.
	Alive, Ready *Probe
	// Health is how Docker asks whether the container can be used.
	Health Health

	// PreStopSeconds is how long a stopping pod keeps serving while its removal from the
	// endpoints reaches every proxy.
	PreStopSeconds int
	// PreStop is a command that stops the process, before the stop signal.
	PreStop []string
	// StopSignal of a Docker host's container; "" for the image's own.
	StopSignal string
	// GraceSeconds is the time that a stop may take from the signal on.
	GraceSeconds int
}

// Port of a container.
type Port struct {
	Name   string
	Number int
}

// Mount is a volume in a process.
type Mount struct {
	// Volume is the name of one of the workload's volumes.
	Volume   string
	Path     string
	ReadOnly bool
}

// Volume is what the processes of a workload mount: exactly one of Data, Claim, Scratch,
// Empty, Files, Given, HostFolder and FromImage.
type Volume struct {
	Name string
	// HostName is the name on a Docker host, where it differs.
	HostName string
	// Data holds what users stored.
	Data *Data
	// Scratch is deleted with its pod; on a Docker host with the stack.
	Scratch *Scratch
	// Claim is one that is there already, by its name; on a Docker host a volume.
	Claim pulumi.StringInput
	// Empty is writable and begins empty.
	Empty *Empty
	// Late files come after the pod, by Late: until then the volume is empty.
	Late bool
	// Files are read. Keys are the ones that the volume shows, in order; nil for all.
	Files *Files
	Keys  []string
	// Given is the name of a Secret of a namespace that somebody else fills: its files
	// change under running pods, which no rollout follows.
	Given pulumi.StringInput
	// HostFolder is a folder of a Docker host itself; on a Docker host only. HostWritten
	// lets mounts write to it that are not read-only.
	HostFolder  string
	HostWritten bool
	// FromImage is filled from another image's folder, and only read; on a Docker host only.
	FromImage *ImageFolder
}

// ImageFolder is a folder in an image.
type ImageFolder struct {
	// Image has it at Path.
	Image pulumi.StringInput
	Path  string
}

// Empty is a writable folder with a bound, so that a runaway writer cannot fill the node.
type Empty struct {
	// Size is a quantity, e.g. "64Mi".
	Size string
	// HostSize on a Docker host, where the folder is in memory; "" for Size.
	HostSize string
	// Memory puts a pod's folder into memory, too, as part of the container's limit.
	Memory bool
	// Shared says that several processes mount it: on a Docker host a volume of its own.
	Shared bool
}

// Files are what a workload reads: in a namespace one immutable object that is named by
// its content, on a Docker host volumes that are.
type Files struct {
	// Name of the object below the workload's.
	Name string
	// Secret files are Pulumi secrets, and their contents cannot be told from their names.
	Secret bool
	// Type of the Secret; "" for Opaque.
	Type string
	// Data by file name; none is empty.
	Data pulumi.StringMap
	// Live files change in place, under the name of their object: who reads them looks
	// again by itself, and no pod starts anew. In a namespace only.
	Live bool
}

// shown are the files of a volume.
func (v Volume) shown() pulumi.StringMap {
	if v.Keys == nil {
		return v.Files.Data
	}
	files := pulumi.StringMap{}
	for _, k := range v.Keys {
		files[k] = v.Files.Data[k]
	}
	return files
}

// Plain makes files that are no secret.
func Plain(name string, files map[string]string) *Files {
	return &Files{Name: name, Data: pulumi.ToStringMap(files)}
}

// Hidden makes secret files.
func Hidden(name string, files pulumi.StringMap) *Files {
	return &Files{Name: name, Secret: true, Data: files}
}

// Folder is a volume of all the files of an object, under the object's name.
func Folder(f *Files) Volume { return Volume{Name: f.Name, Files: f} }

// Writable makes one bounded, empty folder for each path, sorted by name.
func Writable(size, hostSize string, paths map[string]string) ([]Volume, []Mount) {
	var volumes []Volume
	var mounts []Mount
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		volumes = append(volumes, Volume{Name: name, Empty: &Empty{Size: size, HostSize: hostSize}})
		mounts = append(mounts, Mount{Volume: name, Path: paths[name]})
	}
	return volumes, mounts
}

// Health is a check of a Docker host's container. Its zero value leaves the image's own,
// which there must be.
type Health struct {
	// Command succeeds when the container can be used.
	Command []string
	// None says that the image has nothing in it that could ask; Prometheus notices.
	None bool
}

// Probe looks every PeriodSeconds and gives up after Failures missed answers.
type Probe struct {
	// Path and Port (its name) make an HTTP probe; Port alone asks for a connection.
	Path string
	Port string
	// TLS has an HTTP probe of a pod speak it. The kubelet verifies nobody, and shows no
	// certificate.
	TLS bool
	// Command makes an exec probe; it must not contain a credential.
	Command        []string
	PeriodSeconds  int
	TimeoutSeconds int
	Failures       int
}
