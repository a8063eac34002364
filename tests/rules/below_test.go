package rules_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Each limit of an alert is held from below: once it is a tenth nearer, or what has to last is a
// minute shorter, the alert fires in a situation in which it is to stay quiet. Otherwise a limit
// could move, and no test would tell.
func TestEachLimitHasASituationJustBelow(t *testing.T) {
	if _, err := promtoolPath(); err != nil {
		t.Fatal(err)
	}
	for _, alert := range alertNames() {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			justBelow(t, watched, alert, situations[alert])
		})
	}
	for alert, list := range hostSituations {
		t.Run(alert+" of a Docker host", func(t *testing.T) {
			t.Parallel()
			justBelow(t, onDockerHost, alert, list)
		})
	}
}

// changed is an alert's rule with one limit nearer. Its name tells it from the others of a file.
type changed struct {
	rule.Rule
	// group is the index of its group, change says what it differs in, and original is the name of
	// the rule as it is.
	group            int
	change, original string
}

// nearer gives each rule of an alert as it is, with change "", and then with each limit nearer.
func nearer(t *testing.T, c composition, alert string) []changed {
	t.Helper()
	var all []changed
	for group, g := range c.only(alert) {
		for _, r := range g.Rules {
			if r.Alert != alert {
				continue
			}
			original := fmt.Sprintf("%s_%d", alert, len(all))
			add := func(change, expr, lasting string) {
				name := fmt.Sprintf("%s_%d", alert, len(all))
				all = append(all, changed{rule.Rule{Alert: name, Expr: expr, For: lasting}, group, change, original})
			}
			add("", r.Expr, r.For)
			for _, l := range limits(t, r.Expr) {
				add(l, withNearer(t, r.Expr, l), r.For)
			}
			if r.For != "" {
				lasting, err := model.ParseDuration(r.For)
				if err != nil {
					t.Fatal(err)
				}
				add("for "+r.For, r.Expr, model.Duration(time.Duration(lasting)-time.Minute).String())
			}
		}
	}
	return all
}

// limits are the comparisons of an expression, each as an operator and what stands to the right
// of it. What is compared with nothing, or with yes and no, has no value just below.
func limits(t *testing.T, expr string) []string {
	t.Helper()
	var found []string
	comparisons(t, expr, func(b *parser.BinaryExpr, _ bool) {
		if l := limit(b); !slices.Contains(found, l) {
			found = append(found, l)
		}
	})
	return found
}

func limit(b *parser.BinaryExpr) string { return b.Op.String() + " " + b.RHS.String() }

// withNearer moves a limit, wherever it stands in the expression: the windows of a burn rate have
// it in common.
func withNearer(t *testing.T, expr, which string) string {
	t.Helper()
	return comparisons(t, expr, func(b *parser.BinaryExpr, silences bool) {
		if limit(b) != which {
			return
		}
		factor := 0.9
		if (b.Op == parser.LSS || b.Op == parser.LTE) != silences {
			factor = 1.1
		}
		if n, ok := b.RHS.(*parser.NumberLiteral); ok && b.Op == parser.GTE && n.Val < 10 {
			factor = (n.Val - 1) / n.Val // Counts: the largest integer below.
		}
		b.RHS = &parser.ParenExpr{Expr: &parser.BinaryExpr{Op: parser.MUL, LHS: &parser.ParenExpr{Expr: b.RHS}, RHS: &parser.NumberLiteral{Val: factor}}}
	}).String()
}

// comparisons calls each of an expression's, and tells whether what it lets through silences the
// alert.
func comparisons(t *testing.T, expr string, each func(b *parser.BinaryExpr, silences bool)) parser.Expr {
	t.Helper()
	parsed, err := promql.ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(parsed, func(n parser.Node, path []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || !slices.Contains([]parser.ItemType{parser.GTR, parser.GTE, parser.LSS, parser.LTE}, b.Op) {
			return nil
		}
		if n, ok := b.RHS.(*parser.NumberLiteral); ok && (n.Val == 0 || n.Val == 1 && b.Op == parser.GTE) {
			return nil
		}
		each(b, excepts(append(slices.Clone(path), n)))
		return nil
	})
	return parsed
}

// excepts tells whether the last of the nodes is what an "unless" takes away.
func excepts(path []parser.Node) bool {
	is := false
	for i, n := range path[:len(path)-1] {
		if b, ok := n.(*parser.BinaryExpr); ok && b.Op == parser.LUNLESS && path[i+1] == parser.Node(b.RHS) {
			is = !is
		}
	}
	return is
}

// firedIn is promtool's word on an alert that fires although none should: the situation's index,
// the rule's name and the time.
var firedIn = regexp.MustCompile(`name: (\d+),\s+alertname: (\S+), time: (\S+),`)

// justBelow demands of each change that it is seen in a situation in which the rule as it is
// stays quiet.
func justBelow(t *testing.T, c composition, alert string, list []situation) {
	t.Helper()
	rules := nearer(t, c, alert)
	if !slices.ContainsFunc(rules, func(r changed) bool { return r.change != "" }) {
		return
	}
	groups := c.only(alert)
	for i := range groups {
		groups[i].Rules = slices.DeleteFunc(slices.Clone(groups[i].Rules), func(r rule.Rule) bool { return r.Alert != "" })
	}
	for _, r := range rules {
		groups[r.group].Rules = append(groups[r.group].Rules, r.Rule)
	}
	rendered, err := rule.Render(groups, rule.Values{})
	if err != nil {
		t.Fatal(err)
	}
	file := unitTests{RuleFiles: []string{write(t, "rules.yml", rendered)}, EvaluationInterval: "1m", GroupEvalOrder: recordedFirst(groups)}
	for i, s := range list {
		times := []string{s.at}
		if s.quietUntil != "" {
			times = append(times, s.quietUntil)
		}
		u := s.test(c, alert)
		u.Name, u.AlertRuleTest = fmt.Sprint(i), nil
		for _, r := range rules {
			for _, at := range times {
				u.AlertRuleTest = append(u.AlertRuleTest, alertRuleTest{EvalTime: at, Alertname: r.Alert, ExpAlerts: []expectedAlert{}})
			}
		}
		file.Tests = append(file.Tests, u)
	}
	content, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := promtool(t, "test", "rules", write(t, "test.yml", string(content)))
	fired := map[string][]string{}
	for _, m := range firedIn.FindAllStringSubmatch(out, -1) {
		fired[m[2]] = append(fired[m[2]], m[1]+" "+m[3])
	}
	if len(fired) == 0 {
		t.Fatalf("nothing fired, not even the alert itself:\n%s", out)
	}
	for _, r := range rules {
		if r.change == "" {
			continue
		}
		if !slices.ContainsFunc(fired[r.Alert], func(in string) bool { return !slices.Contains(fired[r.original], in) }) {
			t.Errorf("%q has no situation just below it, one in which the alert is quiet and would fire if this were a little nearer", r.change)
		}
	}
}
