package recorder

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// The resources of a Docker host.
const (
	dockerContainer = "docker:index/container:Container"
	dockerVolume    = "docker:index/volume:Volume"
	dockerNetwork   = "docker:index/network:Network"
	dockerImage     = "docker:index/remoteImage:RemoteImage"
	dockerPush      = "docker:index/registryImage:RegistryImage"
)

// Label is a label of a container, volume or network.
type Label struct{ Label, Value string }

// Container is a container of the recording.
type Container struct {
	Recorded Resource `json:"-"`

	Name, Image, User, Hostname  string
	Start, MustRun, Wait         *bool
	ReadOnly, Privileged         bool
	Restart, NetworkMode         string
	Entrypoints, Command, Envs   []string
	SecurityOpts                 []string
	Capabilities                 struct{ Adds, Drops []string }
	Labels                       []Label
	Memory, MemorySwap           int
	MemoryReservation, CPUShares int
	ShmSize                      int
	Cpus                         string
	// Attach waits for a container's end, and Logs reads what it wrote.
	Attach, Logs             bool
	LogDriver                string
	LogOpts                  map[string]string
	DestroyGraceSeconds      int
	StopTimeout, WaitTimeout int
	StopSignal               string
	Healthcheck              *struct {
		Tests                          []string
		Interval, Timeout, StartPeriod string
		Retries                        int
	}
	Mounts []struct {
		Type, Source, Target string
		ReadOnly             bool
		TmpfsOptions         struct{ SizeBytes int }
	}
	NetworksAdvanced []struct {
		Name    string
		Aliases []string
	}
	Ports []struct {
		Internal, External int
		IP, Protocol       string
	}
	Uploads []struct{ File, Content string }
}

// Carrier tells whether the container only fills volumes: it never runs.
func (c Container) Carrier() bool { return c.Start != nil && !*c.Start }

// Attempt ends the names of containers that are made anew for each try.
var Attempt = regexp.MustCompile(`-[0-9]{10,}$`)

// Containers decodes every container strictly.
func (r *Recording) Containers() ([]Container, error) {
	var all []Container
	for _, x := range r.Find(dockerContainer, "") {
		raw, err := json.Marshal(Plain(x.Inputs))
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields() // what no test knows of, none looks at
		c := Container{Recorded: x}
		if err := d.Decode(&c); err != nil {
			return nil, fmt.Errorf("container %s: %w", x.Name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// Volume is a volume of the recording.
type Volume struct {
	Recorded   Resource `json:"-"`
	Name       string
	Driver     string
	DriverOpts map[string]string
	Labels     []Label
}

// HoldsData tells whether a user's data is in it.
func (v Volume) HoldsData() bool { return v.Recorded.holdsData() }

// Volumes decodes every volume.
func (r *Recording) Volumes() ([]Volume, error) {
	var all []Volume
	for _, x := range r.Find(dockerVolume, "") {
		raw, err := json.Marshal(Plain(x.Inputs))
		if err != nil {
			return nil, err
		}
		v := Volume{Recorded: x}
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("volume %s: %w", x.Name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// Networks gives for each network of the recording, by its name on the host, whether
// it is internal.
func (r *Recording) Networks() map[string]bool {
	all := map[string]bool{}
	for _, x := range r.Find(dockerNetwork, "") {
		all[x.Inputs["name"].StringValue()] = x.Inputs["internal"].BoolValue()
	}
	return all
}

// Images gives the references of the images, by the IDs that containers name.
func (r *Recording) Images() map[string]string {
	all := map[string]string{}
	for _, x := range r.Find(dockerImage, "") {
		all[imageID(x.Inputs)] = x.Inputs["name"].StringValue()
	}
	return all
}

func (r Resource) holdsData() bool {
	if !r.Inputs["labels"].IsArray() {
		return false
	}
	for _, l := range r.Inputs["labels"].ArrayValue() {
		if l.ObjectValue()["label"].StringValue() == "com.alphapulse.data" {
			return true
		}
	}
	return false
}
