package policy

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// workflow is the part of a workflow's file that the rules are about; actionlint, in
// `make test`, checks the rest.
type workflow struct {
	On          yaml.Node
	Permissions map[string]string
	Concurrency struct {
		Group  string
		Cancel any `yaml:"cancel-in-progress"`
	}
	Jobs map[string]job
}

type job struct {
	Uses, Needs string
	If          string
	Environment string
	Permissions map[string]string
	Timeout     int `yaml:"timeout-minutes"`
	Steps       []step
}

type step struct {
	Name, Uses, Run, If string
	With                map[string]any
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.y*ml"))
	require.NoError(t, err)
	all := map[string]workflow{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var w workflow
		require.NoError(t, yaml.Unmarshal(raw, &w), file)
		all[strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))] = w
	}
	require.Subset(t, slices.Collect(maps.Keys(all)), []string{"test", "preview", "deploy", "images"})
	return all
}

// steps calls look with every step of every workflow.
func steps(t *testing.T, look func(t *testing.T, where string, s step)) {
	for name, w := range workflows(t) {
		for id, j := range w.Jobs {
			for _, s := range j.Steps {
				look(t, name+"/"+id+" "+s.Name+s.Uses, s)
			}
		}
	}
}

// triggers names the events that start a workflow.
func (w workflow) triggers() []string {
	var events []string
	if w.On.Kind == yaml.MappingNode {
		for i := 0; i < len(w.On.Content); i += 2 {
			events = append(events, w.On.Content[i].Value)
		}
	}
	return events
}

// TestActionsArePinned: a tag can be moved to other code, a commit cannot. The comment
// says which version it is, for whoever updates it.
func TestActionsArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	steps(t, func(t *testing.T, where string, s step) {
		if s.Uses != "" {
			assert.Regexp(t, pinned, s.Uses, where)
		}
	})
	root, err := recorder.Root()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.y*ml"))
	require.NoError(t, err)
	versions := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(raw)) {
			action, found := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "- "), "uses: ")
			if !found || strings.HasPrefix(action, "./") {
				continue
			}
			ref, version, _ := strings.Cut(action, " # ")
			assert.Regexp(t, `^v\d+\.\d+\.\d+$`, version, "%s: %s says no version", filepath.Base(file), ref)
			name, _, _ := strings.Cut(ref, "@")
			if other, seen := versions[name]; seen {
				assert.Equal(t, other, action, "%s is used in two versions", name)
			}
			versions[name] = action
		}
	}
}

// TestPermissionsAreMinimal: a workflow reads the code, a job that needs more says
// so, and no code of a stranger runs with secrets.
func TestPermissionsAreMinimal(t *testing.T) {
	more := map[string]map[string]string{
		"preview/manifests":   {"contents": "read", "pull-requests": "write"}, // the comment
		"preview/cluster":     {"contents": "read", "pull-requests": "write"},
		"preview/credentials": {},
		"images/push":         {"actions": "read", "packages": "write"}, // the registry, for what another job built
	}
	for name, w := range workflows(t) {
		assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions, name)
		assert.NotContains(t, w.triggers(), "pull_request_target", "%s would run a stranger's code with secrets", name)
		for id, j := range w.Jobs {
			if j.Permissions != nil {
				assert.Equal(t, more[name+"/"+id], j.Permissions, "%s/%s", name, id)
			}
			if j.Uses == "" {
				assert.Positive(t, j.Timeout, "%s/%s may hang for six hours", name, id)
			}
		}
	}
	steps(t, func(t *testing.T, where string, s step) {
		if strings.HasPrefix(s.Uses, "actions/checkout@") {
			assert.Equal(t, false, s.With["persist-credentials"], "%s leaves a token for later steps", where)
		}
		// Go's cache is on unless it is turned off.
		if strings.HasPrefix(s.Uses, "actions/setup-go@") {
			assert.NotContains(t, s.With, "cache", "%s", where)
		}
	})
}

// TestRunsDoNotMeet: what a newer push replaces is cancelled, an update never is.
func TestRunsDoNotMeet(t *testing.T) {
	for name, w := range workflows(t) {
		assert.NotEmpty(t, w.Concurrency.Group, name)
		if name == "deploy" {
			assert.Equal(t, false, w.Concurrency.Cancel, "a cancelled update leaves its state locked")
		} else {
			assert.NotEqual(t, false, w.Concurrency.Cancel, name)
		}
	}
}

// TestPullRequestsGetTheirDiff, forks too, in one comment that is edited.
func TestPullRequestsGetTheirDiff(t *testing.T) {
	w := workflows(t)["preview"]
	assert.Equal(t, []string{"pull_request"}, w.triggers())
	manifests := w.Jobs["manifests"]
	find := func(j job, what func(s step) bool) step {
		i := slices.IndexFunc(j.Steps, what)
		require.GreaterOrEqual(t, i, 0)
		return j.Steps[i]
	}
	diff := find(manifests, func(s step) bool { return strings.Contains(s.Run, "make preview-diff") })
	assert.Empty(t, diff.If, "a fork gets no diff")
	comment := find(manifests, func(s step) bool { return strings.Contains(s.Run, "--method POST") })
	assert.Contains(t, comment.Run, "--method PATCH", "every push would write another comment")
	assert.Contains(t, comment.If, "head.repo.full_name == github.repository", "the token of a fork may not write")
	preview := find(w.Jobs["cluster"], func(s step) bool { return strings.HasPrefix(s.Uses, "pulumi/actions@") })
	assert.Equal(t, "preview", preview.With["command"])
	assert.Equal(t, true, preview.With["comment-on-pr"])
	assert.Equal(t, true, preview.With["edit-pr-comment"], "every push would write another comment")
}

// TestDeployment: dev follows main, prod follows tags behind its environment, and
// neither what no test has passed.
func TestDeployment(t *testing.T) {
	w := workflows(t)["deploy"]
	assert.Equal(t, []string{"push"}, w.triggers())
	var on struct {
		Push struct{ Branches, Tags []string }
	}
	require.NoError(t, w.On.Decode(&on))
	assert.Equal(t, []string{"main"}, on.Push.Branches)
	assert.Equal(t, []string{"v*.*.*"}, on.Push.Tags)
	assert.Equal(t, "./.github/workflows/test.yml", w.Jobs["test"].Uses)
	up := w.Jobs["up"]
	assert.Equal(t, "test", up.Needs)
	assert.Equal(t, "${{ github.ref_type == 'tag' && 'prod' || 'dev' }}", up.Environment)
	i := slices.IndexFunc(up.Steps, func(s step) bool { return strings.HasPrefix(s.Uses, "pulumi/actions@") })
	require.GreaterOrEqual(t, i, 0)
	assert.Equal(t, "up", up.Steps[i].With["command"])
	assert.Contains(t, up.Steps[i].With["stack-name"], "github.ref_type == 'tag' && (vars.PULUMI_PROD_STACK || 'prod')")
}

// TestImagesAreScannedBeforeTheyArePushed, and each has its bill of materials.
func TestImagesAreScannedBeforeTheyArePushed(t *testing.T) {
	jobs := workflows(t)["images"].Jobs
	list := jobs["image"].Steps
	at := func(what string, is func(s step) bool) int {
		i := slices.IndexFunc(list, is)
		assert.GreaterOrEqual(t, i, 0, "no step %s", what)
		return i
	}
	trivy := func(s step) bool { return strings.HasPrefix(s.Uses, "aquasecurity/trivy-action@") }
	build := at("builds", func(s step) bool { return strings.HasPrefix(s.Uses, "docker/build-push-action@") })
	scan := at("scans", func(s step) bool { return trivy(s) && s.With["exit-code"] == "1" })
	bill := at("writes the bill of materials", func(s step) bool { return trivy(s) && s.With["format"] == "cyclonedx" })
	pushes := func(s step) bool { return strings.Contains(s.Run, "docker push") }
	if t.Failed() {
		return
	}
	assert.NotEqual(t, true, list[build].With["push"], "the build pushes what nobody has scanned")
	assert.True(t, build < scan && scan < bill, "in the order %d, %d, %d", build, scan, bill)
	assert.False(t, slices.ContainsFunc(list, pushes), "the job that runs the repository's code pushes")
	push := jobs["push"]
	assert.Equal(t, "image", push.Needs)
	assert.Equal(t, "github.ref_type == 'tag'", push.If)
	assert.True(t, slices.ContainsFunc(push.Steps, pushes))
}
