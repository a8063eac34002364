package stacks

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// customKey is the setting of the user's folder: what is wrong with a file is said of it.
const customKey = "monitoringFolder"

// customSettings say what users watch beside what the rooms do.
func (s *Stack) customSettings(g *settings.Group) {
	c := &s.custom
	g.Text(&c.folder, customKey,
		"Folder with your own rules, dashboards, scrape configurations and routes, relative to the program's; docs/custom-monitoring.md says what is in it. It is checked before anything changes.")
	g.Variables(&c.credentials, "monitoringCredentials",
		"Secrets that your own scrape configurations name, as "+custom.CredentialsPath+"/NAME.", settings.Secret,
		settings.While(func() bool { return c.folder != "" && !s.operated.on() }, "monitoringFolder is set, and monitoringBackend is "+MonitoringOwn))
	g.Check(func(p *settings.Problems) {
		for _, name := range slices.Sorted(maps.Keys(c.credentials)) {
			if strings.TrimSpace(c.credentials[name]) == "" {
				p.Add("monitoringCredentials."+name, "it is empty: `pulumi config set --secret --path monitoringCredentials.%s`", name)
			}
		}
	})
}

// ownMonitoring is what a user says of a folder.
type ownMonitoring struct {
	folder      string
	credentials map[string]string
}

// read reads the folder. What is wrong with itself is said by its name.
func (o *ownMonitoring) read() (*custom.Folder, []custom.Problem) {
	folder, problems := custom.Read(os.DirFS(o.folder))
	for i, problem := range problems {
		if problem.File == "" {
			problems[i].Text = fmt.Sprintf("%q: %s", o.folder, problem.Text)
		}
	}
	return folder, problems
}

// checkCustom reads the user's folder, and checks it beside what the rooms say.
func (s *Stack) checkCustom(p *settings.Problems) {
	if s.custom.folder == "" {
		return
	}
	folder, problems := s.custom.read()
	a := s.Monitoring
	a.Custom, a.Prometheus.Credentials = folder, map[string]pulumi.StringInput{}
	for name, value := range s.custom.credentials {
		a.Prometheus.Credentials[name] = pulumi.ToSecret(pulumi.String(value)).(pulumi.StringOutput)
	}
	if s.Target == room.Kubernetes {
		a.NamespaceName = s.Cluster.Namespace
	}
	beside := s.watching()
	more, warnings := beside.CheckCustom(s.Target)
	for _, problem := range append(problems, more...) {
		p.Add(customKey, "%s", problem)
	}
	for _, warning := range warnings {
		p.Warn(customKey, "%s", warning)
	}
}

// watching is what monitoring takes up of the rooms as they are set.
func (s *Stack) watching() *monitoring.Args {
	beside := *s.Monitoring
	if s.linesShown() {
		beside.LogsURL = linesURL
	}
	beside.Watched = beside.Named(monitoringName, s.Target)
	var rooms []room.Facts
	for _, r := range s.rooms() {
		rooms = append(rooms, r.facts(r.name, s.Target))
	}
	beside.Watch(monitoringName, nil, rooms...)
	return &beside
}
