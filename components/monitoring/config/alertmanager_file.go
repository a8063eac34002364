package config

// The types below are the part of Alertmanager's configuration that this program uses.
// Alertmanager's own types do not marshal secrets.

type alertmanagerFile struct {
	Templates     []string   `yaml:"templates,flow"`
	Route         route      `yaml:"route"`
	InhibitRules  []any      `yaml:"inhibit_rules"`
	Receivers     []receiver `yaml:"receivers"`
	TimeIntervals []any      `yaml:"time_intervals,omitempty"`
}

type route struct {
	Receiver            string   `yaml:"receiver"`
	Matchers            []string `yaml:"matchers,omitempty"`
	GroupBy             []string `yaml:"group_by,omitempty,flow"`
	GroupWait           string   `yaml:"group_wait,omitempty"`
	GroupInterval       string   `yaml:"group_interval,omitempty"`
	RepeatInterval      string   `yaml:"repeat_interval,omitempty"`
	ActiveTimeIntervals []string `yaml:"active_time_intervals,omitempty,flow"`
	MuteTimeIntervals   []string `yaml:"mute_time_intervals,omitempty,flow"`
	Continue            bool     `yaml:"continue,omitempty"`
	Routes              []any    `yaml:"routes,omitempty"`
}

type inhibitRule struct {
	SourceMatchers []string `yaml:"source_matchers"`
	TargetMatchers []string `yaml:"target_matchers"`
	Equal          []string `yaml:"equal,omitempty,flow"`
}

type timeIntervals struct {
	Name          string         `yaml:"name"`
	TimeIntervals []timeInterval `yaml:"time_intervals"`
}

type timeInterval struct {
	Times    []clockTimes `yaml:"times,omitempty"`
	Weekdays []string     `yaml:"weekdays,omitempty,flow"`
	Location string       `yaml:"location,omitempty"`
}

type clockTimes struct {
	Start string `yaml:"start_time"`
	End   string `yaml:"end_time"`
}

type receiver struct {
	Name             string      `yaml:"name"`
	SlackConfigs     []slack     `yaml:"slack_configs,omitempty"`
	PagerDutyConfigs []pagerDuty `yaml:"pagerduty_configs,omitempty"`
	OpsgenieConfigs  []opsgenie  `yaml:"opsgenie_configs,omitempty"`
	TeamsConfigs     []teams     `yaml:"msteamsv2_configs,omitempty"`
	TelegramConfigs  []telegram  `yaml:"telegram_configs,omitempty"`
	EmailConfigs     []email     `yaml:"email_configs,omitempty"`
	WebhookConfigs   []webhook   `yaml:"webhook_configs,omitempty"`
}

type slack struct {
	APIURLFile   string `yaml:"api_url_file"`
	Channel      string `yaml:"channel,omitempty"`
	SendResolved bool   `yaml:"send_resolved"`
	Title        string `yaml:"title"`
	TitleLink    string `yaml:"title_link"`
	Text         string `yaml:"text"`
	Fallback     string `yaml:"fallback"`
}

type pagerDuty struct {
	RoutingKeyFile string            `yaml:"routing_key_file"`
	URL            string            `yaml:"url,omitempty"`
	SendResolved   bool              `yaml:"send_resolved"`
	Description    string            `yaml:"description"`
	Severity       string            `yaml:"severity"`
	Class          string            `yaml:"class"`
	Component      string            `yaml:"component"`
	Group          string            `yaml:"group"`
	Source         string            `yaml:"source"`
	Details        map[string]string `yaml:"details"`
	Links          []link            `yaml:"links"`
}

type link struct {
	Href string `yaml:"href"`
	Text string `yaml:"text"`
}

type opsgenie struct {
	APIKeyFile   string            `yaml:"api_key_file"`
	APIURL       string            `yaml:"api_url,omitempty"`
	SendResolved bool              `yaml:"send_resolved"`
	Message      string            `yaml:"message"`
	Description  string            `yaml:"description"`
	Entity       string            `yaml:"entity"`
	Tags         string            `yaml:"tags"`
	Priority     string            `yaml:"priority"`
	Details      map[string]string `yaml:"details"`
	Responders   []responder       `yaml:"responders,omitempty"`
}

type responder struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"`
}

type teams struct {
	WebhookURLFile string `yaml:"webhook_url_file"`
	SendResolved   bool   `yaml:"send_resolved"`
	Title          string `yaml:"title"`
	Text           string `yaml:"text"`
}

type telegram struct {
	BotTokenFile string `yaml:"bot_token_file"`
	APIURL       string `yaml:"api_url,omitempty"`
	ChatID       int64  `yaml:"chat_id"`
	ThreadID     int    `yaml:"message_thread_id,omitempty"`
	SendResolved bool   `yaml:"send_resolved"`
	Message      string `yaml:"message"`
	ParseMode    string `yaml:"parse_mode"`
}

type email struct {
	Smarthost        string            `yaml:"smarthost"`
	From             string            `yaml:"from"`
	To               string            `yaml:"to"`
	AuthUsername     string            `yaml:"auth_username,omitempty"`
	AuthPasswordFile string            `yaml:"auth_password_file,omitempty"`
	SendResolved     bool              `yaml:"send_resolved"`
	RequireTLS       bool              `yaml:"require_tls"`
	Headers          map[string]string `yaml:"headers"`
	HTML             string            `yaml:"html"`
	Text             string            `yaml:"text"`
}

type webhook struct {
	URLFile      string `yaml:"url_file"`
	SendResolved bool   `yaml:"send_resolved"`
}
