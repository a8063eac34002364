package rules

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// RunbookURL is the folder of the runbooks, one file for each alert.
const RunbookURL = "https://github.com/alphapulse/alphapulse-infra/blob/main/docs/runbooks/"

// Severity says how soon somebody has to act.
type Severity string

const (
	// Critical means that users are affected, or will be within the hour. Wakes somebody up.
	Critical Severity = "critical"
	// Warning means that somebody has to act within days.
	Warning Severity = "warning"
	// None asks for no action; it is for the dead man's switch.
	None Severity = "none"
)

// Options are what the rules depend on.
type Options struct {
	Watched Watched
	// CertificateNotAfter is when the edge's certificate expires, in Unix seconds;
	// 0 when the program does not know.
	CertificateNotAfter int64
}

// Group is a list of rules that are evaluated together.
type Group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []Rule `yaml:"rules"`
}

// Rule is a recording rule or an alert: exactly one of Record and Alert is set.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Groups gives every rule of the stack.
func (o Options) Groups() []Group {
	var groups []Group
	w := o.Watched
	if w.API != "" {
		groups = append(groups, apiRecordings(w)...)
		groups = append(groups, apiAlerts(w))
	}
	groups = append(groups, availability(w), capacity(w), workloads(w), o.certificate(), selfMonitoring(w))
	kept := groups[:0]
	for _, g := range groups {
		if len(g.Rules) > 0 {
			kept = append(kept, g)
		}
	}
	return kept
}

// Render gives the rules file.
func (o Options) Render() (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(map[string][]Group{"groups": o.Groups()}); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// alert builds one alert. The runbook follows from the name.
func alert(name string, severity Severity, wait, expr, summary, description string) Rule {
	return Rule{
		Alert:  name,
		Expr:   expr,
		For:    wait,
		Labels: map[string]string{"severity": string(severity)},
		Annotations: map[string]string{
			"summary":     summary,
			"description": description,
			"runbook_url": RunbookURL + name + ".md",
		},
	}
}

// missing builds an alert on a job of which no pod has the metric at 1. Nothing is
// left then that could carry a label, so the rule itself names the job.
func missing(name string, severity Severity, wait, metric, jobName, summary, description string) Rule {
	r := alert(name, severity, wait, fmt.Sprintf(`absent(%s%s == 1)`, metric, job(jobName)), summary, description)
	r.Labels["job"] = jobName
	return r
}

// job selects the series of one job.
func job(name string) string { return fmt.Sprintf(`{job=%q}`, name) }
