// Package toolchain provides the Pulumi command line that deploys this
// repository: the user's own where it is recent enough, else the pinned one with
// its Go host and providers, built from source. Either works on the same state,
// which by default is a folder of the clone.
package toolchain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Setting is the environment variable that chooses the command line: empty takes
// a recent enough one from PATH and else the pinned one, "pinned" never looks at
// PATH.
const Setting = "PULUMI_TOOLCHAIN"

// Variables of Pulumi that are left as they are when the user sets them.
const (
	backendEnv        = "PULUMI_BACKEND_URL"
	passphraseEnv     = "PULUMI_CONFIG_PASSPHRASE"
	passphraseFileEnv = "PULUMI_CONFIG_PASSPHRASE_FILE"
)

// Providers of the two kinds of stack.
var (
	Kubernetes = []string{"pulumi-resource-kubernetes", "pulumi-resource-random"}
	Docker     = []string{"pulumi-resource-docker", "pulumi-resource-random"}
)

// commands are the programs of the pinned toolchain besides providers.
var commands = []string{"pulumi", "pulumi-language-go", "language-host"}

var versions = map[string]string{
	"pulumi-resource-kubernetes": build.KubernetesProviderVersion,
	"pulumi-resource-random":     build.RandomProviderVersion,
	"pulumi-resource-docker":     build.DockerProviderVersion,
}

// Toolchain is a Pulumi command line that is ready to run.
type Toolchain struct {
	Path    string // of the pulumi binary
	Version string // as it tells it, e.g. v3.259.0
	Pinned  bool   // built from source, not found on PATH

	env   []string
	home  string // folder of the pinned toolchain; empty for one on PATH
	state string // folder of the file backend; empty if the user has another backend
	own   bool   // secrets are encrypted with the passphrase that this package made
}

// Ensure returns the toolchain for stacks on Kubernetes. It builds what is
// missing, which takes minutes the first time.
func Ensure(ctx context.Context, r *progress.Reporter) (*Toolchain, error) {
	return EnsureWith(ctx, r, Kubernetes...)
}

// EnsureWith is Ensure for the named providers (names in build's table), of
// which Kubernetes and Docker hold the useful sets. A Pulumi on PATH fetches its
// providers itself.
func EnsureWith(ctx context.Context, r *progress.Reporter, providers ...string) (*Toolchain, error) {
	t, err := onPath(ctx, r)
	if err != nil {
		return nil, err
	}
	if t == nil {
		if t, err = pinned(ctx, r, providers); err != nil {
			return nil, err
		}
	}
	return t, t.prepare()
}

// onPath returns the Pulumi on PATH if it can be used, or nil.
func onPath(ctx context.Context, r *progress.Reporter) (*Toolchain, error) {
	switch choice := os.Getenv(Setting); choice {
	case "pinned":
		return nil, nil
	case "":
	default:
		return nil, fmt.Errorf("%s=%s is not known: leave it empty to use a recent pulumi on PATH, or set it to pinned", Setting, choice)
	}
	bin, err := exec.LookPath("pulumi")
	if err != nil {
		return nil, nil
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, fmt.Errorf("pulumi on PATH: %w", err)
	}
	cmd := exec.CommandContext(ctx, bin, "version")
	cmd.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	v := strings.TrimSpace(string(out))
	if err != nil {
		v = ""
	}
	if !usable(v) {
		r.Infof("%s (%s) is not used: %s or a later v3 is needed", bin, orUnknown(v), build.PulumiVersion)
		return nil, nil
	}
	r.Infof("using %s (%s)", bin, v)
	return &Toolchain{Path: bin, Version: v}, nil
}

func orUnknown(v string) string {
	if v == "" {
		return "version unknown"
	}
	return v
}

// pinned builds the toolchain and lays it out as Pulumi's installer does: the
// command and its language host side by side, providers in the plugin folder. The
// host's place is taken by language-host, which becomes the genuine one.
func pinned(ctx context.Context, r *progress.Reporter, providers []string) (*Toolchain, error) {
	found, err := build.Ensure(ctx, r, slices.Concat(commands, providers)...)
	if err != nil {
		return nil, err
	}
	home, err := paths.StateDir("pulumi-home")
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(home, "bin")
	for name, from := range found {
		to := filepath.Join(bin, name)
		switch name {
		case "language-host":
			to = filepath.Join(bin, "pulumi-language-go")
		case "pulumi-language-go":
			to = filepath.Join(home, "host", name)
		}
		if v, ok := versions[name]; ok {
			to = filepath.Join(home, "plugins", strings.TrimPrefix(name, "pulumi-")+"-"+v, name)
		}
		if err := place(from, to); err != nil {
			return nil, fmt.Errorf("install %s: %w", name, err)
		}
	}
	t := &Toolchain{Path: filepath.Join(bin, "pulumi"), Version: build.PulumiVersion, Pinned: true, home: home}
	t.env = append(t.env,
		"PULUMI_HOME="+home,
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
	)
	return t, nil
}

// Missing returns the tools that Ensure would have to build, by their names in
// build's table: none if a usable Pulumi is on PATH.
func Missing(ctx context.Context, r *progress.Reporter) []string {
	if t, err := onPath(ctx, r); err == nil && t != nil {
		return nil
	}
	return build.Missing(ctx, slices.Concat(commands, Kubernetes)...)
}

// Fresh tells whether the clone's own backend holds no stack yet.
func (t *Toolchain) Fresh() (bool, error) {
	if t.state == "" {
		return false, nil
	}
	files, err := filepath.Glob(filepath.Join(t.state, ".pulumi", "stacks", "*", "*.json"))
	return len(files) == 0, err
}

// Pending returns how many operations on a stack were begun by a run that was
// killed before it could note their end; 0 if another backend holds the stack.
func (t *Toolchain) Pending(stack string) (int, error) {
	if t.state == "" {
		return 0, nil
	}
	files, err := filepath.Glob(filepath.Join(t.state, ".pulumi", "stacks", "*", stack+".json"))
	if err != nil || len(files) == 0 {
		return 0, err
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		return 0, fmt.Errorf("state of stack %s: %w", stack, err)
	}
	var state struct {
		Checkpoint struct {
			Latest struct {
				Pending []struct{} `json:"pending_operations"`
			} `json:"latest"`
		} `json:"checkpoint"`
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return 0, fmt.Errorf("state of stack %s: %s: %w", stack, files[0], err)
	}
	return len(state.Checkpoint.Latest.Pending), nil
}

// place makes to the same file as from. Pulumi resolves symbolic links to find
// what lies beside it, so it is a hard link or, across file systems, a copy.
func place(from, to string) error {
	want, err := os.Stat(from)
	if err != nil {
		return err
	}
	have, err := os.Stat(to)
	if err == nil && (os.SameFile(have, want) || have.Size() == want.Size() && have.ModTime().Equal(want.ModTime())) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", to, os.Getpid())
	defer func() { _ = os.Remove(tmp) }()
	if os.Link(from, tmp) != nil {
		if err := copyFile(from, tmp, want); err != nil {
			return err
		}
	}
	return os.Rename(tmp, to)
}

func copyFile(from, to string, as fs.FileInfo) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, as.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = dst.ReadFrom(src)
	if err := errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, as.ModTime(), as.ModTime())
}

// prepare adds what both kinds of toolchain need: the backend, the passphrase and
// settings that keep runs alike.
func (t *Toolchain) prepare() error {
	env := map[string]string{
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		// Programs are compiled by the language host: equal flags share Go's cache.
		"CGO_ENABLED": "0",
		"GOFLAGS":     build.GoFlags(),
		// The stack files in git hold no salt: it belongs to this clone's
		// passphrase and is kept in the state.
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
	}
	if os.Getenv(backendEnv) == "" {
		dir, err := paths.StateDir("state")
		if err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("protect the state: %w", err)
		}
		t.state = dir
		env[backendEnv] = (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
	}
	_, phrase := os.LookupEnv(passphraseEnv)
	_, file := os.LookupEnv(passphraseFileEnv)
	if !phrase && !file {
		path, err := passphrase()
		if err != nil {
			return err
		}
		t.own = true
		env[passphraseFileEnv] = path
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		t.env = append(t.env, k+"="+env[k])
	}
	return nil
}

// With returns a copy of the toolchain whose commands have further variables.
func (t *Toolchain) With(env ...string) *Toolchain {
	c := *t
	c.env = slices.Concat(t.env, env)
	return &c
}
