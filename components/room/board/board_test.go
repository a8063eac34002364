package board_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

type shown struct {
	Title  string
	Panels []struct {
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
	}
}

func files(t *testing.T, c ...board.Contribution) map[string]shown {
	t.Helper()
	rendered, err := board.Files(c)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]shown{}
	for name, text := range rendered {
		var d shown
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		all[name] = d
	}
	return all
}

func titles(d shown) string {
	var all []string
	for _, p := range d.Panels {
		if p.Type == "row" {
			p.Title = "[" + p.Title + "]"
		}
		all = append(all, p.Title)
	}
	return strings.Join(all, " ")
}

func number(title string) board.Panel { return board.Number(title, "short", 4, "up") }

func TestRowsAreFilledByRooms(t *testing.T) {
	toy := board.Dashboard{File: "toy.json", UID: "toy", Title: "Toy"}
	all := files(t,
		board.Contribution{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{number("a")}},
		board.Contribution{Dashboard: toy, Row: "Now", Panels: []board.Panel{number("b")}},
		board.Contribution{Dashboard: board.Overview, Row: "Later", Panels: []board.Panel{number("c")}},
		board.Contribution{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{number("d")}},
		board.Contribution{Dashboard: board.Overview, Row: "Never"},
		board.Contribution{Dashboard: board.Infrastructure, Row: "Nothing"},
	)
	for file, want := range map[string]string{"overview.json": "[Now] a d [Later] c", "toy.json": "[Now] b"} {
		if got := titles(all[file]); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d dashboards, want those with a panel", len(all))
	}
}

// Arguments are validated before a file is written: both put the panels together.
func TestFilesAreTheSameTwice(t *testing.T) {
	c := []board.Contribution{{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{number("a"), number("b"), number("c")}}}
	first, err := board.Files(c)
	if err != nil {
		t.Fatal(err)
	}
	fewer := []board.Contribution{{Dashboard: board.Overview, Row: "Now", Panels: c[0].Panels[1:]}}
	if d := files(t, fewer...)["overview.json"]; d.Panels[1].GridPos.X != 0 || d.Panels[2].GridPos.X != 6 {
		t.Errorf("panels keep the places of another dashboard: %+v", d.Panels)
	}
	second, err := board.Files(c)
	if err != nil {
		t.Fatal(err)
	}
	if first["overview.json"] != second["overview.json"] {
		t.Error("the same panels give another file")
	}
}

func TestTwoDashboardsOfOneName(t *testing.T) {
	other := board.Dashboard{File: "mine.json", UID: board.Overview.UID, Title: "Mine"}
	_, err := board.Files([]board.Contribution{
		{Dashboard: board.Overview, Panels: []board.Panel{number("a")}}, {Dashboard: other, Panels: []board.Panel{number("b")}},
	})
	if err == nil || !strings.Contains(err.Error(), "mine.json") || !strings.Contains(err.Error(), "overview.json") {
		t.Errorf("%v, want both named", err)
	}
}
