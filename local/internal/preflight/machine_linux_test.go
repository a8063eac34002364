package preflight

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestListenerNamesTheProcess(t *testing.T) {
	l, port := listen(t)
	defer func() { _ = l.Close() }()
	who := listener(t.Context(), port)
	if !strings.Contains(who, "(process "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("got %q, want process %d", who, os.Getpid())
	}
}

func TestNetworksLeaveOutTheLinks(t *testing.T) {
	has := func(all []Network, where string) bool {
		for _, n := range all {
			if strings.HasSuffix(n.Where, where) {
				return true
			}
		}
		return false
	}
	if !has(networks(nil), "network of lo") {
		t.Error("the network of lo was not seen")
	}
	if has(networks([]string{"x", "lo"}), "lo") {
		t.Error("lo was not left out")
	}
	for _, n := range networks(nil) {
		if n.Prefix.Bits() == 0 {
			t.Errorf("a default route is no range in use: %v", n)
		}
	}
}

func TestKernelFeatures(t *testing.T) {
	// The list depends on the machine; that it can be asked for twice shows that
	// nothing stays behind.
	first, second := missingFeatures(), missingFeatures()
	if strings.Join(first, "\n") != strings.Join(second, "\n") {
		t.Errorf("%q, then %q", first, second)
	}
	if networks := strings.Join(first, "\n"); strings.Contains(networks, "namespaces") {
		t.Errorf("this kernel has namespaces: %q", first)
	}
}

func TestGatherSeesAListener(t *testing.T) {
	l, port := listen(t)
	n := Needs{Ports: []int{port}, StateDir: filepath.Join(t.TempDir(), "a", "b")}
	f, err := Gather(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if f.Listening[port] == "" {
		t.Error("the listener was not seen")
	}
	if f.Memory == 0 || f.StateFree == 0 {
		t.Errorf("memory %d, disk %d: not found out", f.Memory, f.StateFree)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Gather(t.Context(), n); err != nil || f.Listening[port] != "" {
		t.Errorf("a closed port is in use by %q, %v", f.Listening[port], err)
	}
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Addr().(*net.TCPAddr).Port
}
