//go:build e2e

package single

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// registry is the engine's own: plain HTTP on loopback, no password.
const registry = "127.0.0.1:30500"

// program is a copy of what the clone's Pulumi program consists of, so that a test
// can break a file of it.
func program(t testing.TB) string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
		"main.go", "go.mod", "go.sum", "Pulumi*", "components", "stacks", "docker")
	git.Dir = root
	list, err := git.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), raw)
	}
	return dir
}

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// images builds both images on the engine, pushes them to its registry and deploys
// their digests. What fails on the way changes no container.
func (s *session) images(t *testing.T) {
	dir, before := program(t), ids(t)
	dockerfile := filepath.Join(dir, "docker", "Dockerfile.backend.prod")
	good, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	built := func(registry string) string {
		return settings(t, "buildImages", "true", "registry", registry+"/alphapulse")
	}
	file := built(registry)
	same := func(what string) {
		t.Helper()
		if names := changed(before, ids(t)); len(names) > 0 {
			t.Errorf("%s: other containers came for %v", what, names)
		}
	}

	// The frontend's image can be built, and is not deployed either.
	write(t, dockerfile, bytes.Replace(good, []byte("\nWORKDIR "), []byte("\nRUN [\"/no-such-program\"]\nWORKDIR "), 1))
	refused(t, "no-such-program", "up", "--cwd", dir, "--yes", "--skip-preview", "--config-file", file)
	same("a build that fails")

	write(t, dockerfile, good)
	refused(t, "127.0.0.1:1/", "up", "--cwd", dir, "--yes", "--skip-preview", "--config-file", built("127.0.0.1:1"))
	same("a push that fails")

	up(t, "--cwd", dir, "--config-file", file)
	names := changed(before, ids(t))
	t.Logf("replaced: %v", names)
	for _, name := range names {
		if !strings.HasPrefix(name, "backend") && !strings.HasPrefix(name, "frontend") {
			t.Errorf("new images of the application replaced %s", name)
		}
	}
	var deployed map[string]string
	if err := json.Unmarshal([]byte(pulumi(t, "stack", "output", "images", "--json")), &deployed); err != nil {
		t.Fatal(err)
	}
	all := containers(t)
	for part, container := range map[string]string{"backend": "backend-1", "dashboard": "backend-dashboard", "frontend": "frontend"} {
		digest := regexp.MustCompile(`^127\.0\.0\.1:30500/alphapulse/([a-z]+)@(sha256:[0-9a-f]{64})$`).FindStringSubmatch(deployed[part])
		if digest == nil {
			t.Fatalf("%s is deployed as %q, want a digest in the registry", part, deployed[part])
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/v2/alphapulse/%s/manifests/%s", registry, digest[1], digest[2]), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("the registry has no %s: %s", deployed[part], res.Status)
		}
		var image struct {
			RepoDigests []string
			Size        int64
			Config      struct {
				User        string
				Labels      map[string]string
				Healthcheck *struct{ Test []string }
			}
		}
		if err := json.Unmarshal(ask(t, http.MethodGet, "/images/"+all[container].Image+"/json", nil), &image); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s runs %s of %.1f MB, user %s, check %v", container, deployed[part], float64(image.Size)/1e6, image.Config.User, image.Config.Healthcheck)
		if !slices.Contains(image.RepoDigests, deployed[part]) {
			t.Errorf("%s runs %v, and deployed is %s", container, image.RepoDigests, deployed[part])
		}
		// What runs and nothing beside it: the program with OpenTelemetry is 32 MB, a
		// distribution or a compiler below it would be more.
		if image.Size >= 40e6 || image.Config.Healthcheck == nil || !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(image.Config.User) || image.Config.Labels["org.opencontainers.image.revision"] == "unknown" {
			t.Errorf("%s: %+v", part, image)
		}
	}
	answers(t, outputsOf(t))

	// Neither a commit, nor a time, nor a test builds anything again.
	before = ids(t)
	write(t, filepath.Join(dir, "docker", "backend", "main_test.go"), []byte("package main\n"))
	write(t, dockerfile, bytes.Clone(good))
	up(t, "--cwd", dir, "--config-file", file, "--expect-no-changes")
	same("nothing to build")
}
