//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testBothFamilies: every port that a pod serves is open at every address of IPv6, too,
// whatever program is behind it, though the cluster may give its pods none: a pod's own
// network says what listens there.
func testBothFamilies(t *testing.T) {
	checked := 0
	for name, list := range pods(t, namespace) {
		p := list[0]
		network := fmt.Sprintf("/proc/%d/net/", processes(t, p, func(string) bool { return true })[0])
		if _, err := os.Stat(network + "if_inet6"); err != nil {
			t.Fatalf("the pods' kernel has no IPv6: %v", err)
		}
		raw, err := os.ReadFile(network + "tcp6")
		if err != nil {
			t.Fatal(err)
		}
		open := everywhere(string(raw))
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			for _, port := range c.Ports {
				if port.Protocol != corev1.ProtocolTCP {
					continue
				}
				if checked++; !open[int(port.ContainerPort)] {
					t.Errorf("%s: %s does not listen on IPv6 at %s %d", name, c.Name, port.Name, port.ContainerPort)
				}
			}
		}
	}
	t.Logf("%d ports of %s listen on both families", checked, namespace)
	if checked < 15 {
		t.Errorf("only %d ports were looked at", checked)
	}
}

// everywhere are the ports that are open at all addresses, of /proc/net/tcp6.
func everywhere(table string) map[int]bool {
	const anyAddress, listening = "00000000000000000000000000000000", "0A"
	open := map[int]bool{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listening {
			continue
		}
		address, port, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseInt(port, 16, 32); err == nil && address == anyAddress {
			open[int(n)] = true
		}
	}
	return open
}
