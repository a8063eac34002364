package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

func TestValidateReceiversReportsEverything(t *testing.T) {
	err := ValidateReceivers([]Receiver{
		{Name: "Chat Room", Slack: &Slack{}},
		{Name: "a", Slack: &Slack{}},
		{Name: "a", Slack: &Slack{}},
		{Name: "heartbeat", Webhook: &Webhook{}},
		{Name: "nothing"},
		{Name: "both", Slack: &Slack{}, Teams: &Teams{}},
		{Name: "soft", Teams: &Teams{}, Severities: []rule.Severity{"page"}},
		{Name: "plain", PagerDuty: &PagerDuty{URL: "http://events.example.com"}},
		{Name: "port", Opsgenie: &Opsgenie{URL: "https://api.example.com:8443/"}},
		{Name: "bot", Telegram: &Telegram{}},
		{Name: "mail", Email: &Email{Smarthost: "smtp.example.com", From: "nobody", To: nil}},
		{Name: "never", Webhook: &Webhook{}, Hours: &Hours{Days: []string{"friday:monday", "fri"}, From: "18:00", To: "08:00", Location: "Berlin"}},
		{Name: "room", Slack: &Slack{Channel: "#{{ .x"}},
		{Name: "team", Opsgenie: &Opsgenie{Team: "{{x}}"}},
		{Name: "topic", Telegram: &Telegram{ChatID: 1, ThreadID: -5}},
		{Name: "relay", Email: &Email{Smarthost: "a b:25", From: "a@example.com", To: []string{"{{x}}@example.com"}}},
		{Name: "zero", Email: &Email{Smarthost: "smtp.example.com:0", From: "a@example.com", To: []string{"a@example.com"}}},
		{Name: "clock", Webhook: &Webhook{}, Hours: &Hours{From: "8", To: "25:00"}},
		{Name: "early", Webhook: &Webhook{}, Hours: &Hours{From: "8:00", To: "18:00"}},
		{Name: "login", Opsgenie: &Opsgenie{URL: "https://u:hunter2@api.example.com:8443/?key=hunter2"}},
		{Name: "letter", Email: &Email{Smarthost: "u:hunter2@smtp.example.com:587", From: "a@example.com", To: []string{"a@example.com"}}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is repeated: %v", err)
	}
	for _, want := range []string{
		`receiver 1 is called "Chat Room"`, `receiver 3 is called "a", as another one is`, `receiver 4 is called "heartbeat"`,
		"receiver nothing: its kinds are []", "receiver both: its kinds are [Slack Teams]", `receiver soft: severity "page"`,
		`receiver plain: URL "http://events.example.com"`, `receiver port: URL "https://api.example.com:8443/"`,
		"receiver bot: ChatID is missing", `smarthost "smtp.example.com"`, "to is missing", `address "nobody"`,
		`receiver room: "#{{ .x" holds {{`, `receiver team: "{{x}}" holds {{`, "receiver topic: ThreadID -5", `receiver relay: "{{x}}@example.com" holds {{`,
		`smarthost "a b:25"`, `smarthost "smtp.example.com:0"`, `days "friday:monday"`, `days "fri"`, `from "18:00" to "08:00": want From before To`, `location "Berlin"`, `from "8" to "25:00"`,
		`receiver early: hours: from "8:00" to "18:00": want times such as 08:00`, `URL "https://…@api.example.com:8443/?key=…"`, `smarthost "…@smtp.example.com:587"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\n%v", want, err)
		}
	}
}

// As many as do not fit are refused, not left to the API server.
func TestReceiversThatDoNotFit(t *testing.T) {
	all := make([]Receiver, 1200)
	for i := range all {
		all[i] = Receiver{Name: fmt.Sprintf("chat-%d", i), Slack: &Slack{}}
	}
	if err := ValidateReceivers(all); err == nil || !strings.Contains(err.Error(), "1200 receivers take") {
		t.Error(err)
	}
	if err := ValidateReceivers(all[:100]); err != nil {
		t.Error(err)
	}
}

func TestReceiversThatAreRight(t *testing.T) {
	if err := ValidateReceivers([]Receiver{
		{Name: "chat", Slack: &Slack{Channel: "#alerts"}, Hours: &Hours{Days: []string{"monday:friday", "sunday"}, From: "08:00", To: "24:00", Location: "Europe/Berlin"}},
		{Name: "page", PagerDuty: &PagerDuty{URL: "https://events.eu.pagerduty.com/v2/enqueue"}, Severities: []rule.Severity{rule.Critical, rule.Warning}},
		{Name: "genie", Opsgenie: &Opsgenie{URL: "https://api.eu.opsgenie.com/", Team: "platform"}},
		{Name: "teams", Teams: &Teams{}, Hours: &Hours{Days: []string{"saturday"}, Outside: true}},
		{Name: "bot", Telegram: &Telegram{ChatID: -100123, ThreadID: 4}},
		{Name: "mail", Email: &Email{Smarthost: "smtp.example.com:465", From: "AlphaPulse <alerts@example.com>", To: []string{"a@example.com"}}},
		{Name: "hook", Webhook: &Webhook{}, Owners: []string{"platform"}, Workloads: []string{"database"}},
	}); err != nil {
		t.Error(err)
	}
}

func TestReceiversPorts(t *testing.T) {
	for _, c := range []struct {
		r    Receiver
		port int
	}{
		{Receiver{Slack: &Slack{}}, 443}, {Receiver{Email: &Email{Smarthost: "smtp.example.com:587"}}, 587},
		{Receiver{Email: &Email{Smarthost: "[2001:db8::1]:465"}}, 465}, {Receiver{Telegram: &Telegram{}}, 443},
	} {
		if got := c.r.Port(); got != c.port {
			t.Errorf("%v is reached on %d, want %d", c.r.kinds(), got, c.port)
		}
	}
}

// TestEveryReceiverIsToldTheEnd of an alert, or its incident stays open for ever.
func TestEveryReceiverIsToldTheEnd(t *testing.T) {
	for kind, r := range map[string]Receiver{
		"slack": {Slack: &Slack{}}, "pagerduty": {PagerDuty: &PagerDuty{}}, "opsgenie": {Opsgenie: &Opsgenie{}}, "teams": {Teams: &Teams{}},
		"telegram": {Telegram: &Telegram{ChatID: 1}}, "email": {Email: &Email{}}, "webhook": {Webhook: &Webhook{}},
	} {
		r.Name = "us"
		file, err := Alertmanager{Receivers: []Receiver{r}, DeadMansSwitch: "Switch"}.Render()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(file, "send_resolved: true") != 1 || strings.Contains(file, "send_resolved: false") {
			t.Errorf("%s is not told that an alert is over:\n%s", kind, file)
		}
	}
}
