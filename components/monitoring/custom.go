package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// CheckCustom finds what is wrong with Custom beside what the rooms watch, and what a user
// should know and may want.
func (a *Args) CheckCustom(on room.Target) (problems, warnings []custom.Problem) {
	if a.Custom == nil {
		return nil, nil
	}
	k := custom.Known{
		Groups: a.rules(), Namespace: a.NamespaceName, On: on, Names: a.Taken,
		Jobs:        append(slices.Clone(config.ScrapeJobs), a.Taken...),
		Credentials: slices.Collect(maps.Keys(a.Prometheus.Credentials)),
		Receivers:   []string{config.ReceiverNone},
		Lines:       a.LogsURL != "",
		Together:    a.Operator != nil,
	}
	if a.Watched.KubeStateMetrics != "" && on == room.Kubernetes {
		k.Observed = slices.Sorted(maps.Keys(config.Observed))
	}
	if a.Prometheus.Kubelets != nil {
		k.Jobs = append(k.Jobs, config.KubeletJob)
	}
	for _, r := range a.Alertmanager.receivers() {
		k.Receivers = append(k.Receivers, r.Name)
		if r.Hours != nil {
			k.Intervals = append(k.Intervals, r.Name)
		}
	}
	for _, g := range k.Groups {
		for _, r := range g.Rules {
			k.Expressions = append(k.Expressions, r.Expr)
		}
	}
	// A dashboard that cannot be built is a problem of its own.
	files, _ := a.GrafanaDashboards()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		uid, queries := asked(files[name])
		k.Dashboards, k.Expressions = append(k.Dashboards, uid), append(k.Expressions, queries...)
	}
	problems, warnings = a.Custom.Check(k)
	if a.Operator == nil {
		problems = append(problems, a.tooMuch()...)
	}
	if c := a.Custom; a.Operator != nil {
		if len(c.Scrapes) > 0 {
			problems = append(problems, custom.Problem{File: custom.ScrapeFolder, Text: "an Operator's Prometheus reads no such files: write ScrapeConfig objects, and take the folder away"})
		}
		if len(c.Routes)+len(c.TimeIntervals)+len(c.InhibitRules) > 0 {
			problems = append(problems, custom.Problem{File: custom.RoutesFolder, Text: "an Operator's Alertmanager reads no such files: write AlertmanagerConfig objects, and take the folder away"})
		}
	}
	return problems, warnings
}

// tooMuch is said of routes that, with the receivers and what is rendered beside them, do not
// fit into a ConfigMap.
func (a *Args) tooMuch() []custom.Problem {
	files, _, err := a.AlertmanagerFiles()
	if err != nil {
		return []custom.Problem{{File: custom.RoutesFolder, Text: fmt.Sprintf("Alertmanager's configuration cannot be written: %v", err)}}
	}
	sum := 0
	for _, content := range files {
		sum += len(content)
	}
	if sum > maxConfiguration {
		return []custom.Problem{{File: custom.RoutesFolder, Text: fmt.Sprintf("with them Alertmanager's configuration holds %d KiB, and a ConfigMap has room for %d: leave some out", sum>>10, maxConfiguration>>10)}}
	}
	return nil
}

// maxConfiguration leaves some of a ConfigMap's 1 MiB to its names.
const maxConfiguration = 1000 << 10

// asked are the uid and the queries of one of the stack's own dashboards.
func asked(content string) (uid string, queries []string) {
	var page struct {
		UID    string
		Panels []struct {
			Targets []struct {
				Expr       string
				Datasource struct{ UID string }
			}
		}
	}
	if json.Unmarshal([]byte(content), &page) != nil {
		return "", nil
	}
	for _, p := range page.Panels {
		for _, t := range p.Targets {
			if t.Datasource.UID == board.Datasource {
				queries = append(queries, t.Expr)
			}
		}
	}
	return page.UID, queries
}

// customLinks let Prometheus reach what users scrape. What is inside of the namespace is
// found by the labels app.kubernetes.io/name and app.kubernetes.io/instance of its pods,
// which both are the name of its Service.
func (a *Args) customLinks(prometheus room.Identity) []room.Link {
	if a.Custom == nil {
		return nil
	}
	var links []room.Link
	var outside []int
	for _, t := range a.Custom.Targets {
		name := t.Inside(a.NamespaceName)
		if name == "" {
			outside = append(outside, t.Port)
			continue
		}
		to := room.Identity{Name: name, Instance: name, Component: "custom"}
		links = append(links, room.Link{From: room.Of(prometheus), To: room.Of(to), Ports: []int{t.Port}, Zone: room.Watch})
	}
	if len(outside) > 0 {
		slices.Sort(outside)
		links = append(links, room.Link{From: room.Of(prometheus), To: room.Outside(room.Anywhere), Ports: slices.Compact(outside), Zone: room.Exit})
	}
	return links
}
