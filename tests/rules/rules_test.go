package rules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/rules"
)

var promql = parser.NewParser(parser.Options{})

func TestPrometheusParsesTheRules(t *testing.T) {
	for name, o := range map[string]rules.Options{
		"everything watched":    options,
		"nothing but itself":    {Watched: rules.Watched{Prometheus: "p", PrometheusClaim: "p", Alertmanager: "a", AlertmanagerClaim: "a", Grafana: "g", KubeStateMetrics: "k"}},
		"a Docker host":         {Watched: onDockerHost, CertificateNotAfter: notAfter},
		"no metrics of a build": {Watched: rules.Watched{Database: "database", DatabaseClaim: "database", Prometheus: "p", PrometheusClaim: "p", Alertmanager: "a", AlertmanagerClaim: "a", KubeStateMetrics: "k"}},
	} {
		rendered, err := o.Render()
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := rulefmt.Parse([]byte(rendered), false, model.UTF8Validation, promql, promslog.NewNopLogger()); len(errs) > 0 {
			t.Errorf("%s: %v\n%s", name, errs, rendered)
		}
	}
}

// A workload that serves no metrics must not be red for ever.
func TestWhatIsNotScrapedIsNotAlertedOn(t *testing.T) {
	for name, without := range map[string]func(*rules.Watched){
		"backend":        func(w *rules.Watched) { w.API = "" },
		"backend-engine": func(w *rules.Watched) { w.Engine = "" },
		"database":       func(w *rules.Watched) { w.Database, w.DatabaseClaim = "", "" },
		"cache":          func(w *rules.Watched) { w.Cache, w.CacheClaim = "", "" },
		"edge":           func(w *rules.Watched) { w.Edge = "" },
	} {
		o := options
		without(&o.Watched)
		rendered, err := o.Render()
		if err != nil {
			t.Fatal(err)
		}
		if mention := `job="` + name + `"`; strings.Contains(rendered, mention) {
			t.Errorf("the rules mention %s, which is not scraped", mention)
		}
	}
}

func TestUnknownCertificateIsNotAlertedOn(t *testing.T) {
	o := options
	o.CertificateNotAfter = 0
	rendered, err := o.Render()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rendered, rules.CertificateNotAfter) || strings.Contains(rendered, "CertificateExpiring") {
		t.Error("the rules state the end of a certificate that nobody knows")
	}
}

func TestEachAlertIsComplete(t *testing.T) {
	for _, g := range options.Groups() {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			switch rules.Severity(r.Labels["severity"]) {
			case rules.Critical, rules.Warning, rules.None:
			default:
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			}
			for _, text := range []string{"summary", "description"} {
				if r.Annotations[text] == "" {
					t.Errorf("%s: no %s", r.Alert, text)
				}
			}
			if want := rules.RunbookURL + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
				t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
		}
	}
}

// runbooks is the folder that rules.RunbookURL shows.
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
