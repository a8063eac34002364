package custom

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// Known is what a folder stands beside.
type Known struct {
	// Groups are the stack's own rules, Expressions what they and its dashboards ask.
	Groups      []rule.Group
	Expressions []string
	// Observed are the resources that kube-state-metrics reads.
	Observed []string
	// Lines tells that Grafana has a data source of log lines.
	Lines bool
	// Dashboards are the uids of the stack's own.
	Dashboards []string
	// Receivers are the names that a route may lead to.
	Receivers []string
	// Intervals are the names of the time intervals that there are.
	Intervals []string
	// Together tells that all rules lie in one list, whose groups go by their names.
	Together bool
	// Credentials are the names of the secrets below CredentialsPath.
	Credentials []string
	// Jobs are the names of scrape configurations and of scraped workloads, Names those of
	// the workloads and Services of the stack.
	Jobs, Names []string
	// Namespace of the stack; "" where it is not known.
	Namespace string
	// On is where the stack runs.
	On room.Target
}

// Check returns what is wrong with the files beside what there is, and what a user should
// know and may want.
func (f *Folder) Check(k Known) (problems, warnings []Problem) {
	c := checker{Folder: f, known: k}
	c.rules()
	c.dashboards()
	c.scrapes()
	c.routes()
	return c.problems, append(c.warnings, f.unserved(k)...)
}

type checker struct {
	*Folder
	known              Known
	problems, warnings []Problem
}

func (c *checker) problem(at located, format string, v ...any) {
	c.problems = append(c.problems, Problem{at.file, at.line, fmt.Sprintf(format, v...)})
}

// groupOfRules is one of the kinds of names that the stack's own rules take.
const groupOfRules = "a group of rules"

func (c *checker) rules() {
	own := map[string]string{}
	for _, g := range c.known.Groups {
		own[g.Name] = groupOfRules
		for _, r := range g.Rules {
			own[r.Alert], own[r.Record] = "an alert", "a recorded series"
		}
	}
	delete(own, "")
	files := map[string]string{}
	for _, g := range c.groups {
		if file, taken := files[g.name]; taken && file != g.file && c.known.Together {
			c.problem(g.located, "%s has a group of rules called %q, and a PrometheusRule has one of a name: choose another name", file, g.name)
		}
		files[g.name] = g.file
		if what, taken := own[g.name]; taken && what == groupOfRules {
			c.problem(g.located, "the stack has %s called %q: choose another name", what, g.name)
		}
		for _, r := range g.rules {
			at := located{r.Alert + r.Record, g.file, r.line}
			if what, taken := own[at.name]; taken && what != groupOfRules {
				c.problem(at, "the stack has %s called %q: choose another name", what, at.name)
			}
			severity, labelled := r.Labels["severity"]
			switch {
			case r.Alert == "" || strings.Contains(severity, "{{"):
			case !labelled:
				c.warnings = append(c.warnings, Problem{g.file, r.line,
					fmt.Sprintf("the alert %s has no label severity, by which receivers are chosen: add %s or %s", r.Alert, rule.Critical, rule.Warning)})
			case !slices.Contains([]rule.Severity{rule.Critical, rule.Warning, rule.None}, rule.Severity(severity)):
				c.problem(at, "the alert %s has the severity %q: use %s, %s or %s", r.Alert, severity, rule.Critical, rule.Warning, rule.None)
			}
		}
	}
}

func (c *checker) dashboards() {
	taken := map[string]string{}
	for _, uid := range c.known.Dashboards {
		taken[uid] = "one of the stack's own"
	}
	for _, p := range c.pages {
		if other, is := taken[p.name]; is && p.name != "" {
			c.problem(p.located, "the uid %q is that of %s: choose another", p.name, other)
		}
		taken[p.name] = p.file
	}
	for _, panel := range c.lines {
		if !c.known.Lines {
			c.problem(panel, "panel %q asks for log lines, and Grafana has no data source %q: set logsBackend local, and grafanaLogsPlugin not off", panel.name, board.LinesDatasource)
		}
	}
}

func (c *checker) scrapes() {
	taken := slices.Clone(c.known.Jobs)
	for _, j := range c.jobs {
		if slices.Contains(taken, j.name) {
			c.problem(j, "there is a job called %q already: choose another job_name", j.name)
		}
		taken = append(taken, j.name)
	}
	for _, t := range c.Targets {
		name := t.Inside(c.known.Namespace)
		switch {
		case name == "":
		case slices.Contains(c.known.Names, name):
			c.problem(t.located, "target %q is the stack's own, which is scraped where it serves metrics: remove it", t.name)
		case c.known.On == room.DockerHost:
			c.problem(t.located, "target %q is no container that Prometheus shares a network with: name an address that the host reaches", t.name)
		}
	}
	used := map[string]bool{}
	for _, file := range c.credentials {
		used[strings.TrimPrefix(file.name, CredentialsPath+"/")] = true
		name, below := strings.CutPrefix(file.name, CredentialsPath+"/")
		if !below || !slices.Contains(c.known.Credentials, name) {
			c.problem(file, "there is no file %q: set the secret NAME, and write %s/NAME; there are %s", file.name, CredentialsPath, list(c.known.Credentials))
		}
	}
	for _, name := range slices.Sorted(slices.Values(c.known.Credentials)) {
		if !used[name] {
			c.warnings = append(c.warnings, Problem{Text: fmt.Sprintf("no file of %s names the secret %s of monitoringCredentials: write %s/%s, or take it away", ScrapeFolder, name, CredentialsPath, name)})
		}
	}
}

func (c *checker) routes() {
	intervals := slices.Clone(c.known.Intervals)
	for _, i := range c.intervals {
		if slices.Contains(intervals, i.name) {
			c.problem(i, "there is a time interval called %q already: choose another name", i.name)
		}
		intervals = append(intervals, i.name)
	}
	for _, n := range c.named {
		if !slices.Contains(intervals, n.name) {
			c.problem(n, "there is no time interval %q: there are %s", n.name, list(intervals))
		}
	}
	for _, r := range c.receivers {
		if !slices.Contains(c.known.Receivers, r.name) {
			c.problem(r, "there is no receiver %q: there are %s", r.name, list(c.known.Receivers))
		}
	}
}

// list names what there is.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}
