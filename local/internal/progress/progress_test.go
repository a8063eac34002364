package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDoneOfASuccess(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, false, t.TempDir())
	s := r.Step("start etcd")
	_, _ = fmt.Fprintln(s.Writer(), "noise")
	if err := s.Done(nil); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^✓ start etcd  \d+\.\ds\n$`).MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}

func TestDoneTellsTheCPUThatWasUsed(t *testing.T) {
	for used, want := range map[time.Duration]string{
		300 * time.Millisecond: `^✓ compile  \d+\.\ds\n$`,
		40 * time.Second:       `^✓ compile  \d+\.\ds \(1m20s of CPU\)\n$`,
	} {
		var out bytes.Buffer
		s := New(&out, false, t.TempDir()).Step("compile")
		s.Used(used)
		s.Used(used)
		_ = s.Done(nil)
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("after twice %s: %q", used, out.String())
		}
	}
}

func TestDoneOfAFailureShowsTheEndOfTheLog(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	r := New(&out, false, filepath.Join(dir, "log"))
	s := r.Step("Build: kubelet")
	for i := range 40 {
		_, _ = fmt.Fprintf(s.Writer(), "line %d.\n", i)
	}
	boom := errors.New("exit status 2")
	if err := s.Done(Explain(boom, "", "Run it again.")); !errors.Is(err, boom) {
		t.Errorf("Done returned %v", err)
	}
	_ = s.Done(boom) // only the first call prints
	if n := strings.Count(out.String(), "✗"); n != 1 {
		t.Errorf("printed %d times", n)
	}
	got := out.String()
	log := filepath.Join(dir, "log", "build-kubelet.log")
	for _, want := range []string{"✗ Build: kubelet", "exit status 2", "    line 25.\n", "    line 39.\n", "log: " + log, "Run it again."} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "line 24.") {
		t.Errorf("more than 15 lines shown:\n%s", got)
	}
	if b, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(b), "line 0.\n") {
		t.Errorf("log: %v, %.20q", err, b)
	}
}

func TestExplainNamesAnotherLog(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	other := filepath.Join(dir, "etcd.log")
	if err := os.WriteFile(other, []byte("disk full\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_ = New(&out, false, dir).Step("cluster").Done(fmt.Errorf("start: %w", Explain(errors.New("etcd ended"), other, "")))
	if !strings.Contains(out.String(), "    disk full\n  log: "+other+"\n") {
		t.Errorf("got %q", out.String())
	}
	if Explain(nil, other, "x") != nil {
		t.Error("Explain(nil) is not nil")
	}
}

func TestAFailureIsSaidOnce(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, false, t.TempDir())
	first := r.Step("one").Done(Explain(errors.New("broken"), "", "Mend it."))
	out.Reset()
	second := r.Step("two").Done(fmt.Errorf("more: %w", first))
	if got := out.String(); !regexp.MustCompile(`^✗ two  0\.\ds: stopped because another step failed\n$`).MatchString(got) {
		t.Errorf("printed %q", got)
	}
	if !errors.Is(second, first) || !Told(second) {
		t.Errorf("returned %v", second)
	}
}

func TestSkipIsSilent(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, false, t.TempDir()).Step("x")
	_, _ = io.WriteString(s.Writer(), "noise\n")
	s.Skip()
	_ = s.Done(errors.New("only the first call counts"))
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestTold(t *testing.T) {
	r := New(io.Discard, false, t.TempDir())
	one, two := errors.New("one"), errors.New("two")
	told := r.Step("x").Done(one)
	if !errors.Is(told, one) || told.Error() != "one" {
		t.Errorf("Done returned %v", told)
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {one, false}, {told, true}, {fmt.Errorf("more: %w", told), true},
		{errors.Join(told, two), false}, {errors.Join(told, r.Step("y").Done(two)), true},
	} {
		if got := Told(c.err); got != c.want {
			t.Errorf("Told(%v) = %v", c.err, got)
		}
	}
	if err := r.Step("z").Done(nil); err != nil {
		t.Errorf("success gave %v", err)
	}
}

// lockedBuffer can be read while steps print.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		r := New(&out, false, "")
		s := r.Step("compile")
		time.Sleep(14 * time.Second)
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("printed before 15 s: %q", out.String())
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		_ = s.Done(nil)
		want := "… compile  15.0s\n… compile  30.0s\n… compile  45.0s\n… compile  1m00s\n… compile  1m15s\n✓ compile  1m16s\n"
		if out.String() != want {
			t.Errorf("got  %q\nwant %q", out.String(), want)
		}
	})
}

func TestVerbosePrintsWholeLines(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, true, t.TempDir())
	s := r.Step("apt")
	_, _ = io.WriteString(s.Writer(), "one\ntw")
	if out.String() != "  apt | one\n" {
		t.Errorf("got %q", out.String())
	}
	_, _ = io.WriteString(s.Writer(), "o\nthree")
	_ = s.Done(nil)
	if !strings.HasPrefix(out.String(), "  apt | one\n  apt | two\n  apt | three\n✓ apt") {
		t.Errorf("got %q", out.String())
	}
}

func TestStepsOfOneNameKeepTheirOwnLogs(t *testing.T) {
	dir := t.TempDir()
	r := New(io.Discard, false, dir)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := r.Step("import image")
			for range 50 {
				_, _ = io.WriteString(s.Writer(), "x\n")
			}
			_ = s.Done(nil)
			_ = s.Done(errors.New("only the first call counts"))
		})
	}
	wg.Wait()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) != 8 {
		t.Fatalf("logs: %v, %v", logs, err)
	}
	for _, l := range logs {
		if fi, err := os.Stat(l); err != nil || fi.Size() != 100 {
			t.Errorf("%s: %v, %v", l, fi.Size(), err)
		}
	}
}
