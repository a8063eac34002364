package unit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// apiServer is the program of tests/apiserver, one for all tests: it answers each line
// with a line.
type apiServer struct {
	mu    sync.Mutex
	in    io.Writer
	out   *bufio.Reader
	known map[string]string
}

var startAPIServer = sync.OnceValues(func() (*apiServer, error) {
	root, err := recorder.Root()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(cache, "alphapulse-infra", "test-apiserver", "apiserver")
	build := exec.Command("go", "build", "-C", filepath.Join(root, "tests", "apiserver"), "-modfile=../../local/modules/kubernetes/go.mod", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building tests/apiserver: %w\n%s", err, out)
	}
	s := &apiServer{known: map[string]string{}}
	c := exec.Command(program)
	c.Stderr = os.Stderr
	// It ends when this process does, as there is nothing to read any more.
	if s.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, c.Start()
})

// says is what the API server has against an object; "" for nothing.
func (s *apiServer) says(object string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if said, ok := s.known[object]; ok {
		return said, nil
	}
	if _, err := io.WriteString(s.in, object+"\n"); err != nil {
		return "", err
	}
	line, err := s.out.ReadString('\n')
	s.known[object] = strings.TrimSpace(line)
	return s.known[object], err
}

// refusals are what the API server has against objects, each with what it is.
func refusals(t *testing.T, objects []recorder.Object) []string {
	t.Helper()
	server, err := startAPIServer()
	require.NoError(t, err)
	var all []string
	for _, o := range objects {
		raw, err := json.Marshal(recorder.Plain(o.Recorded.Inputs))
		require.NoError(t, err)
		said, err := server.says(string(raw))
		require.NoError(t, err)
		if said != "" {
			all = append(all, o.String()+": "+said)
		}
	}
	return all
}

// accepted fails a test whose objects the API server would refuse.
func accepted(t *testing.T, objects []recorder.Object) {
	t.Helper()
	assert.Empty(t, refusals(t, objects), "the settings let it pass, and the API server does not")
}

// TestAPIServerCreatesWhatIsRendered: the server's own decoding, defaults and validation
// have nothing against any object of a stack, and they do look.
func TestAPIServerCreatesWhatIsRendered(t *testing.T) {
	for _, stack := range []string{"dev", "prod"} {
		objects, err := run(t, stack, nil).Objects()
		require.NoError(t, err)
		accepted(t, objects)
	}
	server, err := startAPIServer()
	require.NoError(t, err)
	for object, want := range map[string]string{
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"A b","namespace":"x"}}`:                                                                          "metadata.name: Invalid value",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"x"},"spec":{"ports":[{"port":0}]}}`:                                                "spec.ports[0].port: Invalid value",
		`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"a","namespace":"x"},"spec":{"accessModes":["ReadWriteOnce"]}}`:                       "spec.resources[storage]: Required value",
		`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"a","namespace":"x"},"spec":{"minAvailable":-1}}`:                                "spec.minAvailable: Invalid value",
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"spec":{}}}}`: "spec.template.metadata.labels: Invalid value",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"x"}}`:                                                                                  "kind Pod is none",
	} {
		said, err := server.says(object)
		require.NoError(t, err)
		assert.Contains(t, said, want)
	}
}
