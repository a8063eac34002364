// Package nginxtest runs the rendered configuration in a real nginx on loopback
// ports, for tests.
package nginxtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The oldest nginx that has everything the configuration uses.
const minMajor, minMinor = 1, 28

// packages are nginx, the prober and what they link, so that they run on any distribution.
var packages = []string{"nginx", "prometheus-blackbox-exporter", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3t64", "zlib1g", "libzstd1"}

// Command finds a real nginx: the one that the environment variable NGINX names, or
// the one on PATH when it is new enough, or Debian's, which is downloaded once into
// the user's cache. It gives the program and its first arguments.
var Command = sync.OnceValues(func() ([]string, error) {
	if named := os.Getenv("NGINX"); named != "" {
		return []string{named}, checkVersion(named)
	}
	if found, err := exec.LookPath("nginx"); err == nil && checkVersion(found) == nil {
		return []string{found}, nil
	}
	command, err := debian("usr/sbin/nginx")
	if err != nil {
		return nil, fmt.Errorf("no nginx %d.%d or newer (set NGINX, or put one on PATH), and none from Debian: %w", minMajor, minMinor, err)
	}
	return command, checkVersion(command...)
})

// Prober finds Debian's blackbox exporter, as Command does.
var Prober = sync.OnceValues(func() ([]string, error) { return debian("usr/bin/prometheus-blackbox-exporter") })

var versionPattern = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.`)

func checkVersion(command ...string) error {
	out, err := exec.Command(command[0], append(command[1:], "-v")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s -v: %w: %s", strings.Join(command, " "), err, out)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("%s -v says %q: no nginx", command[0], out)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	if major < minMajor || major == minMajor && minor < minMinor {
		return fmt.Errorf("%s is %s: want %d.%d or newer", command[0], m[0], minMajor, minMinor)
	}
	return nil
}

// debian unpacks the packages of Debian's development branch, whose signature apt
// checks, and runs a program of theirs with their own libraries. Nothing is installed.
func debian(program string) ([]string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "alphapulse-infra", "test-nginx")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Test packages run side by side.
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	defer lock.Close() //nolint:errcheck // only the lock goes with it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	root := filepath.Join(dir, "root")
	if command, err := unpacked(root, program); err == nil {
		return command, nil
	}
	// A half-made one stays beside, under another name.
	fresh, err := os.MkdirTemp(dir, "fresh")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // a leftover of the cache
	if err := download(fresh); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(root); err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(fresh, "root"), root); err != nil {
		return nil, err
	}
	return unpacked(root, program)
}

func unpacked(root, program string) ([]string, error) {
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu/ld-linux-*.so.*"))
	if err != nil {
		return nil, err
	}
	if len(loaders) != 1 {
		return nil, fmt.Errorf("%s holds %d dynamic loaders: want one", root, len(loaders))
	}
	path := filepath.Join(root, program)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return []string{loaders[0], "--library-path", filepath.Dir(loaders[0]), path}, nil
}

func download(dir string) error {
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat(keyring); err != nil {
		return errors.New("no signing keys of Debian: install debian-archive-keyring")
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "packages", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	source := fmt.Sprintf("deb [signed-by=%s] http://deb.debian.org/debian sid main\n", keyring)
	for name, content := range map[string]string{"sources.list": source, "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	// An apt of its own: the machine's lists and packages are neither read nor changed.
	options := []string{"-qq"}
	for _, o := range []string{
		"Dir::Etc::SourceList=" + filepath.Join(dir, "sources.list"), "Dir::Etc::SourceParts=/dev/null",
		"Dir::State::Lists=" + filepath.Join(dir, "lists"), "Dir::State::status=" + filepath.Join(dir, "status"),
		"Dir::Cache=" + filepath.Join(dir, "cache"), "APT::Sandbox::User=", "Acquire::Languages=none",
		"Acquire::Check-Valid-Until=false", "Acquire::Retries=3",
	} {
		options = append(options, "-o", o)
	}
	run := func(program string, args ...string) error {
		c := exec.Command(program, args...)
		c.Dir = filepath.Join(dir, "packages")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := run("apt-get", append(options, "update")...); err != nil {
		return err
	}
	if err := run("apt-get", append(append(options, "download"), packages...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "packages", "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := run("dpkg-deb", "-x", deb, filepath.Join(dir, "root")); err != nil {
			return err
		}
	}
	return nil
}
