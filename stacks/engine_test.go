package stacks

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

// engineSaying is the address of an engine that answers /info.
func engineSaying(t *testing.T, status int, info string) string {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/volumes" {
			assert.JSONEq(t, `{"label":["com.alphapulse.data=true","com.alphapulse.stack=alphapulse-single"]}`, r.URL.Query().Get("filters"))
			_, _ = w.Write([]byte(`{"Volumes":[{"Name":"alphapulse-single-database-g2"},{"Name":"alphapulse-single-cache"}]}`))
			return
		}
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
	engine, err := live.AskEngine(t.Context(), engineSaying(t, http.StatusOK, `{"ID":"here","SecurityOptions":["name=seccomp,profile=builtin","name=cgroupns"]}`), workload.DataLabels("alphapulse-single")...)
	require.NoError(t, err)
	assert.Equal(t, &live.Engine{ID: "here", Volumes: []string{"alphapulse-single-database-g2", "alphapulse-single-cache"}}, engine)
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

	engine, err = live.AskEngine(t.Context(), engineSaying(t, http.StatusOK, `{"ID":"here","SecurityOptions":["name=rootless"]}`), workload.DataLabels("alphapulse-single")...)
	require.NoError(t, err)
	warning, err := (&Stack{}).knowEngine(engine, Previous{})
	require.NoError(t, err)
	assert.Contains(t, warning, "hide the clients' addresses")

	_, err = live.AskEngine(t.Context(), engineSaying(t, http.StatusForbidden, ""))
	assert.ErrorContains(t, err, "403")
	_, err = live.AskEngine(t.Context(), "ssh://operator@host.example.com")
	assert.ErrorIs(t, err, live.ErrUnasked)
}

// A destroy leaves the volumes and takes the outputs along: the next update goes on with
// the newest volume, whatever is set, and never with an empty one beside it.
func TestADestroyedDatabaseIsFoundAgain(t *testing.T) {
	const prefix = "alphapulse-single"
	for what, c := range map[string]struct {
		mode       string
		volumes    []string
		before     Previous
		generation int
		archived   bool
		refused    string
	}{
		"restored once":              {BackupPath, []string{prefix + "-database-g1", prefix + "-database-g2", prefix + "-cache"}, Previous{}, 2, true, ""},
		"no longer backed up":        {BackupOff, []string{prefix + "-database-g10", prefix + "-database-g9"}, Previous{}, 10, true, ""},
		"another stack's":            {BackupPath, []string{prefix + "-database-gone", "alphapulse-other-database-g3"}, Previous{}, 1, true, ""},
		"never backed up":            {BackupOff, []string{prefix + "-database"}, Previous{}, 1, false, ""},
		"never backed up, and now":   {BackupPath, []string{prefix + "-database"}, Previous{}, 1, true, "is in volume alphapulse-single-database, of the Alpine image"},
		"one that was not destroyed": {BackupPath, []string{prefix + "-database-g1", prefix + "-database-g2"}, Previous{Target: "docker"}, 1, true, ""},
	} {
		s := &Stack{Name: "single", Host: Host{Prefix: prefix}, Backup: Backup{Mode: c.mode}, Database: &database.Args{Generation: 1}}
		s.Database.Archived = s.Backup.on()
		err := s.foundOnEngine(c.volumes, c.before)
		if c.refused != "" {
			assert.ErrorContains(t, err, c.refused, what)
			continue
		}
		require.NoError(t, err, what)
		assert.Equal(t, c.generation, s.Database.Generation, what)
		assert.Equal(t, c.archived, s.Database.Archived, what)
	}
}
