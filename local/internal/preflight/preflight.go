// Package preflight finds out whether this machine can do what is asked of it,
// before anything on it is changed, and names everything that is in the way at
// once.
package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

const (
	gib = 1 << 30

	// MinMemoryCold is the memory, in bytes, that compiling Kubernetes and the
	// Pulumi provider takes: one linker and one compiler at their peak.
	MinMemoryCold = 5 * gib
	// MinMemoryWarm is the memory, in bytes, of the running cluster with the
	// application in it.
	MinMemoryWarm = 2 * gib
	// MinDiskCold is the room, in bytes, for Go's download and build caches, the
	// finished programs and the images.
	MinDiskCold = 20 * gib
	// MinDiskAgain is the room, in bytes, for the same where the programs were built
	// before, so that Go's caches hold most of it.
	MinDiskAgain = 6 * gib
	// MinDiskWarm is the room, in bytes, for the images and data of a running
	// cluster.
	MinDiskWarm = 4 * gib
	// registryTimeout is how long a package registry has to answer.
	registryTimeout = 10 * time.Second
)

// Needs says what is about to be done.
type Needs struct {
	// For names, in sentences, what is to be started; empty is the cluster.
	For string
	// Root: namespaces, links and mounts are made.
	Root bool
	// Ports on 127.0.0.1 are listened on.
	Ports []int
	// Ranges of IPv4 addresses are routed to the cluster over Links. Routes over
	// these themselves are leftovers and do not count.
	Ranges []string
	Links  []string
	// StateDir will hold the cluster's layers and data, or is below a folder
	// that exists. Empty: no cluster is started.
	StateDir string
	// CacheDir will hold what is built.
	CacheDir string
	// GoModules are the folders of the Go modules that have to be compiled.
	GoModules []string
	// FirstBuild: some of these were never compiled on this machine.
	FirstBuild bool
	// Debian are the packages that have to be downloaded.
	Debian []string
	// NPM: packages have to be downloaded from npm's registry.
	NPM bool
}

func (n Needs) what() string {
	if n.For == "" {
		return "cluster"
	}
	return n.For
}

// cold reports whether programs have to be compiled.
func (n Needs) cold() bool { return len(n.GoModules) > 0 }

// Facts are what was found out about the machine.
type Facts struct {
	OS   string // as runtime.GOOS names it
	Root bool
	// Missing are features that the kernel does not have, each with what needs it.
	Missing []string
	// Listening tells who listens on a needed port, by port.
	Listening map[int]string
	// Networks are the machine's addresses and routes.
	Networks []Network
	// Memory is what programs can still get, in bytes; 0 if unknown.
	Memory uint64
	// CacheFree and StateFree are the free bytes on the file systems of CacheDir
	// and StateDir; 0 if unknown. OneDisk says that these are the same.
	CacheFree, StateFree uint64
	OneDisk              bool
	// StateFS is the type of StateDir's file system if it is one that container
	// layers cannot lie on.
	StateFS string
	// Tools are needed commands that are missing, with what to do.
	Tools []string
	// Registries are those that are needed and do not answer.
	Registries []Registry
}

// Network is a range of addresses that the machine uses.
type Network struct {
	Prefix netip.Prefix
	Where  string // in words: "address of eth1"
}

// Registry is a source of packages that does not answer.
type Registry struct {
	Name    string // "Go modules"
	Address string
	Setting string // what to set to use another one
	Err     error
}

// Error is what is in the way, one line each.
type Error struct{ Problems []string }

// Error returns the problems, one a line.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%d things are in the way:\n  - %s", len(e.Problems), strings.Join(e.Problems, "\n  - "))
}

// Run gathers the facts that the needs call for and checks them. The error is an
// *Error, or that of ctx.
func Run(ctx context.Context, n Needs) error {
	f, err := Gather(ctx, n)
	if err != nil {
		return err
	}
	if problems := Check(f, n); len(problems) > 0 {
		return &Error{problems}
	}
	return nil
}

// Check returns everything that is in the way, one clear line each.
func Check(f Facts, n Needs) []string {
	var p []string
	add := func(format string, args ...any) { p = append(p, fmt.Sprintf(format, args...)) }
	what := n.what()
	if f.OS != "linux" {
		add("this system is %s, and the local cluster runs on Linux only: use a Linux machine, or point KUBECONFIG at any cluster, for example one made by kind", f.OS)
		return p // nothing else could be looked at
	}
	if n.Root && !f.Root {
		add("not root: the local %s makes namespaces, links and mounts: run it as root, for example with sudo", what)
	}
	for _, m := range f.Missing {
		add("the kernel lacks %s: use a kernel that has it; Debian's own do", m)
	}
	for _, port := range n.Ports {
		if who := f.Listening[port]; who != "" {
			add("port %d of 127.0.0.1 is in use by %s: end it, the %s needs this port", port, who, what)
		}
	}
	for _, r := range n.Ranges {
		want := netip.MustParsePrefix(r)
		for _, have := range f.Networks {
			if have.Prefix.Overlaps(want) {
				add("the address range %s that the %s needs is in use: %s is the %s: remove that, or use another machine", r, what, have.Prefix, have.Where)
				break
			}
		}
	}
	if f.StateFS != "" {
		add("%s lies on %s, on which container layers cannot: keep the clone on ext4, xfs or btrfs", n.StateDir, f.StateFS)
	}
	p = append(p, f.sizes(n)...)
	p = append(p, f.Tools...)
	for _, r := range f.Registries {
		add("%s cannot be fetched from %s: %v: make it reachable, or set %s", r.Name, r.Address, r.Err, r.Setting)
	}
	return p
}

func (f Facts) sizes(n Needs) []string {
	var p []string
	memory, why := uint64(MinMemoryWarm), "the running "+n.what()+" needs"
	if n.cold() {
		memory, why = MinMemoryCold, "compiling Kubernetes and the Pulumi provider needs"
	}
	if f.Memory > 0 && f.Memory < memory {
		p = append(p, fmt.Sprintf("%s of memory are available, and %s %s: end other programs or add memory", size(f.Memory), why, size(memory)))
	}
	disk := func(dir string, free, want uint64, why string) {
		if dir != "" && free > 0 && free < want {
			p = append(p, fmt.Sprintf("%s are free on the disk of %s, and %s %s: free %s there", size(free), dir, why, size(want), size(want-free)))
		}
	}
	switch {
	case n.cold() && n.FirstBuild:
		disk(n.CacheDir, f.CacheFree, MinDiskCold, "downloads, builds and images need")
	case n.cold():
		disk(n.CacheDir, f.CacheFree, MinDiskAgain, "builds and images need")
	}
	if !n.cold() || !f.OneDisk {
		disk(n.StateDir, f.StateFree, MinDiskWarm, "the "+n.what()+" needs")
	}
	return p
}

func size(b uint64) string { return fmt.Sprintf("%.1f GiB", float64(b)/gib) }
