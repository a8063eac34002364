package member

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A server that does not answer is the exporter's to tell; what the agent itself lacks is not
// passed over. What a server says is with the integration tests.
func TestMetricsWithoutAServer(t *testing.T) {
	a := &Agent{Declared: filepath.Join(t.TempDir(), "roles.json"), Roles: &Roles{Connect: func(context.Context, string, map[string]string) (*pgx.Conn, error) {
		return nil, errors.New("refused")
	}}}
	if _, err := a.Metrics(t.Context()); err == nil || !strings.Contains(err.Error(), "declared roles") {
		t.Errorf("without a declaration: %v", err)
	}
	if err := os.WriteFile(a.Declared, []byte(`{"database":"app","owner":"app_user"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Metrics(t.Context()); err != nil || len(m) != 0 {
		t.Errorf("without a server: %v %v", m, err)
	}
}
