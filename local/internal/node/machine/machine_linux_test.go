package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestLockIsHeldByOne(t *testing.T) {
	runDir := Dir(filepath.Join(t.TempDir(), "run"))
	var out syncBuffer
	r := progress.New(&out, false, "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			unlock, err := runDir.Lock(t.Context(), r, "up")
			if err != nil {
				t.Error(err)
				return
			}
			if !mu.TryLock() {
				t.Error("two hold the lock")
			} else {
				mu.Unlock()
			}
			unlock()
		})
	}
	wg.Wait()
	if _, err := os.Stat(string(runDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock's folder was left: %v", err)
	}

	unlock, err := runDir.Lock(t.Context(), r, "down")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := runDir.Lock(ctx, r, "up"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock: %v", err)
	}
	if want := fmt.Sprintf("waiting: process %d (local down) is working on the local node\n", os.Getpid()); !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := runDir.New(plan.Cluster, "x").Put(Node{Name: "a", InitPID: 7}); err != nil {
		t.Fatal(err)
	}
	unlock()
	if m, err := runDir.Load(); err != nil || m == nil || m.StateDir != "x" || m.Node("a").InitPID != 7 {
		t.Errorf("the record went with the lock: %+v, %v", m, err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAlive(t *testing.T) {
	var none *Record
	if none.Alive() || (&Record{}).Alive() || (Node{}).Alive() {
		t.Error("a record without a process is alive")
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	m := Node{InitPID: cmd.Process.Pid, InitStart: start}
	if r := (&Record{Nodes: []Node{{}, m}}); !m.Alive() || !r.Alive() {
		t.Error("a running process is not alive")
	}
	if (Node{InitPID: m.InitPID, InitStart: start + "0"}).Alive() {
		t.Error("another process of the same number is taken for the node")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not collected yet: a zombie.
	if err := unix.Waitid(unix.P_PID, m.InitPID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if m.Alive() {
		t.Error("a zombie is alive")
	}
	_ = cmd.Wait()
	if m.Alive() {
		t.Error("an ended process is alive")
	}
}

func TestRecordIsChangedByMany(t *testing.T) {
	dir := Dir(t.TempDir())
	r := dir.New(plan.Cluster, "x")
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			if err := r.Put(Node{Name: fmt.Sprint(i), InitPID: i}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(r.Put(Node{Name: "3", InitPID: 33}), r.Forget("4")); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Load()
	if err != nil || len(got.Nodes) != 8 || got.Node("3").InitPID != 33 || got.Node("4").Name != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := errors.Join(r.Remove(), r.Remove()); err != nil {
		t.Error(err)
	}
	if got, err := dir.Load(); got != nil || err != nil {
		t.Errorf("a removed record: %+v, %v", got, err)
	}
}
