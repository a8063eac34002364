package rules_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// promtoolPath is the binary that PROMTOOL names, or one built of this module's
// Prometheus: Go compiles it once and then finds it up to date. Without the service
// discoveries of two dozen clouds that takes a fraction of the time.
var promtoolPath = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PROMTOOL"); path != "" {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "alphapulse-infra", "test-promtool", "promtool")
	cmd := exec.Command("go", "build", "-tags=remove_all_sd,enable_kubernetes_sd", "-o", path, "github.com/prometheus/prometheus/cmd/promtool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building promtool, since PROMTOOL names none: %w\n%s", err, out)
	}
	return path, nil
})

// promtool runs Prometheus' own test tool. Where it cannot, the test fails: rules
// that were not tested count as broken.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := promtoolPath()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

// rulesFile renders the rules once for all tests.
var rulesFile = sync.OnceValues(func() (string, error) {
	rendered, err := rule.Render(watched.groups(), watched.values())
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "rules")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rules.yml")
	return path, os.WriteFile(path, []byte(rendered), 0o600)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := rulesFile(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// The types below are promtool's file format for unit tests.

type unitTests struct {
	RuleFiles          []string   `yaml:"rule_files"`
	EvaluationInterval string     `yaml:"evaluation_interval"`
	GroupEvalOrder     []string   `yaml:"group_eval_order"`
	Tests              []unitTest `yaml:"tests"`
}

type unitTest struct {
	Name           string          `yaml:"name"`
	Interval       string          `yaml:"interval"`
	StartTimestamp int64           `yaml:"start_timestamp,omitempty"`
	InputSeries    []inputSeries   `yaml:"input_series,omitempty"`
	AlertRuleTest  []alertRuleTest `yaml:"alert_rule_test"`
}

type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type alertRuleTest struct {
	EvalTime  string          `yaml:"eval_time"`
	Alertname string          `yaml:"alertname"`
	ExpAlerts []expectedAlert `yaml:"exp_alerts"`
}

type expectedAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

func (s situation) test(c composition, alert string) unitTest {
	u := unitTest{Name: s.name, Interval: "1m", StartTimestamp: s.start}
	for _, name := range slices.Sorted(maps.Keys(s.series)) {
		u.InputSeries = append(u.InputSeries, inputSeries{Series: name, Values: s.series[name]})
	}
	expected := alertRuleTest{EvalTime: s.at, Alertname: alert, ExpAlerts: []expectedAlert{}}
	for _, f := range s.fires {
		labels := maps.Clone(f.labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels["severity"], labels["owner"] = string(f.severity), abouts[alert].owner
		if workload := abouts[alert].workload; workload != "" {
			labels["workload"] = workload
		}
		annotations := map[string]string{
			"summary":       f.summary,
			"description":   f.description,
			"runbook_url":   rule.RunbookURL + alert + ".md",
			"dashboard_url": dashboardsURL + "/d/" + abouts[alert].dashboard,
		}
		if c.telemetry.LinesShown && c.ofWorkload(alert) {
			annotations["logs_url"] = linesURL(labels["workload"])
		}
		expected.ExpAlerts = append(expected.ExpAlerts, expectedAlert{Labels: labels, Annotations: annotations})
	}
	u.AlertRuleTest = []alertRuleTest{expected}
	if s.quietUntil != "" {
		u.AlertRuleTest = append(u.AlertRuleTest, alertRuleTest{EvalTime: s.quietUntil, Alertname: alert, ExpAlerts: []expectedAlert{}})
	}
	return u
}

// ofWorkload tells whether the alert's own labels say what it is about. A node's says it by its
// expression.
func (c composition) ofWorkload(alert string) bool {
	for _, g := range c.groups() {
		for _, r := range g.Rules {
			if r.Alert == alert && r.Labels[rule.WorkloadLabel] != "" {
				return true
			}
		}
	}
	return false
}

// Each alert fires in the situations that it is for, with the text that a person
// then reads, and stays quiet in those that look alike.
func TestAlerts(t *testing.T) {
	if out, err := promtool(t, "--version"); err != nil {
		t.Fatalf("promtool does not run: %v\n%s", err, out)
	}
	for alert, list := range situations {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			check(t, watched, alert, list)
		})
	}
}

// only are the groups with one alert and with what it needs of what is recorded: to
// evaluate all others every minute takes most of the time.
func (c composition) only(alert string) []rule.Group {
	var groups []rule.Group
	needed := ""
	for _, g := range c.groups() {
		for _, r := range g.Rules {
			if r.Alert == alert {
				needed += r.Expr
			}
		}
	}
	for _, g := range c.groups() {
		g.Rules = slices.DeleteFunc(slices.Clone(g.Rules), func(r rule.Rule) bool {
			return r.Alert != alert && (r.Record == "" || !strings.Contains(needed, r.Record))
		})
		groups = append(groups, g)
	}
	return groups
}

// recordedFirst is an order of groups in which an alert sees what was recorded in the same minute.
// Without one, promtool's is by chance, and alerts come a minute later or not.
func recordedFirst(groups []rule.Group) []string {
	var first, then []string
	for _, g := range groups {
		if slices.ContainsFunc(g.Rules, func(r rule.Rule) bool { return r.Record != "" }) {
			first = append(first, g.Name)
		} else {
			then = append(then, g.Name)
		}
	}
	var all []string
	for _, name := range append(first, then...) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// check lets promtool compare what fires in each situation with what should.
func check(t *testing.T, c composition, alert string, list []situation) {
	t.Helper()
	rendered, err := rule.Render(c.only(alert), c.values())
	if err != nil {
		t.Fatal(err)
	}
	file := unitTests{RuleFiles: []string{write(t, "rules.yml", rendered)}, EvaluationInterval: "1m", GroupEvalOrder: recordedFirst(c.only(alert))}
	for _, s := range list {
		file.Tests = append(file.Tests, s.test(c, alert))
	}
	content, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "test", "rules", write(t, "test.yml", string(content))); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// An alert that was never seen to fire may never do so, and one that was never seen
// quiet may never be.
func TestEachAlertIsTestedBothWays(t *testing.T) {
	names := alertNames()
	for _, name := range names {
		var fires, quiet bool
		for _, s := range situations[name] {
			fires = fires || len(s.fires) > 0
			quiet = quiet || len(s.fires) == 0
		}
		if !fires || !quiet {
			t.Errorf("%s: a situation in which it fires: %v, in which it does not: %v; want both", name, fires, quiet)
		}
	}
	for name := range situations {
		if !slices.Contains(names, name) {
			t.Errorf("situations for %s, which is no alert", name)
		}
	}
	if len(names) < 45 {
		t.Errorf("%d alerts, want at least 45", len(names))
	}
}

// promtool's linter knows more than the parser: duplicate rules, label names.
func TestPromtoolChecksTheRules(t *testing.T) {
	path, err := rulesFile()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", path); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
