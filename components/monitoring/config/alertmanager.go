package config

import "github.com/alphapulse/alphapulse-infra/components/room/rule"

// Receivers in the configuration of Alertmanager.
const (
	receiverNone      = "none"
	receiverWebhook   = "webhook"
	receiverHeartbeat = "heartbeat"
)

// Alertmanager is what the configuration of Alertmanager depends on. The URLs of
// the receivers are secrets and stand in files of their own.
type Alertmanager struct {
	// WebhookFile is the path of the file with the URL that alerts are posted to.
	// "" leaves alerts visible in the user interfaces only.
	WebhookFile string
	// HeartbeatFile is the path of the file with the URL that the dead man's switch
	// is posted to, once a minute for as long as monitoring works. "" for none.
	HeartbeatFile string
	// DeadMansSwitch is the name of the alert that always fires.
	DeadMansSwitch string
	// Inhibitions keep consequences from being sent beside their cause.
	Inhibitions []rule.Inhibition
}

// Render gives alertmanager.yml.
func (a Alertmanager) Render() (string, error) {
	file := alertmanagerFile{
		Route: route{
			Receiver:       receiverNone,
			GroupBy:        []string{"alertname", "job"},
			GroupWait:      "30s",
			GroupInterval:  "5m",
			RepeatInterval: "4h",
		},
		// A fast burn of the error budget is also a slow one: one page is enough.
		InhibitRules: []inhibitRule{{
			SourceMatchers: []string{`severity="critical"`},
			TargetMatchers: []string{`severity="warning"`},
			Equal:          []string{"alertname", "job", "persistentvolumeclaim", "datname"},
		}},
		Receivers: []receiver{{Name: receiverNone}},
	}
	for _, i := range a.Inhibitions {
		file.InhibitRules = append(file.InhibitRules, inhibitRule{SourceMatchers: i.Source, TargetMatchers: i.Target, Equal: i.Equal})
	}
	if a.WebhookFile != "" {
		file.Route.Receiver = receiverWebhook
		file.Receivers = append(file.Receivers, receiver{Name: receiverWebhook,
			WebhookConfigs: []webhook{{URLFile: a.WebhookFile, SendResolved: true}}})
	}
	// Without a heartbeat receiver the switch goes nowhere: an alert that always
	// fires has no place among those that ask for action.
	heartbeat := route{Receiver: receiverNone, Matchers: []string{`alertname="` + a.DeadMansSwitch + `"`}}
	if a.HeartbeatFile != "" {
		heartbeat.Receiver = receiverHeartbeat
		heartbeat.GroupWait, heartbeat.GroupInterval, heartbeat.RepeatInterval = "0s", "1m", "1m"
		file.Receivers = append(file.Receivers, receiver{Name: receiverHeartbeat,
			WebhookConfigs: []webhook{{URLFile: a.HeartbeatFile}}})
	}
	file.Route.Routes = []route{heartbeat}
	return render(file)
}

type alertmanagerFile struct {
	Route        route         `yaml:"route"`
	InhibitRules []inhibitRule `yaml:"inhibit_rules"`
	Receivers    []receiver    `yaml:"receivers"`
}

type route struct {
	Receiver       string   `yaml:"receiver"`
	Matchers       []string `yaml:"matchers,omitempty"`
	GroupBy        []string `yaml:"group_by,omitempty,flow"`
	GroupWait      string   `yaml:"group_wait,omitempty"`
	GroupInterval  string   `yaml:"group_interval,omitempty"`
	RepeatInterval string   `yaml:"repeat_interval,omitempty"`
	Routes         []route  `yaml:"routes,omitempty"`
}

type inhibitRule struct {
	SourceMatchers []string `yaml:"source_matchers"`
	TargetMatchers []string `yaml:"target_matchers"`
	Equal          []string `yaml:"equal,omitempty,flow"`
}

type receiver struct {
	Name           string    `yaml:"name"`
	WebhookConfigs []webhook `yaml:"webhook_configs,omitempty"`
}

type webhook struct {
	URLFile      string `yaml:"url_file"`
	SendResolved bool   `yaml:"send_resolved"`
}
