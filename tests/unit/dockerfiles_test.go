package unit

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/images"
)

// buildContext is the folder that both images are built from.
const buildContext = "../../docker"

// stage is one FROM of a Dockerfile and what follows it.
type stage struct {
	base, name string
	// instructions are its words, without FROM.
	instructions [][]string
}

// all lists the instructions of a kind.
func (s stage) all(kind string) [][]string {
	var found [][]string
	for _, words := range s.instructions {
		if words[0] == kind {
			found = append(found, words[1:])
		}
	}
	return found
}

// rest is the only instruction of a kind, as text.
func (s stage) rest(t *testing.T, kind string) string {
	t.Helper()
	found := s.all(kind)
	require.Len(t, found, 1, kind)
	return strings.Join(found[0], " ")
}

// dockerfile reads the stages: comments and continued lines are all of the grammar
// that the files use.
func dockerfile(t *testing.T, name string) []stage {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(buildContext, name))
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	var stages []stage
	for line := range strings.Lines(strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", " ")) {
		words := strings.Fields(line)
		words[0] = strings.ToUpper(words[0])
		if words[0] == "FROM" {
			s := stage{base: words[1]}
			if len(words) == 4 {
				s.name = words[3]
			}
			stages = append(stages, s)
			continue
		}
		require.NotEmpty(t, stages, "%s: %s stands before FROM", name, line)
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, words)
	}
	return stages
}

var (
	// exactTag is a version to the last number, e.g. 1.26.8-bookworm.
	exactTag = regexp.MustCompile(`^[a-z0-9./-]+:\d+\.\d+\.\d+(-[a-z0-9.]+)*$|@sha256:[0-9a-f]{64}$`)
	userIDs  = regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`)
)

// TestDockerfiles: what the platform relies on when it runs them without root, on a
// read-only file system, and with no shell in them.
func TestDockerfiles(t *testing.T) {
	for name, uid := range map[string]string{"backend": "1000", "frontend": "1001"} {
		t.Run(name, func(t *testing.T) {
			stages := dockerfile(t, "Dockerfile."+name+".prod")
			require.Greater(t, len(stages), 1, "the tools of the build would be in the image")
			names := map[string]bool{"scratch": true}
			for _, s := range stages {
				if !names[s.base] {
					assert.Regexp(t, exactTag, s.base, "a base that changes under its name")
				}
				names[s.name] = true
				assert.Empty(t, s.all("ADD"), "COPY takes no URL and unpacks nothing")
			}

			final := stages[len(stages)-1]
			assert.Equal(t, "scratch", final.base, "nothing but the program")
			assert.Empty(t, final.all("RUN"))
			assert.Empty(t, final.all("VOLUME"), "a volume hides what the platform mounts")
			for _, words := range final.all("COPY") {
				assert.True(t, strings.HasPrefix(words[0], "--from="), "COPY %v takes from the context, not from a build", words)
			}
			user := final.rest(t, "USER")
			assert.Regexp(t, userIDs, user, "runAsNonRoot needs a number")
			assert.Equal(t, uid, strings.Split(user, ":")[0], "the uid that the manifests run it with")
			var entrypoint, check []string
			require.NoError(t, json.Unmarshal([]byte(final.rest(t, "ENTRYPOINT")), &entrypoint), "there is no shell")
			_, command, found := strings.Cut(final.rest(t, "HEALTHCHECK"), "CMD ")
			require.True(t, found)
			require.NoError(t, json.Unmarshal([]byte(command), &check), "there is no shell")
			assert.Equal(t, entrypoint[0], check[0], "there is no other program")
			assert.NotEmpty(t, final.all("EXPOSE"))

			var labels []string
			for _, words := range final.all("LABEL") {
				for _, l := range regexp.MustCompile(`(org\.opencontainers\.image\.\w+)=`).FindAllStringSubmatch(strings.Join(words, " "), -1) {
					labels = append(labels, strings.TrimPrefix(l[1], "org.opencontainers.image."))
				}
			}
			assert.ElementsMatch(t, []string{"title", "description", "source", "licenses", "version", "revision"}, labels)
			var args []string
			for _, words := range final.all("ARG") {
				args = append(args, strings.Split(words[0], "=")[0])
			}
			assert.ElementsMatch(t, []string{"VERSION", "REVISION"}, args, "what the stack and the workflow pass")
		})
	}
}

// copied are the paths of the context that a Dockerfile names.
func copied(t *testing.T, name string) []string {
	t.Helper()
	var sources []string
	for _, s := range dockerfile(t, "Dockerfile."+name+".prod") {
		for _, words := range s.all("COPY") {
			if strings.HasPrefix(words[0], "--from=") {
				continue
			}
			sources = append(sources, words[:len(words)-1]...)
		}
		for _, words := range s.all("RUN") {
			assert.NotContains(t, strings.Join(words, " "), "--mount", "a bind mount reads the context, too")
		}
	}
	return sources
}

// TestBuildContextHasWhatIsCopied, and no more: each file that reaches the builder is
// part of an image, so that an edit of another one builds nothing.
func TestBuildContextHasWhatIsCopied(t *testing.T) {
	for _, name := range []string{"agent", "backend", "frontend"} {
		sources := copied(t, name)
		require.NotEmpty(t, sources)
		sent, err := images.Files(buildContext, name)
		require.NoError(t, err)
		for _, s := range sources {
			assert.True(t, slices.ContainsFunc(sent, func(f string) bool { return within(f, s) }), "%s copies %s, which .dockerignore keeps out", name, s)
			assert.True(t, within(s, name), "%s copies %s, and an edit of that would build nothing", name, s)
		}
		for _, f := range sent {
			assert.True(t, slices.ContainsFunc(sources, func(s string) bool { return within(f, s) }), "%s is sent to the builder, and %s copies it not", f, name)
			assert.NotRegexp(t, `_test\.go$|\.test\.ts$`, f)
		}
	}
	all, err := images.Files(buildContext, ".")
	require.NoError(t, err)
	for _, f := range all {
		assert.True(t, within(f, "agent") || within(f, "backend") || within(f, "frontend"), "%s is sent to the builder", f)
	}
}

// within tells whether a file is the path or below it.
func within(file, folder string) bool {
	pattern := path.Clean(folder)
	matches, err := path.Match(pattern, file)
	return matches && err == nil || strings.HasPrefix(file, pattern+"/")
}

// TestSecretsStayOutOfBuildContext: whatever lies about in a clone does not reach the
// builder, by the matcher that the builders themselves use.
func TestSecretsStayOutOfBuildContext(t *testing.T) {
	context := t.TempDir()
	before, err := images.Files(buildContext, ".")
	require.NoError(t, err)
	for _, file := range append(slices.Clone(before), ".dockerignore") {
		raw, err := os.ReadFile(filepath.Join(buildContext, file))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(context, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(context, file), raw, 0o644))
	}
	ignore, err := os.Open(filepath.Join(context, ".dockerignore"))
	require.NoError(t, err)
	patterns, err := ignorefile.ReadAll(ignore)
	require.NoError(t, err)
	require.NoError(t, ignore.Close())
	matcher, err := patternmatcher.New(patterns)
	require.NoError(t, err)

	for _, folder := range []string{".", "backend", "backend/internal", "backend/internal/store", "frontend", "frontend/internal/server", "frontend/ui", "frontend/ui/src"} {
		for _, secret := range []string{
			".env", ".env.production", "prod.env", ".git/config", ".git/objects/ab/cdef", ".gitignore", ".ssh/id_ed25519", ".aws/credentials",
			".netrc", ".pgpass", ".pulumi/stacks/prod.json", "tls.key", "tls.pem", "store.p12", "store.pfx", "id_rsa", "deploy_ed25519",
			"kubeconfig", "prod.kubeconfig.yaml", "node_modules/left-pad/index.js",
		} {
			file := path.Join(folder, secret)
			name := filepath.Join(context, filepath.FromSlash(file))
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
			require.NoError(t, os.WriteFile(name, []byte("secret"), 0o600))
			out, err := matcher.MatchesOrParentMatches(file)
			require.NoError(t, err)
			assert.True(t, out, "%s reaches the builder", file)
		}
	}
	after, err := images.Files(context, ".")
	require.NoError(t, err)
	assert.Equal(t, before, after)
}
