package observe_test

import (
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// A room that monitoring knows nothing of gets its alert, its row and its dashboard,
// and takes all of them along.
func TestRoomFromOutside(t *testing.T) {
	own := observe.Watched{
		Prometheus: "p", Alertmanager: "a", Grafana: "g", KubeStateMetrics: "k", PrometheusClaim: "p", AlertmanagerClaim: "a",
	}
	toys := board.Dashboard{File: "toys.json", UID: "toys", Title: "Toys"}
	rules := []rule.Group{{Name: rule.Availability, Rules: []rule.Rule{
		rule.Missing("ToyDown", rule.Warning, "5m", "up", "toy", "No toy answers", "Play with something else."),
	}}}
	panels := []board.Contribution{
		{Dashboard: board.Overview, Row: "Now", Panels: []board.Panel{board.Number("Toys", "short", 4, rule.On("toy", `count(up{$job})`))}},
		{Dashboard: toys, Row: "Play", Panels: []board.Panel{board.Series("Games", "ops", 1, board.On("toy")(`rate(games_total{$job}[$__rate_interval])`, "games"))}},
	}
	for _, c := range []struct {
		name   string
		rules  []rule.Group
		panels []board.Contribution
		there  bool
	}{{"with it", rules, panels, true}, {"without it", nil, nil, false}} {
		rendered, err := rule.Render(observe.Rules(own, c.rules), rule.Values{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(rendered, `absent(up{job="toy"} == 1)`); got != c.there {
			t.Errorf("%s: its alert is there: %v", c.name, got)
		}
		if strings.Count(rendered, "name: availability") != 1 || !strings.Contains(rendered, observe.DeadMansSwitch) {
			t.Errorf("%s: monitoring's own rules\n%s", c.name, rendered)
		}
		files, err := board.Files(observe.Panels(own, c.panels))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := files["toys.json"]; got != c.there {
			t.Errorf("%s: its dashboard is there: %v", c.name, got)
		}
		overview := files[board.Overview.File]
		if got := strings.Contains(overview, `"title": "Toys"`); got != c.there {
			t.Errorf("%s: its panel is there: %v", c.name, got)
		}
		if i := strings.Index(overview, `"title": "Toys"`); i > strings.Index(overview, `"title": "Attention"`) {
			t.Errorf("%s: its panel stands below the row of monitoring that ends the page", c.name)
		}
	}
}
