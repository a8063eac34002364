package rules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	backend "github.com/alphapulse/alphapulse-infra/components/backend/observe"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

var promql = parser.NewParser(parser.Options{})

func TestPrometheusParsesTheRules(t *testing.T) {
	noBuild := watched
	noBuild.backend = backend.Watched{}
	for name, c := range map[string]composition{
		"everything watched": watched, "nothing but itself": bare, "a Docker host": onDockerHost, "no metrics of a build": noBuild,
	} {
		rendered := c.render(t)
		if _, errs := rulefmt.Parse([]byte(rendered), false, model.UTF8Validation, promql, promslog.NewNopLogger()); len(errs) > 0 {
			t.Errorf("%s: %v\n%s", name, errs, rendered)
		}
	}
}

// A workload that serves no metrics must not be red for ever.
func TestWhatIsNotScrapedIsNotAlertedOn(t *testing.T) {
	for name, without := range map[string]func(*composition){
		"backend":        func(c *composition) { c.backend.API = "" },
		"backend-engine": func(c *composition) { c.backend.Engine = "" },
		"database":       func(c *composition) { c.database.Job, c.backup.Name = "", "" },
		"cache":          func(c *composition) { c.cache.Job = "" },
		"edge":           func(c *composition) { c.edge.Job = "" },
		// With it goes what only it serves about others.
		"telemetry-collector": func(c *composition) { c.telemetry.Collector = "" },
		"telemetry-logs":      func(c *composition) { c.telemetry.LogStore = "" },
		"telemetry-traces":    func(c *composition) { c.telemetry.TraceStore = "" },
		"kubelet":             func(c *composition) { c.monitoring.Containers = false },
	} {
		c := watched
		without(&c)
		rendered := c.render(t)
		if mention := `job="` + name + `"`; strings.Contains(rendered, mention) {
			t.Errorf("the rules mention %s, which is not scraped", mention)
		}
	}
}

func TestEachAlertIsComplete(t *testing.T) {
	for _, g := range watched.groups() {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			switch rule.Severity(r.Labels["severity"]) {
			case rule.Critical, rule.Warning, rule.None:
			default:
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			}
			for _, text := range []string{"summary", "description"} {
				if r.Annotations[text] == "" {
					t.Errorf("%s: no %s", r.Alert, text)
				}
			}
			if want := rule.RunbookURL + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
				t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
		}
	}
}

// runbooks is the folder that rule.RunbookURL shows.
const runbooks = "../../docs/runbooks"

var runbookSections = []string{"## Meaning", "## Impact", "## Diagnosis", "## Remedy"}

func TestEachAlertHasItsRunbook(t *testing.T) {
	files, err := os.ReadDir(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".md"); ok && name != "README" {
			written[name] = true
		}
	}
	for _, alert := range alertNames() {
		if !written[alert] {
			t.Errorf("%s has no runbook: write docs/runbooks/%s.md", alert, alert)
			continue
		}
		delete(written, alert)
		content, err := os.ReadFile(runbooks + "/" + alert + ".md")
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		if !strings.HasPrefix(text, "# "+alert+"\n") {
			t.Errorf("%s: the runbook does not begin with its name", alert)
		}
		for _, section := range runbookSections {
			_, rest, found := strings.Cut(text, "\n"+section+"\n")
			body, _, _ := strings.Cut(rest, "\n## ")
			if !found || strings.TrimSpace(body) == "" {
				t.Errorf("%s: the runbook has no %q, or nothing below it", alert, section)
			}
		}
	}
	for name := range written {
		t.Errorf("docs/runbooks/%s.md is for no alert", name)
	}
}
