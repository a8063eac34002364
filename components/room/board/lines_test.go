package board_test

import (
	"encoding/json"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// Panels of log lines are as the plugin reads them: the SDK has no types for it.
func TestPanelsOfLogLines(t *testing.T) {
	rendered, err := board.Files([]board.Contribution{{Dashboard: board.Overview, Row: "Lines", Panels: []board.Panel{
		board.LineCounts("Lines", 2, `* | stats by (severity_text) count() lines`, "{{severity_text}}"), board.Lines("Errors", `severity_text:=ERROR`),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ Type, UID string }
	var d struct {
		Panels []struct {
			Type, Title string
			Datasource  *source
			Targets     []struct {
				RefID, Expr, QueryType, EditorMode, LegendFormat string
				MaxLines                                         int
				Datasource                                       *source
			}
		}
	}
	if err := json.Unmarshal([]byte(rendered[board.Overview.File]), &d); err != nil || len(d.Panels) != 3 {
		t.Fatalf("%v %+v", err, d)
	}
	counts, lines := d.Panels[1], d.Panels[2]
	if counts.Type != "timeseries" || lines.Type != "logs" {
		t.Errorf("kinds %s and %s", counts.Type, lines.Type)
	}
	want := source{board.LinesKind, board.LinesDatasource}
	for _, p := range d.Panels[1:] {
		if len(p.Targets) != 1 || *p.Datasource != want || *p.Targets[0].Datasource != want || p.Targets[0].RefID != "A" || p.Targets[0].EditorMode != "code" {
			t.Fatalf("%+v", p)
		}
	}
	if q := counts.Targets[0]; q.QueryType != "statsRange" || q.Expr != `* | stats by (severity_text) count() lines` || q.LegendFormat != "{{severity_text}}" {
		t.Errorf("%+v", q)
	}
	if q := lines.Targets[0]; q.QueryType != "instant" || q.Expr != `severity_text:=ERROR` || q.MaxLines != 200 {
		t.Errorf("%+v", q)
	}
}
