package stacks

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// engineSaying is the address of an engine that answers /info.
func engineSaying(t *testing.T, status int, info string) string {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/info", r.URL.Path)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(info))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return "unix://" + socket
}

// TestTheEngineIsRemembered: another one that an address happens to mean is refused, with
// the way to move on purpose; and one that hides its clients is named.
func TestTheEngineIsRemembered(t *testing.T) {
	engine, err := live.AskEngine(t.Context(), engineSaying(t, http.StatusOK, `{"ID":"here","SecurityOptions":["name=seccomp,profile=builtin","name=cgroupns"]}`))
	require.NoError(t, err)
	assert.Equal(t, &live.Engine{ID: "here"}, engine)
	for before, refused := range map[string]bool{"": false, "here": false, "elsewhere": true} {
		s := &Stack{Name: "single"}
		warning, err := s.knowEngine(engine, Previous{Engine: before})
		assert.Empty(t, warning)
		assert.Equal(t, "here", s.Host.id)
		if !refused {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "dockerHostMoveTo here")
		s.Host.MoveTo = "here"
		_, err = s.knowEngine(engine, Previous{Engine: before})
		assert.NoError(t, err)
	}

	engine, err = live.AskEngine(t.Context(), engineSaying(t, http.StatusOK, `{"ID":"here","SecurityOptions":["name=rootless"]}`))
	require.NoError(t, err)
	warning, err := (&Stack{}).knowEngine(engine, Previous{})
	require.NoError(t, err)
	assert.Contains(t, warning, "hide the clients' addresses")

	_, err = live.AskEngine(t.Context(), engineSaying(t, http.StatusForbidden, ""))
	assert.ErrorContains(t, err, "403")
	_, err = live.AskEngine(t.Context(), "ssh://operator@host.example.com")
	assert.ErrorIs(t, err, live.ErrUnasked)
}
