package config

import (
	"fmt"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// ReceiverNone is the receiver that sends nothing.
const ReceiverNone = "none"

// receiverHeartbeat is that of the dead man's switch alone.
const receiverHeartbeat = "heartbeat"

// Alertmanager is what the configuration of Alertmanager depends on. The credentials of
// the receivers are secrets and stand in files of their own.
type Alertmanager struct {
	// Receivers of alerts. Each gets what it asks for, whatever others get. None leaves
	// alerts visible in the user interfaces only.
	Receivers []Receiver
	// HeartbeatFile is the path of the file with the URL that the dead man's switch
	// is posted to, once a minute for as long as monitoring works. "" for none.
	HeartbeatFile string
	// DeadMansSwitch is the name of the alert that always fires.
	DeadMansSwitch string
	// Inhibitions keep consequences from being sent beside their cause.
	Inhibitions []rule.Inhibition
	// Routes, TimeIntervals and InhibitRules are the user's own, each in Alertmanager's
	// notation. Routes come before those to the receivers: one that does not continue takes
	// an alert away from them.
	Routes, TimeIntervals, InhibitRules []any
}

// Render gives alertmanager.yml.
func (a Alertmanager) Render() (string, error) {
	file := alertmanagerFile{
		Templates: []string{TemplateFile},
		Route: route{
			Receiver:       ReceiverNone,
			GroupBy:        []string{"alertname", "job"},
			GroupWait:      "30s",
			GroupInterval:  "5m",
			RepeatInterval: "4h",
		},
		// A fast burn of the error budget is also a slow one: one page is enough.
		InhibitRules: []any{inhibitRule{
			SourceMatchers: []string{`severity="critical"`},
			TargetMatchers: []string{`severity="warning"`},
			Equal:          []string{"alertname", "job", "persistentvolumeclaim", "datname"},
		}},
		Receivers: []receiver{{Name: ReceiverNone}},
	}
	for _, i := range a.Inhibitions {
		file.InhibitRules = append(file.InhibitRules, inhibitRule{SourceMatchers: i.Source, TargetMatchers: i.Target, Equal: i.Equal})
	}
	// Without a heartbeat receiver the switch goes nowhere: an alert that always
	// fires has no place among those that ask for action.
	heartbeat := route{Receiver: ReceiverNone, Matchers: []string{fmt.Sprintf("alertname=%q", a.DeadMansSwitch)}}
	if a.HeartbeatFile != "" {
		heartbeat.Receiver = receiverHeartbeat
		heartbeat.GroupWait, heartbeat.GroupInterval, heartbeat.RepeatInterval = "0s", "1m", "1m"
		file.Receivers = append(file.Receivers, receiver{Name: receiverHeartbeat,
			WebhookConfigs: []webhook{{URLFile: a.HeartbeatFile}}})
	}
	file.InhibitRules = append(file.InhibitRules, a.InhibitRules...)
	file.Route.Routes = append([]any{heartbeat}, a.Routes...)
	file.TimeIntervals = a.TimeIntervals
	for _, r := range a.Receivers {
		file.Receivers = append(file.Receivers, r.render())
		if !r.RoutesOnly {
			file.Route.Routes = append(file.Route.Routes, r.route())
		}
		if r.Hours != nil && !r.RoutesOnly {
			file.TimeIntervals = append(file.TimeIntervals, r.Hours.render(r.Name))
		}
	}
	return render(file)
}

// route leads to the receiver, and on to the next.
func (r Receiver) route() route {
	to := route{Receiver: r.Name, Continue: true}
	severities := make([]string, len(r.Severities))
	for i, s := range r.Severities {
		severities[i] = string(s)
	}
	for _, m := range []struct {
		label  string
		values []string
	}{{"severity", severities}, {rule.OwnerLabel, r.Owners}, {rule.WorkloadLabel, r.Workloads}} {
		if len(m.values) > 0 {
			to.Matchers = append(to.Matchers, fmt.Sprintf("%s=~%q", m.label, rule.AnyOf(m.values)))
		}
	}
	if r.Hours != nil && r.Hours.Outside {
		to.MuteTimeIntervals = []string{r.Name}
	} else if r.Hours != nil {
		to.ActiveTimeIntervals = []string{r.Name}
	}
	return to
}

func (h Hours) render(name string) timeIntervals {
	i := timeInterval{Weekdays: h.Days, Location: h.Location}
	if h.From != "" {
		i.Times = []clockTimes{{Start: h.From, End: h.To}}
	}
	return timeIntervals{Name: name, TimeIntervals: []timeInterval{i}}
}

func named(template string) string { return fmt.Sprintf(`{{ template "alphapulse.%s" . }}`, template) }

// ofFirst is an annotation of the first of the alerts that are sent together: their
// runbook is the same, and mostly their dashboard is.
func ofFirst(annotation string) string {
	return fmt.Sprintf(`{{ (index .Alerts 0).Annotations.%s }}`, annotation)
}

func (r Receiver) render() receiver {
	title, text := named("title"), named("text")
	all := receiver{Name: r.Name}
	switch {
	case r.Slack != nil:
		all.SlackConfigs = []slack{{
			APIURLFile: r.CredentialFile, Channel: r.Slack.Channel, SendResolved: true,
			Title: title, TitleLink: ofFirst("dashboard_url"), Text: named("slack"), Fallback: title,
		}}
	case r.PagerDuty != nil:
		all.PagerDutyConfigs = []pagerDuty{{
			RoutingKeyFile: r.CredentialFile, URL: r.PagerDuty.URL, SendResolved: true,
			Description: title, Severity: `{{ with .CommonLabels.severity }}{{ . }}{{ else }}critical{{ end }}`,
			Class: `{{ .CommonLabels.alertname }}`, Component: `{{ .CommonLabels.workload }}`, Group: `{{ .CommonLabels.owner }}`,
			Source:  `{{ with .CommonLabels.namespace }}{{ . }}{{ else }}alphapulse{{ end }}`,
			Details: map[string]string{"text": text},
			Links: []link{
				{ofFirst("runbook_url"), "Runbook"}, {ofFirst("dashboard_url"), "Dashboard"}, {ofFirst("logs_url"), "Logs"},
			},
		}}
	case r.Opsgenie != nil:
		o := opsgenie{
			APIKeyFile: r.CredentialFile, APIURL: r.Opsgenie.URL, SendResolved: true,
			Message: title, Description: text, Entity: `{{ .CommonLabels.workload }}`, Tags: `{{ .CommonLabels.owner }}`,
			Priority: `{{ if eq .CommonLabels.severity "warning" }}P3{{ else }}P1{{ end }}`,
			Details:  map[string]string{"runbook": ofFirst("runbook_url"), "dashboard": ofFirst("dashboard_url")},
		}
		if r.Opsgenie.Team != "" {
			o.Responders = []responder{{Name: r.Opsgenie.Team, Type: "team"}}
		}
		all.OpsgenieConfigs = []opsgenie{o}
	case r.Teams != nil:
		all.TeamsConfigs = []teams{{WebhookURLFile: r.CredentialFile, SendResolved: true, Title: title, Text: named("teams")}}
	case r.Telegram != nil:
		all.TelegramConfigs = []telegram{{
			BotTokenFile: r.CredentialFile, APIURL: r.Telegram.URL, ChatID: r.Telegram.ChatID, ThreadID: r.Telegram.ThreadID,
			SendResolved: true, Message: named("telegram"), ParseMode: "HTML",
		}}
	case r.Email != nil:
		all.EmailConfigs = []email{r.Email.render(r.CredentialFile)}
	case r.Webhook != nil:
		all.WebhookConfigs = []webhook{{URLFile: r.CredentialFile, SendResolved: true}}
	}
	return all
}

func (e Email) render(passwordFile string) email {
	m := email{
		Smarthost: e.Smarthost, From: e.From, To: strings.Join(e.To, ", "), SendResolved: true, RequireTLS: true,
		Headers: map[string]string{"Subject": named("title")}, HTML: named("email"), Text: named("text"),
	}
	if passwordFile != "" {
		m.AuthUsername, m.AuthPasswordFile = e.Username, passwordFile
		if m.AuthUsername == "" {
			m.AuthUsername = e.From
		}
	}
	return m
}
