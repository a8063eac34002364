package rules_test

import (
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/common/model"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	monitoring "github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
)

func loadAlertmanager(t *testing.T, a config.Alertmanager) *amconfig.Config {
	t.Helper()
	a.DeadMansSwitch = monitoring.DeadMansSwitch
	rendered, err := a.Render()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := amconfig.LoadFile(write(t, "alertmanager.yml", rendered))
	if err != nil {
		t.Fatalf("Alertmanager refuses the configuration: %v\n%s", err, rendered)
	}
	return loaded
}

// receivers gives the names of the receivers of an alert with these labels.
func receivers(c *amconfig.Config, alert model.LabelSet) []string {
	var names []string
	for _, r := range dispatch.NewRoute(c.Route, nil).Match(alert) {
		names = append(names, r.RouteOpts.Receiver)
	}
	return names
}

func TestAlertmanagerRoutes(t *testing.T) {
	const webhookFile, heartbeatFile = "/etc/receivers/webhook", "/etc/receivers/heartbeat"
	webhook := []config.Receiver{{Name: "webhook", Webhook: &config.Webhook{}, CredentialFile: webhookFile}}
	for name, c := range map[string]struct {
		settings config.Alertmanager
		// The file with the URL that an alert, and the dead man's switch, are posted
		// to; "" for nowhere.
		alert, dead string
	}{
		"no receiver":     {config.Alertmanager{}, "", ""},
		"webhook alone":   {config.Alertmanager{Receivers: webhook}, webhookFile, ""},
		"heartbeat alone": {config.Alertmanager{HeartbeatFile: heartbeatFile}, "", heartbeatFile},
		"both":            {config.Alertmanager{Receivers: webhook, HeartbeatFile: heartbeatFile}, webhookFile, heartbeatFile},
	} {
		t.Run(name, func(t *testing.T) {
			loaded := loadAlertmanager(t, c.settings)
			posted := func(alert string) string {
				names := receivers(loaded, model.LabelSet{"alertname": model.LabelValue(alert), "severity": "critical"})
				if len(names) != 1 {
					t.Fatalf("%s goes to %v, want one receiver", alert, names)
				}
				for _, r := range loaded.Receivers {
					if r.Name == names[0] && len(r.WebhookConfigs) > 0 {
						return r.WebhookConfigs[0].URLFile
					}
				}
				return ""
			}
			if got := posted("DatabaseDown"); got != c.alert {
				t.Errorf("an alert is posted to %q, want %q", got, c.alert)
			}
			if got := posted(monitoring.DeadMansSwitch); got != c.dead {
				t.Errorf("the dead man's switch is posted to %q, want %q", got, c.dead)
			}
		})
	}
}

// A heartbeat that is repeated only every few hours raises a false alarm.
func TestHeartbeatIsRepeatedEveryMinute(t *testing.T) {
	loaded := loadAlertmanager(t, config.Alertmanager{HeartbeatFile: "/etc/receivers/heartbeat"})
	for _, r := range dispatch.NewRoute(loaded.Route, nil).Match(model.LabelSet{"alertname": monitoring.DeadMansSwitch}) {
		if o := r.RouteOpts; o.RepeatInterval > time.Minute || o.GroupInterval > time.Minute {
			t.Errorf("repeated every %s, groups looked at every %s: want a minute", o.RepeatInterval, o.GroupInterval)
		}
	}
}

// Whoever is woken by a critical alert does not want its warning as well.
func TestCriticalMutesItsWarning(t *testing.T) {
	loaded := loadAlertmanager(t, config.Alertmanager{})
	if len(loaded.InhibitRules) != 1 {
		t.Fatalf("%d inhibit rules without any that is asked for, want 1", len(loaded.InhibitRules))
	}
	rule := inhibit.NewInhibitRule(loaded.InhibitRules[0])
	critical := model.LabelSet{"alertname": "VolumeFilling", "severity": "critical", "persistentvolumeclaim": "database", "job": "database"}
	if !rule.SourceMatchers.Matches(critical) {
		t.Error("a critical alert mutes nothing")
	}
	for name, c := range map[string]struct {
		change model.LabelSet
		muted  bool
	}{
		"its warning":                {model.LabelSet{"severity": "warning"}, true},
		"itself":                     {model.LabelSet{}, false},
		"the warning of another":     {model.LabelSet{"severity": "warning", "alertname": "CacheDown"}, false},
		"the warning of another job": {model.LabelSet{"severity": "warning", "job": "cache"}, false},
		"the warning of another PVC": {model.LabelSet{"severity": "warning", "persistentvolumeclaim": "cache"}, false},
	} {
		target := critical.Merge(c.change)
		muted := rule.TargetMatchers.Matches(target)
		for label := range rule.Equal {
			muted = muted && target[label] == critical[label]
		}
		if muted != c.muted {
			t.Errorf("%s: muted %v, want %v", name, muted, c.muted)
		}
	}
}
