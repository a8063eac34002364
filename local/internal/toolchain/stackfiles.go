package toolchain

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"sigs.k8s.io/yaml"
)

// saltKey is where Pulumi writes, into the stack file, the salt of the
// passphrase. In a clone that has its own passphrase the salt is of no use to
// anyone else, and a commit of it would lock others out of the stack: it stays in
// the state instead, where Pulumi finds it again.
const saltKey = "encryptionsalt"

// stackFiles is what the stack files of a project were before a command.
type stackFiles struct {
	before map[string][]byte
	// copies is a folder with the same, for the next run if this one is killed.
	// It is named after the process.
	copies string
}

// keepStackFiles remembers the stack files in dir. First it restores what a killed
// process has left there, by the copies below its folder in all.
func keepStackFiles(dir, all string) (*stackFiles, error) {
	left, err := filepath.Glob(filepath.Join(all, "*"))
	if err != nil {
		return nil, err
	}
	for _, copies := range left {
		pid, err := strconv.Atoi(filepath.Base(copies))
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		f := &stackFiles{copies: copies}
		if f.before, err = readStackFiles(copies); err != nil {
			return nil, err
		}
		if err := f.restore(dir); err != nil {
			return nil, err
		}
	}

	f := &stackFiles{copies: filepath.Join(all, strconv.Itoa(os.Getpid()))}
	if f.before, err = readStackFiles(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.copies, 0o755); err != nil {
		return nil, fmt.Errorf("stack files: %w", err)
	}
	for name, b := range f.before {
		if err := os.WriteFile(filepath.Join(f.copies, name), b, 0o644); err != nil {
			return nil, fmt.Errorf("stack files: %w", err)
		}
	}
	return f, nil
}

func readStackFiles(dir string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "Pulumi.*.yaml"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("stack file: %w", err)
		}
		files[filepath.Base(path)] = b
	}
	return files, nil
}

// restore undoes what Pulumi does to a stack file by the way: the salt, and the
// style of values. A file whose content the command changed only loses the salt.
func (f *stackFiles) restore(dir string) error {
	var errs []error
	for name, before := range f.before {
		name = filepath.Join(dir, name)
		after, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the stack was removed on request
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("stack file: %w", err))
			continue
		}
		want, err := clean(before, after)
		if err != nil {
			errs = append(errs, fmt.Errorf("stack file %s: %w", name, err))
			continue
		}
		if !bytes.Equal(want, after) {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				errs = append(errs, fmt.Errorf("stack file: %w", err))
			}
		}
	}
	if len(errs) == 0 {
		errs = append(errs, os.RemoveAll(f.copies))
	}
	return errors.Join(errs...)
}

// clean returns what a stack file that was before and now is after should be.
func clean(before, after []byte) ([]byte, error) {
	if bytes.Equal(before, after) {
		return after, nil
	}
	old, err := parse(before)
	if err != nil {
		return nil, err
	}
	now, err := parse(after)
	if err != nil {
		return nil, err
	}
	if _, had := old[saltKey]; had {
		return after, nil // somebody decided to keep it there
	}
	if hasSecret(now) {
		return after, nil // encrypted values are worth nothing without their salt
	}
	delete(now, saltKey)
	if reflect.DeepEqual(plain(old), plain(now)) {
		return before, nil
	}
	var kept []byte
	for line := range bytes.Lines(after) {
		if !bytes.HasPrefix(line, []byte(saltKey+":")) {
			kept = append(kept, line...)
		}
	}
	return kept, nil
}

func parse(b []byte) (map[string]any, error) {
	m := map[string]any{}
	err := yaml.Unmarshal(b, &m)
	if m == nil {
		m = map[string]any{}
	}
	return m, err
}

// plain makes 3 and "3" the same, as Pulumi does.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	default:
		return strings.TrimSpace(fmt.Sprint(v))
	}
}

// hasSecret tells whether a value anywhere in v is encrypted.
func hasSecret(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "secure" || hasSecret(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasSecret(e) {
				return true
			}
		}
	}
	return false
}
