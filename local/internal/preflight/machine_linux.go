package preflight

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// machine looks at the kernel, the network, the memory and the disks.
func machine(ctx context.Context, n Needs, f *Facts) {
	for _, port := range n.Ports {
		if who := listener(ctx, port); who != "" {
			f.Listening[port] = who
		}
	}
	if len(n.Ranges) > 0 {
		f.Networks = networks(n.Links)
	}
	f.Memory = memoryAvailable()
	var cacheDisk, stateDisk uint64
	f.CacheFree, cacheDisk, _ = disk(n.CacheDir)
	var kind int64
	f.StateFree, stateDisk, kind = disk(n.StateDir)
	f.OneDisk = cacheDisk == stateDisk
	if n.StateDir != "" {
		f.StateFS = unfit[kind]
	}
	if n.Root && f.Root && n.StateDir != "" {
		f.Missing = missingFeatures()
	}
}

// unfit are file systems that overlays cannot be built on.
var unfit = map[int64]string{
	unix.OVERLAYFS_SUPER_MAGIC: "an overlay file system (are you inside a container?)",
	unix.NFS_SUPER_MAGIC:       "NFS",
	unix.V9FS_MAGIC:            "a 9p share",
	unix.FUSE_SUPER_MAGIC:      "a FUSE file system",
	unix.ECRYPTFS_SUPER_MAGIC:  "an encrypted home (ecryptfs)",
	unix.SMB2_SUPER_MAGIC:      "an SMB share",
	unix.CIFS_SUPER_MAGIC:      "an SMB share",
}

// disk returns the free bytes, an identity and the type of the file system of
// dir or, where that does not exist yet, of the nearest folder above it.
func disk(dir string) (free, id uint64, kind int64) {
	if dir == "" {
		return 0, 0, 0
	}
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			var st unix.Stat_t
			if unix.Stat(dir, &st) == nil {
				id = st.Dev
			}
			return s.Bavail * uint64(s.Bsize), id, s.Type
		}
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return 0, 0, 0
		}
		dir = filepath.Dir(dir)
	}
}

func memoryAvailable() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if w := strings.Fields(s.Text()); len(w) > 1 && w[0] == "MemAvailable:" {
			kib, _ := strconv.ParseUint(w[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// networks returns the machine's IPv4 addresses and routes, but not those of
// the links own and not the default routes.
func networks(own []string) []Network {
	names := map[int]string{}
	var all []Network
	links, _ := netlink.LinkList()
	for _, l := range links {
		name := l.Attrs().Name
		names[l.Attrs().Index] = name
		if slices.Contains(own, name) {
			continue
		}
		addrs, _ := netlink.AddrList(l, netlink.FAMILY_V4)
		for _, a := range addrs {
			if p, ok := prefix(a.IPNet); ok {
				all = append(all, Network{p, "network of " + name})
			}
		}
	}
	routes, _ := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	for _, r := range routes {
		if slices.Contains(own, names[r.LinkIndex]) || r.Table == unix.RT_TABLE_LOCAL || r.Dst == nil || r.Type == unix.RTN_UNREACHABLE {
			continue // an unreachable one leads to nobody
		}
		p, ok := prefix(r.Dst)
		if !ok || p.Bits() == 0 {
			continue
		}
		where := "target of a route"
		if name := names[r.LinkIndex]; name != "" {
			where += " over " + name
		}
		all = append(all, Network{p, where})
	}
	return all
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones).Masked(), ok
}

// listener says who listens on the port of 127.0.0.1, or nothing if it is free.
func listener(ctx context.Context, port int) string {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		_ = l.Close()
		return ""
	}
	if !errors.Is(err, unix.EADDRINUSE) {
		return ""
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if who := holder(file, port); who != "" {
			return who
		}
	}
	return "another program"
}

// holder finds the process that has the listening socket on port.
func holder(table string, port int) string {
	b, err := os.ReadFile(table)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		const listen = "0A"
		if len(f) < 10 || f[3] != listen || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			continue
		}
		socket := "socket:[" + f[9] + "]"
		fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && target == socket {
				pid := strings.Split(fd, "/")[2]
				comm, _ := os.ReadFile("/proc/" + pid + "/comm")
				return fmt.Sprintf("%s (process %s)", bytes.TrimSpace(comm), pid)
			}
		}
	}
	return ""
}

// missingFeatures tries what the cluster needs of the kernel, in a network
// namespace that is gone afterwards. Trying loads modules where the kernel has
// any.
func missingFeatures() []string {
	var missing []string
	for _, ns := range []struct{ file, what string }{
		{"net", "network namespaces (CONFIG_NET_NS)"}, {"pid", "process namespaces (CONFIG_PID_NS)"}, {"mnt", "mount namespaces"},
		{"uts", "host name namespaces (CONFIG_UTS_NS)"}, {"ipc", "IPC namespaces (CONFIG_IPC_NS)"},
	} {
		if _, err := os.Stat("/proc/self/ns/" + ns.file); err != nil {
			missing = append(missing, ns.what)
		}
	}
	if b, err := os.ReadFile("/proc/filesystems"); err == nil && !bytes.Contains(b, []byte("\toverlay\n")) && !hasModule("overlay") {
		missing = append(missing, "the overlay file system (CONFIG_OVERLAY_FS), which containers are built on")
	}
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err != nil {
		missing = append(missing, "seccomp (CONFIG_SECCOMP_FILTER), which restricted pods need")
	}
	missing = append(missing, missingControllers()...)
	return append(missing, missingNetwork()...)
}

func missingControllers() []string {
	b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil { // version 1
		if b, err = os.ReadFile("/proc/cgroups"); err != nil {
			return []string{"cgroups (CONFIG_CGROUPS)"}
		}
	}
	var missing []string
	for _, c := range []string{"cpu", "memory", "pids"} {
		found := false
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			switch {
			case len(f) == 4 && f[0] == c: // name hierarchy number enabled
				found = f[3] == "1"
			case len(f) != 4 || f[0] != "#subsys_name":
				for _, w := range f {
					found = found || w == c
				}
			}
		}
		if !found {
			missing = append(missing, fmt.Sprintf("the %s cgroup controller, which limits containers", c))
		}
	}
	return missing
}

func hasModule(name string) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	release := unix.ByteSliceToString(u.Release[:])
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		b, err := os.ReadFile(filepath.Join("/lib/modules", release, list))
		if err == nil && bytes.Contains(b, []byte("/"+name+".ko")) {
			return true
		}
	}
	return false
}

func missingNetwork() []string {
	// The thread that entered the namespace is not given back, so it ends with
	// this goroutine, and the namespace with it.
	result := make(chan []string)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			result <- nil // told above, or not allowed to
			return
		}
		defer func() { _ = ns.Close() }()
		var missing []string
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "try0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "try1"}); err != nil {
			missing = append(missing, "pairs of virtual links (CONFIG_VETH)")
		}
		if err := nftables(); err != nil {
			missing = append(missing, "nftables (CONFIG_NF_TABLES), which Services are made with")
		}
		if _, _, err := netlink.IpsetProtocol(); err != nil {
			missing = append(missing, "IP sets (CONFIG_IP_SET), which network policies are enforced with")
		}
		result <- missing
	}()
	return <-result
}

// nftables asks the kernel for the generation of its rules.
func nftables() error {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0, ResId: binary.BigEndian.Uint16([]byte{0, 0})})
	_, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	return err
}
