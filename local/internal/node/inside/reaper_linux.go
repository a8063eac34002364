package inside

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// reaper starts processes and collects all that end, its own and those that
// lost their parent, as the first process of a process namespace must. No other
// code of the process may wait for children: os/exec is not to be used with it.
type reaper struct {
	mu    sync.Mutex
	waits map[int]chan syscall.WaitStatus
}

func newReaper() *reaper {
	r := &reaper{waits: map[int]chan syscall.WaitStatus{}}
	go r.run()
	return r
}

func (r *reaper) run() {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			time.Sleep(20 * time.Millisecond) // no child at the moment
			continue
		case err != nil:
			continue // interrupted
		}
		// start holds the lock until the process is known, so none is missed.
		r.mu.Lock()
		wait := r.waits[pid]
		delete(r.waits, pid)
		r.mu.Unlock()
		if wait != nil {
			wait <- ws
		}
	}
}

// start runs argv[0] with its output in out and the given files from descriptor
// 3 on. The returned channel yields once, when the process has ended.
func (r *reaper) start(argv, env []string, out *os.File, files []*os.File) (int, <-chan syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = null.Close() }()
	fds := []uintptr{null.Fd(), out.Fd(), out.Fd()}
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: env, Files: fds,
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	wait := make(chan syscall.WaitStatus, 1)
	r.waits[pid] = wait
	return pid, wait, nil
}

// describe says in words how a process ended.
func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return "killed by signal " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}
