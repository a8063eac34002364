// Package progress tells a person what a long command is doing: one line a
// finished step with its time, a sign of life while a step runs, and the end of
// the right log when a step fails.
package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// heartbeat is how long a step may be silent before a line shows that it lives.
	heartbeat = 15 * time.Second
	// tailLines is how much of a failed step's log is shown.
	tailLines = 15
	// tailBytes bounds what is read of a log to find its last lines.
	tailBytes = 64 << 10
)

// Reporter prints the progress of steps, which may run at the same time.
type Reporter struct {
	verbose   bool
	logDir    string
	heartbeat time.Duration

	mu    sync.Mutex
	w     io.Writer
	names map[string]int // log names in use, so that equal step names keep their own logs
}

// New returns a Reporter that prints to w and keeps each step's tool output in
// a file below logDir, which is created when the first step writes. verbose
// prints tool output to w as well.
func New(w io.Writer, verbose bool, logDir string) *Reporter {
	return &Reporter{w: w, verbose: verbose, logDir: logDir, heartbeat: heartbeat, names: map[string]int{}}
}

// Infof prints one line.
func (r *Reporter) Infof(format string, args ...any) { r.print(fmt.Sprintf(format, args...) + "\n") }

func (r *Reporter) print(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A terminal that went away must not stop the work.
	_, _ = io.WriteString(r.w, s)
}

// Step begins a step. It prints nothing until the step has run for 15 s; from
// then on a line every 15 s shows that it lives. Every step must be ended by
// Done.
func (r *Reporter) Step(name string) *Step {
	s := &Step{r: r, name: name, begun: time.Now(), stop: make(chan struct{})}
	go s.live()
	return s
}

// Step is one unit of work that a person waits for.
type Step struct {
	r     *Reporter
	name  string
	begun time.Time
	stop  chan struct{}

	mu   sync.Mutex
	file *os.File
	path string
	part []byte // an unfinished line of tool output, kept for --verbose
	used time.Duration
	done bool
}

// Used adds to the CPU time that the step's processes have used, which Done tells.
func (s *Step) Used(cpu time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += cpu
}

func (s *Step) live() {
	t := time.NewTicker(s.r.heartbeat)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.r.print(fmt.Sprintf("… %s  %s\n", s.name, seconds(time.Since(s.begun))))
		}
	}
}

// Writer returns where the output of the step's tools goes: always into the
// step's log file, and to the terminal when verbose. It is safe for use by
// several processes at once.
func (s *Step) Writer() io.Writer { return stepWriter{s} }

type stepWriter struct{ s *Step }

func (w stepWriter) Write(p []byte) (int, error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r.verbose {
		s.part = append(s.part, p...)
		if i := bytes.LastIndexByte(s.part, '\n'); i >= 0 {
			s.verbose(s.part[:i+1])
			s.part = append([]byte(nil), s.part[i+1:]...)
		}
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	return s.file.Write(p)
}

func (s *Step) verbose(lines []byte) {
	var b strings.Builder
	for line := range strings.Lines(string(lines)) {
		b.WriteString("  " + s.name + " | " + strings.TrimRight(line, "\n") + "\n")
	}
	s.r.print(b.String())
}

func (s *Step) open() error {
	if err := os.MkdirAll(s.r.logDir, 0o755); err != nil {
		return fmt.Errorf("log folder: %w", err)
	}
	s.r.mu.Lock()
	base := slug(s.name)
	s.r.names[base]++
	if n := s.r.names[base]; n > 1 {
		base = fmt.Sprintf("%s-%d", base, n)
	}
	s.r.mu.Unlock()
	s.path = filepath.Join(s.r.logDir, base+".log")
	f, err := os.Create(s.path)
	if err != nil {
		return fmt.Errorf("log of %q: %w", s.name, err)
	}
	s.file = f
	return nil
}

// Done ends the step and returns err, marked as told. It prints the step's time;
// if err is not nil it also prints the error, the last lines of the step's log,
// the log's path and, if err carries a hint, what to do. An error that another
// step was ended with is not printed again. Only the first call counts.
func (s *Step) Done(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return err
	}
	s.done = true
	close(s.stop)
	if len(s.part) > 0 {
		s.verbose(s.part)
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	took := seconds(time.Since(s.begun))
	if s.used >= time.Second {
		took += fmt.Sprintf(" (%s of CPU)", seconds(s.used))
	}
	if err == nil {
		s.r.print(fmt.Sprintf("✓ %s  %s\n", s.name, took))
		return nil
	}
	if Told(err) {
		// One failure ends all steps beside it: its reason is said once.
		s.r.print(fmt.Sprintf("✗ %s  %s: stopped because another step failed\n", s.name, took))
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "✗ %s  %s: %v\n", s.name, took, err)
	path := s.path
	if f, ok := errors.AsType[*failure](err); ok && f.log != "" {
		path = f.log
	}
	if path != "" {
		for _, line := range Tail(path, tailLines) {
			b.WriteString("    " + line + "\n")
		}
		b.WriteString("  log: " + path + "\n")
	}
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		b.WriteString("  " + f.hint + "\n")
	}
	s.r.print(b.String())
	return &told{err}
}

// told marks an error that a person has seen.
type told struct{ err error }

func (t *told) Error() string { return t.err.Error() }
func (t *told) Unwrap() error { return t.err }

// Told reports whether Done has printed everything that err consists of, so that
// it need not be printed again.
func Told(err error) bool {
	switch e := err.(type) { //nolint:errorlint // it walks through what is wrapped by itself
	case nil:
		return false
	case *told:
		return true
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		for _, one := range all {
			if !Told(one) {
				return false
			}
		}
		return len(all) > 0
	case interface{ Unwrap() error }:
		return Told(e.Unwrap())
	}
	return false
}

// Skip ends a step that had nothing to do, without a line.
func (s *Step) Skip() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	s.done = true
	close(s.stop)
	if s.file != nil {
		_ = s.file.Close()
	}
}

type failure struct {
	err       error
	log, hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Explain adds to err what a person needs to go on: the path of the log that
// tells why (empty: the step's own log) and one sentence on what to do (empty:
// none). Step.Done prints both. Explain of nil is nil.
func Explain(err error, log, hint string) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, log: log, hint: hint}
}

// Tail returns up to n last lines of the file at path, or nil if it cannot be
// read.
func Tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err == nil && fi.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	text := strings.TrimRight(string(b), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// slug turns a step's name into a file name.
func slug(name string) string {
	s := strings.Map(func(r rune) rune {
		if r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return '-'
	}, name)
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	return strings.Trim(s, "-.")
}
