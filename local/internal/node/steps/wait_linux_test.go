package steps

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/machine"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestWaitBlamesWhoEnds(t *testing.T) {
	c := topology.Local()
	h := c.First()
	dir := state.Dir(t.TempDir())
	b := &Bringup{Kind: plan.Cluster, Cluster: c, State: dir, Record: machine.Dir(t.TempDir()).New(plan.Cluster, string(dir))}
	if err := os.MkdirAll(dir.Own(), 0o755); err != nil {
		t.Fatal(err)
	}
	start, err := machine.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Record.Put(machine.Node{Name: h.Name(), InitPID: os.Getpid(), InitStart: start}); err != nil {
		t.Fatal(err)
	}
	never := func(context.Context) string { return "not yet" }
	if err := os.WriteFile(dir.Components(), []byte(`[{"name":"kubelet","pid":1},{"name":"etcd","pid":0,"restarts":5,"lastExit":"exit status 1"}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	err = b.Wait(t.Context(), c.Hosts(), time.Hour, "kube-apiserver", never)
	if err == nil || !strings.Contains(err.Error(), "etcd ended 5 times: exit status 1") {
		t.Errorf("got %v", err)
	}
	var out bytes.Buffer
	_ = progress.New(&out, false, t.TempDir()).Step("x").Done(err)
	if !strings.Contains(out.String(), "log: "+dir.Log()+"/etcd.log") || !strings.Contains(out.String(), "local down") {
		t.Errorf("printed %q", out.String())
	}
	if err := os.Remove(dir.Components()); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), c.Hosts(), time.Millisecond, "kubelet", never); err == nil || !strings.Contains(err.Error(), "not ready after 1ms: not yet") {
		t.Errorf("got %v", err)
	}
	dead := *b
	dead.Record = machine.Dir(t.TempDir()).New(plan.Cluster, string(dir))
	if err := dead.Wait(t.Context(), c.Hosts(), time.Hour, "kubelet", never); err == nil || !strings.Contains(err.Error(), "the node ended") {
		t.Errorf("got %v", err)
	}
	calls := 0
	if err := b.Wait(t.Context(), c.Hosts(), time.Hour, "kubelet", func(context.Context) string {
		calls++
		return []string{"no", "no", ""}[calls-1]
	}); err != nil || calls != 3 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}
