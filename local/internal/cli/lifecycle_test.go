package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
)

// TestStatusTellsWhatToDo holds what is printed of a cluster and of an engine in
// every state: the words, and the commands that lead on.
func TestStatusTellsWhatToDo(t *testing.T) {
	run := node.State{Running: true, Ready: true, Uptime: 3 * time.Minute, Pods: 7, Owner: "/clone/.local/x"}
	run.Nodes = []node.Member{{Name: "a-2", IP: "10.9.8.7", Zone: "z", State: node.NodeCut, Memory: 120<<20 + 1}, {Name: "a-3", IP: "10.9.8.9", Zone: "z", State: node.NodeStopped}}
	broken := run
	broken.Ready, broken.Problems = false, []string{"etcd is not running: exit status 1"}
	broken.Components = []plan.Component{{Name: "etcd", Restarts: 4, LastExit: "exit status 1"}, {Name: "kubelet"}}
	for _, c := range []struct {
		name            string
		state           node.State
		cluster, engine []string
	}{
		{"none", node.State{}, []string{"'local up' makes one"}, []string{"'local engine up' makes one"}},
		{"stopped", node.State{Stored: true}, []string{"'local start' brings it back", "'local down' erases"}, []string{"'local engine up' brings it back", "'local engine down' erases"}},
		{"crashed", node.State{Leftovers: []string{"link a", "cgroup b"}}, []string{"link a, cgroup b; 'local up' and 'local down' remove"}, []string{"'local engine up' and 'local engine down' remove"}},
		{"foreign", node.State{Running: true, Foreign: errors.New("another one")}, []string{"not running: another one"}, []string{"not running: another one"}},
		{"ready", run, []string{"ready, running for 3m0s, 7 pods", "API https://10.250.0.2:6443", "node a-2 cut off at 10.9.8.7 in zone z, 120 MiB of memory\n", "node a-3 stopped at 10.9.8.9 in zone z\n", "state in /clone"}, []string{"7 containers", "DOCKER_HOST=unix:///run/alphapulse/docker.sock", "registry 127.0.0.1:30500"}},
		{"broken", broken, []string{"not ready:\n  - etcd is not running", "etcd was restarted 4 times: exit status 1"}, []string{"not ready:\n  - etcd"}},
	} {
		for s, want := range map[*subject][]string{&clusterSubject: c.cluster, &engineSubject: c.engine} {
			var out strings.Builder
			s.print(&out, c.state)
			for _, w := range want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%s %s: no %q in\n%s", s.name, c.name, w, out.String())
				}
			}
			if strings.Contains(out.String(), "kubelet") {
				t.Errorf("a process that was never restarted is told of:\n%s", out.String())
			}
		}
	}
}

// TestEveryCommandSaysWhatItChanges is the promise of the root command's help.
func TestEveryCommandSaysWhatItChanges(t *testing.T) {
	all := New().Commands()
	for i := 0; i < len(all); i++ {
		c := all[i]
		all = append(all, c.Commands()...)
		if c.Hidden || c.HasSubCommands() || c.Name() == "help" || c.Parent() != nil && c.Parent().Name() == "completion" {
			continue
		}
		if !strings.Contains(c.Long, "change") {
			t.Errorf("%s does not say what it changes:\n%s", c.CommandPath(), c.Long)
		}
	}
}
