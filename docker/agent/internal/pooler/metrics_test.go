package pooler

import (
	"slices"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
)

// Seconds and microseconds are one figure, times are in seconds, and the console itself is no
// pool. What the real one shows is with the integration tests.
func TestFigures(t *testing.T) {
	pools := []map[string]string{
		{"database": "app", "user": "u", "cl_active": "3", "maxwait": "2", "maxwait_us": "500000"},
		{"database": "pgbouncer", "user": "pgbouncer", "cl_active": "1", "maxwait": "0", "maxwait_us": "0"},
	}
	of := func(column string, rows []map[string]string) (string, error) {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.column == column })
		m, err := figures[i].of(rows)
		return exposition.Text([]exposition.Metric{m}), err
	}
	for column, want := range map[string]string{
		"cl_active": "\npgbouncer_pools_client_active_connections{database=\"app\",user=\"u\"} 3\n",
		"maxwait":   "\npgbouncer_pools_client_maxwait_seconds{database=\"app\",user=\"u\"} 2.5\n",
	} {
		if got, err := of(column, pools); err != nil || !strings.HasSuffix(got, want) || strings.Count(got, "{") != 1 {
			t.Errorf("%s: %v\n%s", column, err, got)
		}
	}
	stats := []map[string]string{{"database": "app", "total_wait_time": "1500000"}}
	if got, err := of("total_wait_time", stats); err != nil || !strings.HasSuffix(got, `{database="app"} 1.5`+"\n") {
		t.Errorf("%v\n%s", err, got)
	}
	// A column that another version has no more is no silence.
	if _, err := of("sv_idle", pools); err == nil || !strings.Contains(err.Error(), "sv_idle") {
		t.Errorf("%v, want the column named", err)
	}
}
