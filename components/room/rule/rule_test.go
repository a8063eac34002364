package rule_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

func record(name string) rule.Rule { return rule.Rule{Record: name, Expr: "up"} }

// order tells where each text stands in a rendered file; it fails where one is absent.
func order(t *testing.T, rendered string, texts ...string) {
	t.Helper()
	at := -1
	for _, text := range texts {
		i := strings.Index(rendered, text)
		if i < 0 {
			t.Fatalf("no %q in\n%s", text, rendered)
		}
		if i < at {
			t.Errorf("%q stands too early in\n%s", text, rendered)
		}
		at = i
	}
}

func TestGroupsOfOneNameAreOne(t *testing.T) {
	rendered, err := rule.Render([]rule.Group{
		{Name: rule.Capacity, Rules: []rule.Rule{record("of:the_database")}},
		{Name: rule.Availability, Rules: []rule.Rule{record("is:it_there")}},
		{Name: rule.Capacity, Rules: []rule.Rule{record("of:the_cache")}},
		{Name: "empty"},
		{Name: "own", Interval: "2m", Rules: []rule.Rule{record("own:one")}},
	}, rule.Values{})
	if err != nil {
		t.Fatal(err)
	}
	order(t, rendered, "name: own", "interval: 2m", "own:one", "name: availability", "is:it_there", "name: capacity", "of:the_database", "of:the_cache")
	if strings.Count(rendered, "name: ") != 3 {
		t.Errorf("want three groups, each once and none empty:\n%s", rendered)
	}
}

func TestMergeChangesNoRoomsRules(t *testing.T) {
	rules := make([]rule.Rule, 1, 8)
	rules[0] = record("of:the_database")
	groups := []rule.Group{{Name: rule.Capacity, Rules: rules}, {Name: rule.Capacity, Rules: []rule.Rule{record("of:the_cache")}}}
	if _, err := rule.Merge(groups); err != nil {
		t.Fatal(err)
	}
	if rules[:2][1].Record != "" || len(groups[0].Rules) != 1 {
		t.Errorf("the first room's rules are now %v", rules[:2])
	}
}

func TestTwoIntervalsOfOneGroup(t *testing.T) {
	_, err := rule.Merge([]rule.Group{
		{Name: "slow", Interval: "2m", Rules: []rule.Rule{record("a:b")}},
		{Name: "slow", Interval: "5m", Rules: []rule.Rule{record("c:d")}},
	})
	if err == nil || !strings.Contains(err.Error(), `slow is evaluated every "2m" and every "5m"`) {
		t.Errorf("%v, want both intervals named", err)
	}
}

func TestRenderingLeavesTheRoomsOwnRules(t *testing.T) {
	alert := rule.Alert("Ending", rule.Warning, "", "a:b < 60", "s", "d")
	alert.Dashboard = "edge"
	groups := []rule.Group{{Name: "end", Rules: []rule.Rule{alert}}}
	rendered, err := rule.Render(groups, rule.Values{DashboardsURL: "https://dashboards.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "dashboard_url: https://dashboards.example.com/d/edge"; !strings.Contains(rendered, want) {
		t.Errorf("no %q in\n%s", want, rendered)
	}
	if _, filled := groups[0].Rules[0].Annotations["dashboard_url"]; filled {
		t.Error("rendering filled in the room's own rules")
	}
}

// An alert leads to the lines of its workload where users can see them.
func TestAlertsLeadToLines(t *testing.T) {
	lines := func(workload string) string {
		if workload == "silent" {
			return ""
		}
		return "https://g.example.com/explore/" + workload
	}
	groups := []rule.Group{{Name: "g"}}
	for _, workload := range []string{"edge", "silent", ""} {
		groups[0].Rules = append(groups[0].Rules, rule.About{Owner: "me", Workload: workload}.Alerts(rule.Alert("On"+workload, rule.Warning, "", "up", "s", "d"))...)
	}
	rendered, err := rule.Render(groups, rule.Values{LinesURL: lines})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(rendered, "logs_url") != 1 || !strings.Contains(rendered, "logs_url: https://g.example.com/explore/edge") {
		t.Errorf("want the lines of edge alone:\n%s", rendered)
	}
	if without, err := rule.Render(groups, rule.Values{}); err != nil || strings.Contains(without, "logs_url") {
		t.Errorf("%v: rendering filled in the room's own rules:\n%s", err, without)
	}
}

func TestOn(t *testing.T) {
	if got, want := rule.On("database", `a{$job} / b{$job,x="y"}`), `a{job="database"} / b{job="database",x="y"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAboutCompletesAlerts(t *testing.T) {
	own := rule.Alert("Own", rule.Warning, "", "up", "s", "d")
	own.Labels["workload"], own.Dashboard = "mine", "mine"
	given := []rule.Rule{record("a:b"), rule.Alert("Plain", rule.Warning, "", "up", "s", "d"), own}
	rules := rule.About{Owner: "me", Workload: "toy", Dashboard: "toys"}.Alerts(given...)
	if len(rules[0].Labels) > 0 || rules[0].Dashboard != "" {
		t.Errorf("a recording is now %+v", rules[0])
	}
	for i, want := range map[int][3]string{1: {"me", "toy", "toys"}, 2: {"me", "mine", "mine"}} {
		if got := [3]string{rules[i].Labels["owner"], rules[i].Labels["workload"], rules[i].Dashboard}; got != want {
			t.Errorf("%s: %v, want %v", rules[i].Alert, got, want)
		}
	}
	if given[1].Labels["owner"] != "" {
		t.Error("the given rules were changed")
	}
	rendered, err := rule.Render([]rule.Group{{Name: "g", Rules: rules}}, rule.Values{DashboardsURL: "https://g.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	order(t, rendered, "dashboard_url: https://g.example.com/d/toys", "dashboard_url: https://g.example.com/d/mine")
}

func TestInhibitions(t *testing.T) {
	cause, loud, other := rule.Alert("Cause", rule.Critical, "", "up", "s", "d"), rule.Alert("Loud", rule.Critical, "", "up", "s", "d"), rule.Alert("Other", rule.Warning, "", "up", "s", "d")
	cause.Labels["workload"] = "toy"
	cause.Silences = []rule.Silence{rule.SameWorkload, {OfConsumers: true}, {Matchers: []string{`severity="warning"`}}}
	loud.Loud = true
	// An alert with a second severity is the same cause.
	groups := []rule.Group{{Rules: []rule.Rule{cause, loud}}, {Rules: []rule.Rule{other, cause}}}
	spared := `alertname!~"Cause|Loud"`
	want := []rule.Inhibition{
		{Source: []string{`alertname="Cause"`}, Target: []string{spared}, Equal: []string{"workload"}},
		{Source: []string{`alertname="Cause"`}, Target: []string{spared, `workload=~"a|b"`}},
		{Source: []string{`alertname="Cause"`}, Target: []string{spared, `severity="warning"`}},
	}
	if got := rule.Inhibitions(groups, map[string][]string{"toy": {"b", "a", "b"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	// What nobody is linked to silences nobody by that.
	if got := rule.Inhibitions(groups, nil); len(got) != 2 {
		t.Errorf("%+v, want two", got)
	}
}
