package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/steps/files"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

// kernelSettings are what the kubelet wants to find in /proc/sys. They belong to
// the whole machine, so it is shown files that already say so, and changes none.
var kernelSettings = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// A bind is something of the machine that the node sees, too.
type bind struct {
	from int // a descriptor, because the mounts of the node hide what it is of
	to   string
	file bool
}

// mountAll gives the node its own /proc, /run, /tmp, /var/lib and /var/log. What it
// needs of the machine is opened first, because those hide wherever the clone
// or the cache may lie.
func mountAll(dir state.Dir, spec files.Spec) error {
	binds, err := openBinds(dir, spec)
	if err != nil {
		return err
	}
	// Nothing that is mounted here may reach the machine; pods, below, may share.
	for _, flags := range []uintptr{unix.MS_REC | unix.MS_PRIVATE, unix.MS_REC | unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", flags, ""); err != nil {
			return fmt.Errorf("propagation: %w", err)
		}
	}
	const secure = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", secure, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("/tmp: %w", err)
	}
	for _, d := range []string{plan.Bin, "/run/lock", "/run/cni"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, b := range binds {
		if err := b.mount(); err != nil {
			return err
		}
	}
	if spec.Kind == plan.Engine {
		return privateEtc()
	}
	return clusterFolders()
}

// openBinds opens what the node sees of the machine.
func openBinds(dir state.Dir, spec files.Spec) ([]bind, error) {
	var binds []bind
	add := func(from, to string, file bool) error {
		fd, err := unix.Open(from, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		binds = append(binds, bind{fd, to, file})
		return nil
	}
	folders := map[string]string{"/var/lib": dir.Lib(), "/var/log": dir.Log()}
	for name, path := range spec.Folders {
		folders[plan.Bin+"/"+name] = path
	}
	if spec.Kind == plan.Engine {
		folders[plan.Machine] = spec.RunDir
	}
	for to, from := range folders {
		if err := add(from, to, false); err != nil {
			return nil, err
		}
	}
	for name, path := range spec.Programs {
		if err := add(path, plan.Bin+"/"+name, true); err != nil {
			return nil, err
		}
	}
	return binds, nil
}

func (b bind) mount() error {
	if b.file {
		if err := os.WriteFile(b.to, nil, 0o755); err != nil {
			return err
		}
	} else if err := os.MkdirAll(b.to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", b.from), b.to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s: %w", b.to, err)
	}
	_ = unix.Close(b.from)
	return nil
}

// clusterFolders makes what the programs of a cluster expect to be there.
func clusterFolders() error {
	for _, dir := range []string{"/var/lib/kubelet", "/var/lib/etcd", plan.Volumes, "/var/log/pods"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// Pods name their own users; the folder of volumes is theirs to enter.
	if err := os.Chmod(plan.Volumes, 0o711); err != nil {
		return err
	}
	if err := os.WriteFile(plan.ResolvConf, nil, 0o644); err != nil {
		return err
	}
	for key, value := range kernelSettings {
		fake := filepath.Join(plan.Run, "sysctl", strings.ReplaceAll(key, "/", "."))
		if err := os.MkdirAll(filepath.Dir(fake), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(fake, []byte(value+"\n"), 0o444); err != nil {
			return err
		}
		if err := unix.Mount(fake, "/proc/sys/"+key, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("/proc/sys/%s: %w", key, err)
		}
	}
	return nil
}

// privateEtc lets the node's programs read the machine's /etc and write to it
// without changing it: dockerd writes a key to /etc/docker.
func privateEtc() error {
	const upper, work = plan.Run + "/etc/upper", plan.Run + "/etc/work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("/etc: %w", err)
	}
	return nil
}

// networkSettings are those of the node's own network namespace. Version 6 of IP is
// switched off where the cluster does not use it.
func networkSettings(c topology.Cluster) error {
	settings := map[string]string{"ipv4/ip_forward": "1"}
	if c.DualStack() {
		settings["ipv6/conf/all/forwarding"] = "1"
	} else {
		settings["ipv6/conf/all/disable_ipv6"], settings["ipv6/conf/default/disable_ipv6"] = "1", "1"
	}
	for key, value := range settings {
		err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "ipv6/") && !c.DualStack() {
			continue // a kernel without it
		}
		if err != nil {
			return err
		}
	}
	return nil
}
