// Package images makes the container images that the local cluster runs, under
// the names and tags that users get from public registries. There is no registry
// here, so each image is put together from Debian packages or Go modules and
// keeps the contract of its upstream: users, entrypoint, paths, environment.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// An Image is a row of the table: what one image is made of.
type Image struct {
	// Name is short and unique.
	Name string
	// Refs are the full names under which runtimes find the image; the first is
	// what the stacks use by default.
	Refs []string
	// Cluster marks what the cluster itself needs before it runs anything else.
	Cluster bool
	// Base marks what the Dockerfiles begin with: only builds need it.
	Base bool
	// Optional marks what only stacks with certain settings need.
	Optional bool
	// Source says what the image is built from.
	Source string
	// Version is the version of what is built. Of Debian's unstable release, which
	// moves, it is the version when the row was written.
	Version string
	// Differs says in what the image is not what users get upstream under the same
	// name. It is never empty if the versions differ.
	Differs string

	debPackage string            // the Debian package whose version the image has, if any
	layers     []debian.Recipe   // root file systems, the lowest first
	tools      map[string]string // path in the image → name in the table of package build
	pages      map[string]string // folder in the image → name there of pages
	commands   map[string]string // commands that building the tools needs on PATH → Debian package
	modules    []moduleFiles
	goVersion  string            // of the Go tool chain that lies in /usr/local/go, if any
	appends    map[string]string // path in the root file systems → text to add at its end
	tree       oci.Tree
	config     v1.Config
}

// moduleFiles are files of a Go module that an image carries as they are.
type moduleFiles struct {
	pinnedBy string // folder below local/modules whose go.mod names the module
	module   string
	from, to string // folder in the module, path in the image
}

// An Archive is an image on disk.
type Archive struct {
	Name    string   // of its row in the table
	Refs    []string // as in the table
	Path    string   // for `ctr images import` or `docker load`
	ID      string   // digest of the image's configuration: the ID that runtimes show
	Version string   // of what is inside
}

const (
	// format changes when the same row gives another archive.
	format = "2"
	// unused is how long the cache keeps what no run has asked for.
	unused = 14 * 24 * time.Hour
	// anyKey matches every key: redis-… must not match redis-exporter-….
	anyKey = "????????????????"
	// parallel is how many images are fetched or written at once.
	parallel = 2
)

// Ensure makes those archives of the table that the cache does not hold and
// returns all but those that only builds or only certain stacks need. It needs root and, for what is
// missing, the Debian mirror, the Go module proxy and the npm registry. One image
// that fails does not stop the others: its error names it, and the archives of the
// others are returned with it.
func Ensure(ctx context.Context, r *progress.Reporter) ([]Archive, error) {
	return ensure(ctx, r, rows(func(i Image) bool { return !i.Base && !i.Optional }))
}

// EnsureCluster is Ensure for the images that the cluster itself needs first.
func EnsureCluster(ctx context.Context, r *progress.Reporter) ([]Archive, error) {
	return ensure(ctx, r, rows(func(i Image) bool { return i.Cluster }))
}

// EnsureStack is Ensure for the images that are not the cluster's own.
func EnsureStack(ctx context.Context, r *progress.Reporter) ([]Archive, error) {
	return ensure(ctx, r, rows(func(i Image) bool { return !i.Base && !i.Cluster && !i.Optional }))
}

// EnsureNamed is Ensure for the images that are named, whatever needs them.
func EnsureNamed(ctx context.Context, r *progress.Reporter, names ...string) ([]Archive, error) {
	var known []string
	for _, i := range Table() {
		known = append(known, i.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no image is named %q: there are %s", name, strings.Join(known, ", "))
		}
	}
	return ensure(ctx, r, rows(func(i Image) bool { return slices.Contains(names, i.Name) }))
}

// EnsureBases is Ensure for the images that builds begin with.
func EnsureBases(ctx context.Context, r *progress.Reporter) ([]Archive, error) {
	return ensure(ctx, r, rows(func(i Image) bool { return i.Base }))
}

func rows(wanted func(Image) bool) []Image {
	return slices.DeleteFunc(Table(), func(i Image) bool { return !wanted(i) })
}

// Have returns the archives that the cache holds of the images as they were last
// made, by name, without making any.
func Have() (map[string]Archive, error) {
	dir, err := paths.Cache("images")
	if err != nil {
		return nil, err
	}
	have := map[string]Archive{}
	for _, i := range Table() {
		var newest time.Time
		lists, err := filepath.Glob(filepath.Join(dir, i.Name+"-"+anyKey+".json"))
		if err != nil {
			return nil, err
		}
		for _, list := range lists {
			fi, err := os.Stat(list)
			if err != nil || !fi.ModTime().After(newest) {
				continue
			}
			if a, err := load(strings.TrimSuffix(list, ".json"), i); err == nil {
				newest, have[i.Name] = fi.ModTime(), *a
			}
		}
	}
	return have, nil
}

// A factory makes images into one cache.
type factory struct {
	r       *progress.Reporter
	rootfs  string // folder of root file systems
	archive string // folder of archives
	tools   func(ctx context.Context, names ...string) (map[string]string, error)
	turns   *queue

	ranks map[string]int // of recipes, by key: that of the first image that needs it

	mu      sync.Mutex
	recipes map[string]func() (*debian.Rootfs, error)
	apt     sync.Mutex // two at once would wait for each other's lock and fail
}

func ensure(ctx context.Context, r *progress.Reporter, rows []Image) ([]Archive, error) {
	rootfs, err := paths.CacheDir("rootfs")
	if err != nil {
		return nil, err
	}
	archive, err := paths.CacheDir("images")
	if err != nil {
		return nil, err
	}
	f := &factory{
		r: r, rootfs: rootfs, archive: archive,
		tools: func(ctx context.Context, names ...string) (map[string]string, error) {
			return build.Ensure(ctx, r, names...)
		},
		turns:   newQueue(parallel),
		recipes: map[string]func() (*debian.Rootfs, error){},
	}
	return f.all(ctx, rows)
}

func (f *factory) all(ctx context.Context, rows []Image) ([]Archive, error) {
	f.ranks = map[string]int{}
	for n, row := range rows {
		for _, l := range row.layers {
			if _, ok := f.ranks[l.Key()]; !ok {
				f.ranks[l.Key()] = n
			}
		}
	}
	archives := make([]*Archive, len(rows))
	errs := make([]error, len(rows))
	var wg sync.WaitGroup
	for n, row := range rows {
		wg.Go(func() {
			a, err := f.one(ctx, n, row)
			if err != nil {
				err = fmt.Errorf("image %s: %w", row.Name, err)
			}
			archives[n], errs[n] = a, err
		})
	}
	wg.Wait()
	var made []Archive
	for _, a := range archives {
		if a != nil {
			made = append(made, *a)
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		err = errors.Join(debian.Prune(f.rootfs, unused), debian.Prune(f.archive, unused))
	}
	return made, err
}

// one makes one image, unless it is there. Its rank decides who goes first.
func (f *factory) one(ctx context.Context, rank int, i Image) (*Archive, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if older, err := filepath.Glob(filepath.Join(f.archive, i.Name+"-"+anyKey+".tar")); err == nil && len(older) == 0 {
		// It has to be made in any case: fetch packages while programs compile.
		for _, recipe := range i.layers {
			wg.Go(func() { _, _ = f.base(ctx, recipe) }) // an error shows below
		}
	}
	binaries := map[string]string{}
	if names := i.built(); len(names) > 0 {
		if err := f.install(ctx, i.commands); err != nil {
			return nil, err
		}
		var err error
		if binaries, err = f.tools(ctx, names...); err != nil {
			return nil, err
		}
	}
	key, err := f.key(i, binaries)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(f.archive, i.Name+"-"+key)
	if a, err := load(base, i); err == nil {
		touch(base)
		return a, nil
	}

	var below []*debian.Rootfs
	for _, recipe := range i.layers {
		fs, err := f.base(ctx, recipe)
		if err != nil {
			return nil, err
		}
		below = append(below, fs)
	}
	if err := f.turns.take(ctx, rank); err != nil {
		return nil, err
	}
	defer f.turns.leave()
	s := f.r.Step("image " + strings.TrimPrefix(i.Refs[0], "docker.io/"))
	a, err := f.write(ctx, i, base, below, binaries, s)
	return a, s.Done(err)
}

// built are the names in package build's table of what the image has from there.
func (i Image) built() []string {
	names := slices.AppendSeq(slices.Collect(maps.Values(i.tools)), maps.Values(i.pages))
	slices.Sort(names)
	return slices.Compact(names)
}

// install installs the packages of those commands that are missing.
func (f *factory) install(ctx context.Context, commands map[string]string) error {
	f.apt.Lock()
	defer f.apt.Unlock()
	return debian.Install(ctx, f.r, commands)
}

// base returns a root file system, which several images may share.
func (f *factory) base(ctx context.Context, recipe debian.Recipe) (*debian.Rootfs, error) {
	f.mu.Lock()
	get := f.recipes[recipe.Key()]
	if get == nil {
		get = sync.OnceValues(func() (*debian.Rootfs, error) {
			if fs, err := recipe.Load(f.rootfs); err == nil {
				return fs, nil
			}
			if err := f.install(ctx, debian.Commands()); err != nil {
				return nil, err
			}
			if err := f.turns.take(ctx, f.ranks[recipe.Key()]); err != nil {
				return nil, err
			}
			defer f.turns.leave()
			s := f.r.Step("unpack " + strings.Join(recipe.Packages[:1], " ") + " of Debian " + recipe.Suite)
			fs, err := recipe.Build(ctx, f.rootfs, s.Writer())
			return fs, s.Done(err)
		})
		f.recipes[recipe.Key()] = get
	}
	f.mu.Unlock()
	return get()
}

// key names what an image is made of: equal keys, equal images, as long as the
// Debian mirror offers the same versions.
func (f *factory) key(i Image, binaries map[string]string) (string, error) {
	h := sha256.New()
	put := func(v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings, numbers and maps of them
		}
		h.Write(raw)
		h.Write([]byte{'\n'})
	}
	put(format)
	put(i.Refs)
	put(i.Version)
	put(i.Source)
	put(i.config)
	put(i.tree)
	put(i.appends)
	for _, l := range i.layers {
		put(l.Key())
	}
	put(i.tools)
	for _, m := range i.modules {
		put([]string{m.module, m.from, m.to})
		sums, err := pinFile(m.pinnedBy)
		if err != nil {
			return "", err
		}
		put(string(sums))
	}
	if i.goVersion != "" { // rows without one keep the keys that they had before
		put(i.goVersion + " with its standard library compiled")
	}
	if len(i.pages) > 0 {
		put(i.pages)
	}
	for _, name := range i.built() {
		// The path has the key of what it was built from in it.
		put(binaries[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
