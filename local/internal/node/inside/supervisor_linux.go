package inside

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/state"
)

const (
	// restartFirst and restartMax bound the pause before an ended process is
	// started again; it doubles each time, and starts over after restartCalm of
	// running.
	restartFirst = 500 * time.Millisecond
	restartMax   = 10 * time.Second
	restartCalm  = 30 * time.Second
)

// supervisor keeps the processes of the node running and tells about them in a
// file.
type supervisor struct {
	reaper *reaper
	logs   string // folder of the processes' logs
	status string // path of the file that tells about them; a list of plan.Component

	mu    sync.Mutex
	order []string
	state map[string]*plan.Component
}

// keep runs argv until ctx ends, then asks it to end and, after grace, makes it.
// It returns when the process is gone for good.
func (s *supervisor) keep(ctx context.Context, name string, grace time.Duration, argv, env []string, files ...*os.File) {
	s.update(name, func(*plan.Component) {})
	pause := restartFirst
	for ctx.Err() == nil {
		begun := time.Now()
		how := s.once(ctx, name, grace, argv, env, files)
		if ctx.Err() != nil {
			return
		}
		log.Printf("%s ended: %s", name, how)
		if time.Since(begun) > restartCalm {
			pause = restartFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, restartMax)
		s.update(name, func(c *plan.Component) { c.Restarts++ })
	}
}

func (s *supervisor) once(ctx context.Context, name string, grace time.Duration, argv, env []string, files []*os.File) string {
	out, err := os.OpenFile(filepath.Join(s.logs, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = out.Close() }()
	pid, ended, err := s.reaper.start(argv, env, out, files)
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		s.update(name, func(c *plan.Component) { c.LastExit = err.Error() })
		return err.Error()
	}
	s.update(name, func(c *plan.Component) { c.PID = pid })
	var ws syscall.WaitStatus
	select {
	case ws = <-ended:
	case <-ctx.Done():
		_ = syscall.Kill(pid, syscall.SIGTERM)
		select {
		case ws = <-ended:
		case <-time.After(grace):
			_ = syscall.Kill(pid, syscall.SIGKILL)
			ws = <-ended
		}
	}
	how := describe(ws)
	s.update(name, func(c *plan.Component) { c.PID, c.LastExit = 0, how })
	return how
}

func (s *supervisor) update(name string, change func(*plan.Component)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.state[name]
	if c == nil {
		c = &plan.Component{Name: name}
		s.state[name] = c
		s.order = append(s.order, name)
	}
	change(c)
	list := make([]*plan.Component, len(s.order))
	for i, n := range s.order {
		list[i] = s.state[n]
	}
	b, err := json.Marshal(list)
	if err == nil {
		err = state.WriteFile(s.status, b, 0o644)
	}
	if err != nil {
		log.Printf("status file: %v", err)
	}
}
