package config

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// NotificationTemplate is what people read of an alert. It stands beside
// alertmanager.yml, as TemplateFile.
//
//go:embed notification.tmpl
var NotificationTemplate string

// TemplateFile is the name of the file of NotificationTemplate.
const TemplateFile = "notification.tmpl"

// Receiver is where alerts are sent. Exactly one of the kinds is set.
type Receiver struct {
	// Name tells it apart: small letters, digits and hyphens.
	Name string `json:"-"`

	// The kinds; nil for those that it is not.
	Slack     *Slack     `json:"slack"`
	PagerDuty *PagerDuty `json:"pagerDuty"`
	Opsgenie  *Opsgenie  `json:"opsgenie"`
	Teams     *Teams     `json:"teams"`
	Telegram  *Telegram  `json:"telegram"`
	Email     *Email     `json:"email"`
	Webhook   *Webhook   `json:"webhook"`

	// CredentialFile is the path of the file with the credential that the kind asks for.
	CredentialFile string `json:"-"`

	// Severities, Owners and Workloads of the alerts that it gets; all when empty.
	Severities []rule.Severity `json:"severities"`
	Owners     []string        `json:"owners"`
	Workloads  []string        `json:"workloads"`
	// Hours in which it gets them; nil for always.
	Hours *Hours `json:"hours"`
	// RoutesOnly leaves it to the user's own routes what it gets.
	RoutesOnly bool `json:"routesOnly"`
}

// Slack posts to an incoming webhook; its URL is the credential.
type Slack struct {
	// Channel of the message; "" for that of the webhook. Newer webhooks have one only.
	Channel string `json:"channel"`
}

// PagerDuty triggers and resolves incidents by the Events API v2; the integration's
// routing key is the credential.
type PagerDuty struct {
	// URL of the API; "" for that of the United States. Elsewhere it is
	// "https://events.eu.pagerduty.com/v2/enqueue".
	URL string `json:"url"`
}

// Opsgenie opens and closes alerts by the Alert API; an API key is the credential.
type Opsgenie struct {
	// URL of the API; "" for that of the United States. Elsewhere it is
	// "https://api.eu.opsgenie.com/".
	URL string `json:"url"`
	// Team that is told; "" leaves it to the API key's integration.
	Team string `json:"team"`
}

// Teams posts an adaptive card to a workflow of Microsoft Teams; its URL is the
// credential.
type Teams struct{}

// Telegram sends a message as a bot; the bot's token is the credential.
type Telegram struct {
	// ChatID of the chat or the group; that of a group is below zero.
	ChatID int64 `json:"chatId"`
	// ThreadID is a topic of the group; 0 for none.
	ThreadID int `json:"threadId"`
	// URL of the API; "" for https://api.telegram.org.
	URL string `json:"url"`
}

// Email sends a mail; the password is the credential, absent where the server asks for
// none.
type Email struct {
	// Smarthost is the server that takes the mail, e.g. "smtp.example.com:587". It has to
	// speak TLS: at once on port 465, by STARTTLS on others.
	Smarthost string `json:"smarthost"`
	// From is the sender's address, e.g. "alerts@example.com"; there is no default.
	From string `json:"from"`
	// To are the addresses that get each mail, at least one.
	To []string `json:"to"`
	// Username of the login; From when empty.
	Username string `json:"username"`
}

// Webhook posts alerts in Alertmanager's own format; the URL is the credential.
type Webhook struct{}

// Hours are times of a week.
type Hours struct {
	// Days, e.g. "monday:friday" or "sunday"; all when empty.
	Days []string `json:"days"`
	// From and To, e.g. "08:00" and "18:00"; the whole day when both are empty.
	From string `json:"from"`
	To   string `json:"to"`
	// Location by its name in the time zone database, e.g. "Europe/Berlin", which
	// Alertmanager's image has to have; UTC when empty.
	Location string `json:"location"`
	// Outside turns it round: what is left of the week.
	Outside bool `json:"outside"`
}

// kinds names those that are set.
func (r Receiver) kinds() []string {
	var set []string
	for _, k := range []struct {
		name string
		is   bool
	}{
		{"Slack", r.Slack != nil}, {"PagerDuty", r.PagerDuty != nil}, {"Opsgenie", r.Opsgenie != nil}, {"Teams", r.Teams != nil},
		{"Telegram", r.Telegram != nil}, {"Email", r.Email != nil}, {"Webhook", r.Webhook != nil},
	} {
		if k.is {
			set = append(set, k.name)
		}
	}
	return set
}

// AsksForCredential tells whether it cannot do without one: a mail server may be told no user.
func (r Receiver) AsksForCredential() bool { return r.Email == nil || r.Email.Username != "" }

// CredentialIsURL tells whether the credential is the address that is posted to.
func (r Receiver) CredentialIsURL() bool { return r.Slack != nil || r.Teams != nil || r.Webhook != nil }

// Port is the one that it is reached on.
func (r Receiver) Port() int {
	if r.Email != nil {
		_, port, _ := net.SplitHostPort(r.Email.Smarthost)
		n, _ := strconv.Atoi(port)
		return n
	}
	return 443
}

var receiverName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// ValidateReceivers reports everything that is wrong with them, each by its name.
func ValidateReceivers(all []Receiver) error {
	var problems []error
	names := map[string]bool{ReceiverNone: true, receiverHeartbeat: true}
	for i, r := range all {
		if !receiverName.MatchString(r.Name) {
			problems = append(problems, fmt.Errorf("receiver %d is called %q: want small letters, digits and hyphens", i+1, r.Name))
		} else if names[r.Name] {
			problems = append(problems, fmt.Errorf("receiver %d is called %q, as another one is: give it another name", i+1, r.Name))
		}
		names[r.Name] = true
		for _, problem := range r.problems() {
			problems = append(problems, fmt.Errorf("receiver %s: %w", r.Name, problem))
		}
	}
	if file, err := (Alertmanager{Receivers: all}).Render(); err == nil && len(file) > maxReceivers {
		problems = append(problems, fmt.Errorf("%d receivers take %d KiB of Alertmanager's configuration, which has room for %d of them: take some away, or name less in each", len(all), len(file)>>10, maxReceivers>>10))
	}
	return errors.Join(problems...)
}

// maxReceivers is how much of Alertmanager's configuration receivers may take, in bytes: it is
// a ConfigMap, which has room for 1 MiB, with the routes of users in it.
const maxReceivers = 256 << 10

func (r Receiver) problems() []error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if set := r.kinds(); len(set) != 1 {
		problem("its kinds are %v: want exactly one of Slack, PagerDuty, Opsgenie, Teams, Telegram, Email and Webhook", set)
	}
	for _, s := range r.Severities {
		if s != rule.Critical && s != rule.Warning {
			problem("severity %q: want %s or %s", s, rule.Critical, rule.Warning)
		}
	}
	for _, u := range r.urls() {
		if !LetOut(u) {
			problem("URL %q: want an https URL on port 443, which is all that the network policy lets out", room.Shown(u))
		}
	}
	if r.RoutesOnly && (len(r.Severities)+len(r.Owners)+len(r.Workloads) > 0 || r.Hours != nil) {
		problem("RoutesOnly leaves to routes what it gets: take Severities, Owners, Workloads and Hours away, or RoutesOnly")
	}
	for _, text := range r.texts() {
		if strings.Contains(text, "{{") {
			problem("%q holds {{, which Alertmanager would take for a template: write it plainly", text)
		}
	}
	if r.Telegram != nil && r.Telegram.ThreadID < 0 {
		problem("ThreadID %d: want that of a topic, above zero, or none", r.Telegram.ThreadID)
	}
	if r.Telegram != nil && r.Telegram.ChatID == 0 {
		problem("ChatID is missing: the bot's getUpdates shows it once somebody has written to it")
	}
	if r.Email != nil {
		problems = append(problems, r.Email.problems()...)
	}
	if r.Hours != nil {
		problems = append(problems, r.Hours.problems()...)
	}
	return problems
}

// LetOut tells whether the network policy lets Alertmanager post to a URL: by https, to
// port 443.
func LetOut(raw string) bool {
	u := room.Address(raw, "https")
	return u != nil && (u.Port() == "" || u.Port() == "443")
}

func (r Receiver) urls() []string {
	var urls []string
	if r.PagerDuty != nil {
		urls = append(urls, r.PagerDuty.URL)
	}
	if r.Opsgenie != nil {
		urls = append(urls, r.Opsgenie.URL)
	}
	if r.Telegram != nil {
		urls = append(urls, r.Telegram.URL)
	}
	return slices.DeleteFunc(urls, func(u string) bool { return u == "" })
}

// texts are what Alertmanager fills in as templates.
func (r Receiver) texts() []string {
	var texts []string
	if r.Slack != nil {
		texts = append(texts, r.Slack.Channel)
	}
	if r.Opsgenie != nil {
		texts = append(texts, r.Opsgenie.Team)
	}
	if r.Email != nil {
		texts = append(texts, append([]string{r.Email.From, r.Email.Username}, r.Email.To...)...)
	}
	return texts
}

func (e Email) problems() []error {
	var problems []error
	host, port, err := net.SplitHostPort(e.Smarthost)
	if err != nil || !room.IsHost(host) || !room.IsPort(port) {
		problems = append(problems, fmt.Errorf("smarthost %q: want a host and a port, such as smtp.example.com:587", room.Shown(e.Smarthost)))
	}
	if len(e.To) == 0 {
		problems = append(problems, errors.New("to is missing: name at least one address"))
	}
	for _, address := range append([]string{e.From}, e.To...) {
		if _, err := mail.ParseAddress(address); err != nil {
			problems = append(problems, fmt.Errorf("address %q: want one such as alerts@example.com", address))
		}
	}
	return problems
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

func (h Hours) problems() []error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("hours: "+format, v...)) }
	for _, days := range h.Days {
		first, last, isRange := strings.Cut(days, ":")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 || to < from {
			problem("days %q: want days in the order of a week that begins with sunday, such as monday:friday", days)
		}
	}
	from, to := clock(h.From), clock(h.To)
	switch {
	case h.From == "" && h.To == "":
	case from < 0 || to < 0:
		problem("from %q to %q: want times such as 08:00, at most 24:00", h.From, h.To)
	case from >= to:
		problem("from %q to %q: want From before To; for a night give the day, and Outside", h.From, h.To)
	}
	if _, err := time.LoadLocation(h.Location); err != nil {
		problem("location %q: want a name of the time zone database, such as Europe/Berlin", h.Location)
	}
	return problems
}

// clock is a time in minutes, or -1.
func clock(text string) int {
	if text == "24:00" {
		return 24 * 60
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") { // Alertmanager asks for the zero of 08:00
		return -1
	}
	return t.Hour()*60 + t.Minute()
}
