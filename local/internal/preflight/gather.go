package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Gather finds out what Check has to know for these needs. It changes nothing.
// An error is that of ctx only: what cannot be found out is not a problem.
func Gather(ctx context.Context, n Needs) (Facts, error) {
	f := Facts{OS: runtime.GOOS, Root: os.Geteuid() == 0, Listening: map[int]string{}}
	if f.OS != "linux" {
		return f, nil
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	registry := func(look func() *Registry) {
		wg.Go(func() {
			if r := look(); r != nil {
				mu.Lock()
				defer mu.Unlock()
				f.Registries = append(f.Registries, *r)
			}
		})
	}
	if n.cold() {
		registry(func() *Registry { return goRegistry(ctx, n.GoModules) })
	}
	if len(n.Debian) > 0 {
		if missing := lookAll("apt-get", "dpkg-deb"); missing != "" {
			f.Tools = append(f.Tools, fmt.Sprintf("%s is missing, and the packages %s must come from Debian: run this on Debian 12 or newer", missing, strings.Join(n.Debian, ", ")))
		} else {
			registry(func() *Registry { return aptRegistry(ctx) })
		}
	}
	if n.NPM {
		if missing := lookAll("npm"); missing != "" {
			f.Tools = append(f.Tools, "npm is missing, and the user interface is built with it: install Node.js 20 or newer with npm")
		} else {
			registry(func() *Registry { return npmRegistry(ctx) })
		}
	}
	machine(ctx, n, &f)
	wg.Wait()
	if ctx.Err() != nil {
		return f, context.Cause(ctx)
	}
	return f, nil
}

func lookAll(names ...string) string {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return n
		}
	}
	return ""
}

// goRegistry asks the module proxies for a module that is needed for sure. A
// proxy that is out of reach is no problem as long as every module is in Go's
// download cache already.
func goRegistry(ctx context.Context, modules []string) *Registry {
	out, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
	if err != nil {
		return nil // whoever compiles says what is wrong with Go
	}
	list := strings.TrimSpace(string(out))
	r := &Registry{Name: "Go modules", Address: list, Setting: "GOPROXY to one that is"}
	for _, proxy := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == '|' }) {
		switch {
		case proxy == "direct" || strings.HasPrefix(proxy, "file:"):
			if r.Err == nil {
				return nil // another kind of source, that is not looked at
			}
		case proxy == "off":
			r.Err = errors.Join(r.Err, errors.New("GOPROXY is off"))
		default:
			err := answers(ctx, strings.TrimSuffix(proxy, "/")+"/golang.org/x/sys/@v/list")
			if err == nil {
				return nil
			}
			r.Address, r.Err = proxy, err
		}
		if r.Err != nil && proxy != "off" {
			break // the first proxy decides: Go goes on only where a module is unknown
		}
	}
	if r.Err == nil || cached(ctx, modules) {
		return nil
	}
	return r
}

// cached reports whether Go's download cache has all that the modules need.
func cached(ctx context.Context, modules []string) bool {
	for _, dir := range modules {
		cmd := exec.CommandContext(ctx, "go", "mod", "download")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off")
		if cmd.Run() != nil {
			return false
		}
	}
	return true
}

// aptRegistry fetches the index of a package source with apt's own means, so
// that its proxies and credentials apply. One source that answers is enough.
func aptRegistry(ctx context.Context) *Registry {
	r := &Registry{Name: "Debian packages", Address: "apt's sources", Setting: "a mirror in /etc/apt/sources.list"}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(SITE)/dists/$(RELEASE)/InRelease", "Identifier: Packages").Output()
	urls := slices.Compact(slices.Sorted(strings.Lines(string(out))))
	if err != nil || len(urls) == 0 {
		r.Err = errors.New("none is configured")
		return r
	}
	tmp, err := os.MkdirTemp("", "alphapulse-preflight-")
	if err != nil {
		return nil
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	_ = os.Chmod(tmp, 0o777) // apt downloads as a user of its own
	ctx, cancel := context.WithTimeoutCause(ctx, 2*registryTimeout, fmt.Errorf("no answer within %s", 2*registryTimeout))
	results := make(chan Registry, len(urls))
	// The folder is removed when nobody writes to it any more.
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i, url := range urls {
		wg.Go(func() {
			url := strings.TrimSpace(url)
			cmd := wholeCommand(ctx, "/usr/lib/apt/apt-helper", "-o", "Acquire::Retries=0", "-o", fmt.Sprintf("Acquire::http::Timeout=%d", int(registryTimeout.Seconds())),
				"download-file", url, filepath.Join(tmp, strconv.Itoa(i)))
			var errs bytes.Buffer
			cmd.Stderr = &errs
			err := cmd.Run()
			switch {
			case ctx.Err() != nil:
				err = context.Cause(ctx)
			case err != nil && errs.Len() > 0:
				err = errors.New(strings.TrimPrefix(firstLine(errs.String()), "E: "))
			}
			results <- Registry{Address: url, Err: err}
		})
	}
	for range urls {
		result := <-results
		if result.Err == nil {
			cancel()
			return nil
		}
		r.Address, r.Err = result.Address, result.Err
	}
	return r
}

// wholeCommand returns a command that ends, when ctx does, with all that it has started.
func wholeCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

func npmRegistry(ctx context.Context) *Registry {
	out, err := exec.CommandContext(ctx, "npm", "config", "get", "registry").Output()
	if err != nil {
		return nil // npm itself will say what is wrong
	}
	url := strings.TrimSuffix(strings.TrimSpace(string(out)), "/")
	if err := answers(ctx, url+"/react"); err != nil {
		return &Registry{Name: "npm packages", Address: url, Setting: "npm's registry to one that is (npm config set registry URL)", Err: err}
	}
	return nil
}

// answers reports whether a GET of url is answered with success.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, registryTimeout, fmt.Errorf("no answer within %s", registryTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.Unwrap(err) // without the address, which is told anyway
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 1)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
