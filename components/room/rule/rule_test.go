package rule_test

import (
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

func TestConstants(t *testing.T) {
	groups := []rule.Group{
		{Name: "end", Rules: []rule.Rule{rule.Constant("the:end"), rule.Alert("Ending", rule.Warning, "", "the:end - time() < 60", "s", "d")}},
		{Name: "other", Rules: []rule.Rule{record("a:b")}},
	}
	for _, c := range []struct {
		value int
		known bool
	}{{1700000000, true}, {0, false}} {
		rendered, err := rule.Render(groups, rule.Values{Constants: map[string]int{"the:end": c.value}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(rendered, "expr: vector(1700000000)"); got != c.known {
			t.Errorf("%d: its value is stated: %v\n%s", c.value, got, rendered)
		}
		if got := strings.Contains(rendered, "alert: Ending"); got != c.known {
			t.Errorf("%d: alerted on: %v, want %v", c.value, got, c.known)
		}
		if !strings.Contains(rendered, "a:b") {
			t.Errorf("%d: another group is gone", c.value)
		}
	}
	if groups[0].Rules[0].Expr != "" {
		t.Error("rendering filled in the room's own rules")
	}
}

func TestOn(t *testing.T) {
	if got, want := rule.On("database", `a{$job} / b{$job,x="y"}`), `a{job="database"} / b{job="database",x="y"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
