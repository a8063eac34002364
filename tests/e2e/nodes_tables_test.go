//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// resilience is the page that begins with what TestNodes prints.
const resilience = "docs/resilience.md"

// tables are what TestNodes prints, as Markdown.
type tables struct {
	worker                   string // what a further one costs
	spread, balanced, faults [][]string
}

func (p *tables) print() {
	var b bytes.Buffer
	for _, table := range []struct {
		head string
		rows [][]string
	}{
		{"replicas | `spreadRequired` | three edge pods are on nodes | a pod that waits", p.spread},
		{"node | edge pod | policy `Local` | policy `Cluster`", p.balanced},
		{"fault | pages failed | reads failed | writes failed | all serve after | pending meanwhile", p.faults},
	} {
		w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
		head := strings.Split(table.head, " | ")
		rule := strings.Split(strings.TrimSuffix(strings.Repeat("---|", len(head)), "|"), "|")
		for _, cells := range append([][]string{head, rule}, table.rows...) {
			_, _ = fmt.Fprintln(w, "|", strings.Join(cells, "\t| ")+"\t|")
		}
		_ = w.Flush()
		_, _ = fmt.Fprintln(&b)
	}
	fmt.Printf("\n%s%s\n", b.String(), p.worker)
}

// fault adds a row: what was done, what each kind of request saw, when all pods served
// again and what was pending meanwhile.
func (p *tables) fault(what string, all map[string]tally, served, waiting string) {
	row := []string{what, "", "", "", served, waiting}
	for i, kind := range []string{"page", "read", "write"} {
		if y, ok := all[kind]; ok {
			row[i+1] = y.String()
		}
	}
	p.faults = append(p.faults, row)
}

// reason puts an error of a request into a few words.
func reason(why string) string {
	for text, short := range map[string]string{
		"deadline exceeded": "no answer", "Client.Timeout": "no answer", "i/o timeout": "no connection", "connection refused": "refused",
		"connection reset": "cut off", "no route to host": "no connection", "EOF": "cut off",
	} {
		if strings.Contains(why, text) {
			return short
		}
	}
	return why
}

// memoryOf reads the memory of a node, in MiB, from what `local status` prints.
func memoryOf(t *testing.T, status, node string) int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^node ` + node + ` running .*, (\d+) MiB of memory$`).FindStringSubmatch(status)
	if found == nil {
		t.Fatalf("status does not tell the memory of %s:\n%s", node, status)
	}
	mib, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return mib
}

// grow adds a second and a third node, looks what the last one costs, and then runs the
// commands of the page as they stand there.
func (f *fleet) grow(t *testing.T) {
	t.Helper()
	status := must(t, "status")
	t.Log(status)
	if !strings.Contains(status, "node "+firstNode+"-3") { // else it was kept
		must(t, "up", "--nodes", "2")
	}
	begun := time.Now()
	must(t, "up", "--nodes", "3")
	took := since(begun)
	mib := memoryOf(t, must(t, "status"), firstNode+"-3")
	if mib > 400 {
		t.Errorf("a further worker holds %d MiB, want at most 400", mib)
	}
	f.worker = fmt.Sprintf("A further worker: %d MiB of memory, and %s until it takes pods.", mib, took)
	t.Log(f.worker)

	raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(resilience)))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(raw), "\n## Trying it\n\n```sh\n")
	block, _, ok := strings.Cut(block, "```")
	commands := slices.Collect(strings.Lines(block))
	if !ok || len(commands) < 5 {
		t.Fatalf("%s has no commands to try: %q", resilience, block)
	}
	for _, line := range commands {
		begun := time.Now()
		cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		t.Logf("%s: %v after %s\n%s", strings.TrimSpace(line), err, since(begun), last(string(out), 12))
		if err != nil {
			t.Fatalf("%s: %s: %v", resilience, strings.TrimSpace(line), err)
		}
	}
}
