// Package rule is the vocabulary in which a room says what Prometheus computes and
// alerts on. Plain Go without Pulumi types: the tests feed the rendered rules to
// promtool.
package rule

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

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

// The groups to which several rooms may add. In the rules file they come after those
// of one room alone, in this order.
const (
	// Availability tells what does not answer.
	Availability = "availability"
	// Capacity tells what is about to be full.
	Capacity = "capacity"
	// Workloads tells what Kubernetes does not get done.
	Workloads = "workloads"
	// Certificates tells what is about to expire.
	Certificates = "certificate"
	// Monitoring tells what monitoring itself does not get done.
	Monitoring = "monitoring"
)

var shared = []string{Availability, Capacity, Workloads, Certificates, Monitoring}

// VolumeUsed names the recorded share of a claim that is used, by the label
// persistentvolumeclaim.
const VolumeUsed = "alphapulse:volume_used:ratio"

// Group is a list of rules that are evaluated together.
type Group struct {
	// Name tells it apart; groups of one name are put together.
	Name string `yaml:"name"`
	// Interval of the evaluation, e.g. "2m"; "" for that of Prometheus.
	Interval string `yaml:"interval,omitempty"`
	// Rules in the order in which they are evaluated.
	Rules []Rule `yaml:"rules"`
}

// Rule is a recording rule or an alert: exactly one of Record and Alert is set.
type Rule struct {
	// Record is the name of the series that is recorded.
	Record string `yaml:"record,omitempty"`
	// Alert is the name of the alert, which is that of its runbook, too.
	Alert string `yaml:"alert,omitempty"`
	// Expr is in PromQL.
	Expr string `yaml:"expr"`
	// For is how long an alert's Expr has to be true before it fires, a Prometheus duration;
	// "" for at once.
	For string `yaml:"for,omitempty"`
	// Labels are added to those of Expr. Of an alert they may be templates.
	Labels map[string]string `yaml:"labels,omitempty"`
	// Annotations are what a person reads of an alert, as templates.
	Annotations map[string]string `yaml:"annotations,omitempty"`

	// Dashboard is the uid of the one that shows what the alert is about.
	Dashboard string `yaml:"-"`
	// Silences are alerts that say nothing new while this one fires.
	Silences []Silence `yaml:"-"`
	// Loud marks an alert that no other one silences.
	Loud bool `yaml:"-"`
}

// Silence selects alerts that follow from another one.
type Silence struct {
	// Matchers are in Alertmanager's notation, e.g. `severity="warning"`; an alert has
	// to satisfy all of them.
	Matchers []string
	// Equal are labels in which it has to agree with the alert that silences it.
	Equal []string
	// OfConsumers selects those on workloads that are linked to the one of the alert that
	// silences it, as they cannot work without it.
	OfConsumers bool
}

// SameWorkload selects all alerts on the workload of the one that silences them.
var SameWorkload = Silence{Equal: []string{WorkloadLabel}}

// OnSameWorkload selects these alerts alone on the workload of the one that silences them.
func OnSameWorkload(alerts ...string) Silence {
	return Silence{Matchers: []string{fmt.Sprintf("alertname=~%q", strings.Join(alerts, "|"))}, Equal: []string{WorkloadLabel}}
}

// About completes alerts with what they have in common.
type About struct {
	// Owner is who acts on them, as the label owner.
	Owner string
	// Workload that they are about, as the label workload; it may be a template of the
	// alert's own labels. "" for none.
	Workload string
	// Dashboard is the uid of the one that shows it.
	Dashboard string
}

// The labels by which alerts are told apart and routed, beside severity.
const (
	OwnerLabel    = "owner"
	WorkloadLabel = "workload"
)

// Platform is the owner of what the application stands on, where nobody else is named.
const Platform = "platform"

// Alerts are copies of the rules whose alerts say what they have in common; what one
// says itself stays.
func (a About) Alerts(rules ...Rule) []Rule {
	completed := slices.Clone(rules)
	for i, r := range completed {
		if r.Alert == "" {
			continue
		}
		completed[i].Labels = maps.Clone(r.Labels)
		for label, value := range map[string]string{OwnerLabel: a.Owner, WorkloadLabel: a.Workload} {
			if _, own := r.Labels[label]; !own && value != "" {
				completed[i].Labels[label] = value
			}
		}
		if r.Dashboard == "" {
			completed[i].Dashboard = a.Dashboard
		}
	}
	return completed
}

// Owned are copies of the groups in which others act on the alerts: owner is told who does
// by default.
func Owned(groups []Group, owner func(byDefault string) string) []Group {
	owned := slices.Clone(groups)
	for i, g := range owned {
		owned[i].Rules = slices.Clone(g.Rules)
		for j, r := range g.Rules {
			if by, is := r.Labels[OwnerLabel]; is {
				owned[i].Rules[j].Labels = maps.Clone(r.Labels)
				owned[i].Rules[j].Labels[OwnerLabel] = owner(by)
			}
		}
	}
	return owned
}

// Alert builds an alert that fires once expr was true for wait, a Prometheus duration
// or "". The runbook follows from the name.
func Alert(name string, severity Severity, wait, expr, summary, description string) Rule {
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

// Missing builds an alert on a job of which no pod has the metric at 1. Nothing is
// left then that could carry a label, so the rule itself names the job.
func Missing(name string, severity Severity, wait, metric, job, summary, description string) Rule {
	r := Alert(name, severity, wait, On(job, `absent(`+metric+`{$job} == 1)`), summary, description)
	r.Labels["job"] = job
	return r
}

// AnyOf is the regular expression of these values of a label, whatever they hold.
func AnyOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(quoted, "|")
}

// On is the expression with every $job in it replaced by the label of that job, so
// that up{$job} becomes up{job="database"}.
func On(job, expr string) string {
	return strings.ReplaceAll(expr, "$job", fmt.Sprintf("job=%q", job))
}

// Volume records what the job's program knows of its own files, the sum of metrics,
// against the size that the claim asks for, which kube-state-metrics tells. The node's
// own figures (kubelet_volume_stats_*) need cluster-wide permissions.
func Volume(claim, job string, metrics ...string) Rule {
	return volume(claim, job, "", metrics)
}

// MemberVolume is Volume for the claim of one pod of a job that has several.
func MemberVolume(claim, job, pod string, metrics ...string) Rule {
	return volume(claim, job, fmt.Sprintf(",pod=%q", pod), metrics)
}

func volume(claim, job, matcher string, metrics []string) Rule {
	sums := make([]string, len(metrics))
	for i, m := range metrics {
		sums[i] = On(job, "sum("+m+"{$job"+matcher+"})")
	}
	return Rule{
		Record: VolumeUsed,
		Expr: fmt.Sprintf(`(%s) / sum(kube_persistentvolumeclaim_resource_requests_storage_bytes{persistentvolumeclaim=%q})`,
			strings.Join(sums, " + "), claim),
		Labels: map[string]string{"persistentvolumeclaim": claim},
	}
}

// Merge puts the rules of each group together, in the order in which they are given,
// and leaves out groups without a rule.
func Merge(groups []Group) ([]Group, error) {
	var merged []Group
	var problems []error
	for _, g := range groups {
		if len(g.Rules) == 0 {
			continue
		}
		i := slices.IndexFunc(merged, func(m Group) bool { return m.Name == g.Name })
		if i < 0 {
			g.Rules = slices.Clone(g.Rules)
			merged = append(merged, g)
			continue
		}
		if merged[i].Interval != g.Interval {
			problems = append(problems, fmt.Errorf("rules: the group %s is evaluated every %q and every %q: give one of them another name",
				g.Name, merged[i].Interval, g.Interval))
		}
		merged[i].Rules = append(merged[i].Rules, g.Rules...)
	}
	slices.SortStableFunc(merged, func(a, b Group) int {
		return cmp.Compare(slices.Index(shared, a.Name), slices.Index(shared, b.Name))
	})
	return merged, errors.Join(problems...)
}

// Values are what is known only once resources exist.
type Values struct {
	// DashboardsURL is the address of Grafana as users see it, without a slash at the
	// end.
	DashboardsURL string
	// LinesURL is where users see the log lines of a workload, "" for nowhere; nil for no
	// workload at all.
	LinesURL func(workload string) string
}

// Render gives the rules file.
func Render(groups []Group, values Values) (string, error) {
	filled := make([]Group, 0, len(groups))
	for _, g := range groups {
		filled = append(filled, g.filled(values))
	}
	merged, err := Merge(filled)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(map[string][]Group{"groups": merged}); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

func (g Group) filled(values Values) Group {
	g.Rules = slices.Clone(g.Rules)
	for i, r := range g.Rules {
		if r.Dashboard != "" {
			g.Rules[i].Annotations = maps.Clone(r.Annotations)
			g.Rules[i].Annotations["dashboard_url"] = values.DashboardsURL + "/d/" + r.Dashboard
		}
		if workload := r.Labels[WorkloadLabel]; r.Alert != "" && workload != "" && values.LinesURL != nil {
			if at := values.LinesURL(workload); at != "" {
				g.Rules[i].Annotations = maps.Clone(g.Rules[i].Annotations)
				g.Rules[i].Annotations["logs_url"] = at
			}
		}
	}
	return g
}

// Inhibition keeps alerts from being sent while another one fires: Alertmanager's
// inhibit rule.
type Inhibition struct {
	// Source and Target are matchers in Alertmanager's notation.
	Source, Target []string
	// Equal are the labels in which both alerts have to agree; none when empty.
	Equal []string
}

func (i Inhibition) equal(other Inhibition) bool {
	return slices.Equal(i.Source, other.Source) && slices.Equal(i.Target, other.Target) && slices.Equal(i.Equal, other.Equal)
}

// Inhibitions are those that the rules ask for, each once. No alert silences itself, and none
// silences a loud one. consumers are the workloads that are linked to one, by its name.
func Inhibitions(groups []Group, consumers map[string][]string) []Inhibition {
	var loud []string
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Loud && !slices.Contains(loud, r.Alert) {
				loud = append(loud, r.Alert)
			}
		}
	}
	slices.Sort(loud)
	var all []Inhibition
	for _, g := range groups {
		for _, r := range g.Rules {
			for _, s := range r.Silences {
				target := append([]string{fmt.Sprintf("alertname!~%q", strings.Join(append([]string{r.Alert}, loud...), "|"))}, s.Matchers...)
				if s.OfConsumers {
					names := slices.Sorted(slices.Values(consumers[r.Labels[WorkloadLabel]]))
					if len(names) == 0 {
						continue
					}
					target = append(target, fmt.Sprintf("%s=~%q", WorkloadLabel, strings.Join(slices.Compact(names), "|")))
				}
				// An alert of several windows or severities says it in each of its rules.
				one := Inhibition{Source: []string{fmt.Sprintf("alertname=%q", r.Alert)}, Target: target, Equal: s.Equal}
				if !slices.ContainsFunc(all, one.equal) {
					all = append(all, one)
				}
			}
		}
	}
	return all
}
