package rules_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// endpoint takes requests as a service's API does, and keeps those that fit its
// documented schema.
type endpoint struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	// bodies of the requests by their paths, in order.
	paths  []string
	bodies []map[string]any
}

// newEndpoint answers each request by status and answer once check finds nothing wrong.
func newEndpoint(t *testing.T, status int, answer string, check func(r *http.Request, body map[string]any) []string) *endpoint {
	t.Helper()
	e := &endpoint{t: t}
	e.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body := map[string]any{}
		if err := json.Unmarshal(raw, &body); err != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			t.Errorf("%s: %v: %s", r.URL, err, raw)
			return
		}
		if problems := check(r, body); len(problems) > 0 {
			http.Error(w, strings.Join(problems, "; "), http.StatusBadRequest)
			t.Errorf("%s: %s\n%s", r.URL, strings.Join(problems, "; "), raw)
			return
		}
		e.mu.Lock()
		e.paths, e.bodies = append(e.paths, r.Method+" "+r.URL.RequestURI()), append(e.bodies, body)
		e.mu.Unlock()
		if strings.HasPrefix(answer, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(e.server.Close)
	return e
}

// problems are what a schema does not allow.
type problems []string

func (p *problems) unless(ok bool, format string, v ...any) {
	if !ok {
		*p = append(*p, fmt.Sprintf(format, v...))
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// only reports fields that the schema does not have.
func (p *problems) only(what string, body map[string]any, fields ...string) {
	for f := range body {
		p.unless(slices.Contains(fields, f), "%s has no field %s", what, f)
	}
}

// slackAPI: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
// .../reference/messaging/attachments.
func slackAPI(t *testing.T) *endpoint {
	return newEndpoint(t, http.StatusOK, "ok", func(r *http.Request, body map[string]any) (p []string) {
		var found problems
		found.unless(r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/services/T0/B0/"), "no such webhook: %s", r.URL.Path)
		found.only("a message", body, "text", "attachments", "channel", "username", "icon_emoji", "icon_url", "link_names")
		attachments, _ := body["attachments"].([]any)
		found.unless(text(body["text"]) != "" || len(attachments) > 0, "no_text")
		for _, a := range attachments {
			a := a.(map[string]any)
			found.only("an attachment", a, "title", "title_link", "text", "fallback", "color", "mrkdwn_in", "footer", "pretext", "callback_id", "image_url", "thumb_url", "fields", "actions")
			found.unless(len(text(a["text"])) <= 8000, "the text has %d characters", len(text(a["text"])))
			// A link is <address|text>; anything else between < and > is a mention or broken.
			for _, link := range regexp.MustCompile(`<[^>]*>`).FindAllString(text(a["text"]), -1) {
				found.unless(regexp.MustCompile(`^<https://[^|\s]+\|[A-Z][a-z]+>$`).MatchString(link), "%s is no link", link)
			}
		}
		return found
	})
}

// pagerDutyAPI: https://developer.pagerduty.com/docs/send-alert-event.
func pagerDutyAPI(t *testing.T) *endpoint {
	return newEndpoint(t, http.StatusAccepted, `{"status":"success","message":"Event processed","dedup_key":"x"}`, func(r *http.Request, body map[string]any) []string {
		var found problems
		found.unless(r.URL.Path == "/v2/enqueue", "path %s", r.URL.Path)
		found.only("an event", body, "routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url")
		found.unless(text(body["routing_key"]) == pagerDutyKey, "routing key %q", body["routing_key"])
		action := text(body["event_action"])
		found.unless(slices.Contains([]string{"trigger", "acknowledge", "resolve"}, action), "event_action %q", action)
		found.unless(text(body["dedup_key"]) != "" && len(text(body["dedup_key"])) <= 255, "dedup_key %q", body["dedup_key"])
		payload, _ := body["payload"].(map[string]any)
		if action == "trigger" {
			found.unless(text(payload["summary"]) != "" && len(text(payload["summary"])) <= 1024, "summary %q", payload["summary"])
			found.unless(text(payload["source"]) != "", "no source")
			found.unless(slices.Contains([]string{"critical", "error", "warning", "info"}, text(payload["severity"])), "severity %q", payload["severity"])
		}
		links, _ := body["links"].([]any)
		for _, l := range links {
			found.unless(strings.HasPrefix(text(l.(map[string]any)["href"]), "https://"), "link %v", l)
		}
		return found
	})
}

// opsgenieAPI: https://docs.opsgenie.com/docs/alert-api.
func opsgenieAPI(t *testing.T) *endpoint {
	return newEndpoint(t, http.StatusAccepted, `{"result":"Request will be processed","took":0.1,"requestId":"x"}`, func(r *http.Request, body map[string]any) []string {
		var found problems
		found.unless(r.Header.Get("Authorization") == "GenieKey "+opsgenieKey, "authorization %q", r.Header.Get("Authorization"))
		if strings.HasSuffix(r.URL.Path, "/close") {
			found.unless(regexp.MustCompile(`^/v2/alerts/[0-9a-f]+/close$`).MatchString(r.URL.Path) && r.URL.Query().Get("identifierType") == "alias", "path %s", r.URL)
			found.only("a close", body, "user", "source", "note")
			return found
		}
		found.unless(r.URL.Path == "/v2/alerts", "path %s", r.URL.Path)
		found.only("an alert", body, "message", "alias", "description", "responders", "visibleTo", "actions", "tags", "details", "entity", "source", "priority", "user", "note")
		found.unless(text(body["message"]) != "" && len([]rune(text(body["message"]))) <= 130, "message %q", body["message"])
		found.unless(len(text(body["alias"])) <= 512 && text(body["alias"]) != "", "alias %q", body["alias"])
		found.unless(len(text(body["description"])) <= 15000, "description of %d characters", len(text(body["description"])))
		found.unless(regexp.MustCompile(`^P[1-5]$`).MatchString(text(body["priority"])), "priority %q", body["priority"])
		tags, _ := body["tags"].([]any)
		found.unless(len(tags) <= 20, "%d tags", len(tags))
		responders, _ := body["responders"].([]any)
		for _, r := range responders {
			r := r.(map[string]any)
			found.unless(slices.Contains([]string{"team", "user", "escalation", "schedule"}, text(r["type"])), "responder %v", r)
		}
		return found
	})
}

// teamsAPI: https://learn.microsoft.com/en-us/connectors/teams/#request-body-schema and
// https://adaptivecards.io/explorer/.
func teamsAPI(t *testing.T) *endpoint {
	return newEndpoint(t, http.StatusAccepted, ``, func(r *http.Request, body map[string]any) []string {
		var found problems
		found.unless(r.URL.Path == "/workflows/w0/triggers/manual/paths/invoke" && r.URL.Query().Get("sig") == "s0", "path %s", r.URL)
		found.unless(text(body["type"]) == "message", "type %q", body["type"])
		attachments, _ := body["attachments"].([]any)
		found.unless(len(attachments) == 1, "%d attachments", len(attachments))
		for _, a := range attachments {
			a := a.(map[string]any)
			found.unless(text(a["contentType"]) == "application/vnd.microsoft.card.adaptive", "contentType %q", a["contentType"])
			card, _ := a["content"].(map[string]any)
			found.unless(text(card["type"]) == "AdaptiveCard" && text(card["version"]) != "", "card %v", card)
			blocks, _ := card["body"].([]any)
			found.unless(len(blocks) > 0, "an empty card")
			for _, b := range blocks {
				b := b.(map[string]any)
				found.unless(text(b["type"]) == "TextBlock" && text(b["text"]) != "", "block %v", b)
			}
		}
		raw, _ := json.Marshal(body)
		found.unless(len(raw) <= 28<<10, "%d bytes, 28 KiB are allowed", len(raw))
		return found
	})
}

// telegramAPI: https://core.telegram.org/bots/api#sendmessage and #html-style.
func telegramAPI(t *testing.T) *endpoint {
	answer := `{"ok":true,"result":{"message_id":7,"date":1700000000,"chat":{"id":-100123,"type":"supergroup","title":"on call"},"text":"x"}}`
	return newEndpoint(t, http.StatusOK, answer, func(r *http.Request, body map[string]any) []string {
		var found problems
		found.unless(r.URL.Path == "/bot"+telegramToken+"/sendMessage", "path %s", r.URL.Path)
		found.unless(text(body["chat_id"]) == "-100123", "chat_id %v", body["chat_id"])
		found.unless(text(body["parse_mode"]) == "HTML", "parse_mode %v", body["parse_mode"])
		tags := regexp.MustCompile(`</?([a-zA-Z0-9]+)[^>]*>`)
		open := []string{}
		for _, m := range tags.FindAllStringSubmatch(text(body["text"]), -1) {
			found.unless(slices.Contains([]string{"b", "i", "a"}, m[1]), "the tag %s is none of Telegram's", m[0])
			if strings.HasPrefix(m[0], "</") {
				found.unless(len(open) > 0 && open[len(open)-1] == m[1], "%s closes what is not open", m[0])
				open = open[:max(0, len(open)-1)]
			} else {
				open = append(open, m[1])
			}
		}
		found.unless(len(open) == 0, "tags that are not closed: %v", open)
		shown := []rune(tags.ReplaceAllString(text(body["text"]), ""))
		found.unless(len(shown) > 0 && len(shown) <= 4096, "a message of %d characters", len(shown))
		return found
	})
}

// webhookAPI takes Alertmanager's own format:
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
func webhookAPI(t *testing.T) *endpoint {
	return newEndpoint(t, http.StatusOK, ``, func(r *http.Request, body map[string]any) []string {
		var found problems
		found.unless(r.URL.Path == "/hook" && r.URL.Query().Get("key") == "k0", "path %s", r.URL)
		found.unless(text(body["version"]) == "4", "version %v", body["version"])
		found.unless(slices.Contains([]string{"firing", "resolved"}, text(body["status"])), "status %v", body["status"])
		return found
	})
}

// mailbox is an SMTP server that speaks STARTTLS and knows one login.
type mailbox struct {
	t     *testing.T
	mu    sync.Mutex
	mails []*mail.Message
	texts []string
	to    [][]string
}

func newMailbox(t *testing.T, certificate tls.Certificate) (*mailbox, string) {
	t.Helper()
	m := &mailbox{t: t}
	s := smtp.NewServer(m)
	s.Domain, s.TLSConfig = "localhost", &tls.Config{Certificates: []tls.Certificate{certificate}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return m, l.Addr().String()
}

// NewSession begins one.
func (m *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &letter{mailbox: m, encrypted: encrypted}, nil
}

type letter struct {
	*mailbox
	encrypted, known bool
	rcpt             []string
}

// AuthMechanisms are those that are offered.
func (l *letter) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth knows one login.
func (l *letter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		l.known = user == "alerts@example.com" && password == mailPassword
		if !l.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// Mail begins a letter.
func (l *letter) Mail(string, *smtp.MailOptions) error {
	if !l.encrypted || !l.known {
		l.t.Errorf("a mail over an encrypted connection: %v, after a login: %v", l.encrypted, l.known)
		return smtp.ErrAuthRequired
	}
	return nil
}

// Rcpt adds a receiver.
func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error {
	l.rcpt = append(l.rcpt, to)
	return nil
}

// Data is the letter.
func (l *letter) Data(r io.Reader) error {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(message.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mails, l.texts, l.to = append(l.mails, message), append(l.texts, string(body)), append(l.to, l.rcpt)
	return err
}

// Reset forgets the letter.
func (l *letter) Reset() {}

// Logout ends the session.
func (l *letter) Logout() error { return nil }

// The credentials of the fakes.
const (
	pagerDutyKey  = "0123456789abcdef0123456789abcdef"
	opsgenieKey   = "11111111-2222-3333-4444-555555555555"
	telegramToken = "123456:ABC-DEF"
	mailPassword  = "mail-5ecret"
)

// sender is Alertmanager's own code with a configuration of ours.
type sender struct {
	t      *testing.T
	config *amconfig.Config
	tmpl   *template.Template
}

// senderOf gives each receiver its credential as a file.
func senderOf(t *testing.T, a config.Alertmanager, credentials map[string]string) sender {
	t.Helper()
	dir := t.TempDir()
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for i, r := range a.Receivers {
		if credential := credentials[r.Name]; credential != "" {
			a.Receivers[i].CredentialFile = put("credential-"+r.Name, credential+"\n")
		}
	}
	a.DeadMansSwitch = "DeadMansSwitch"
	rendered, err := a.Render()
	if err != nil {
		t.Fatal(err)
	}
	for _, credential := range credentials {
		if strings.Contains(rendered, credential) {
			t.Errorf("the configuration shows the credential %q", credential)
		}
	}
	put(config.TemplateFile, config.NotificationTemplate)
	loaded, err := amconfig.LoadFile(put("alertmanager.yml", rendered))
	if err != nil {
		t.Fatalf("Alertmanager refuses the configuration: %v\n%s", err, rendered)
	}
	tmpl, err := template.FromGlobs(loaded.Templates)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl.ExternalURL, err = url.Parse(dashboardsURL + "/alertmanager"); err != nil {
		t.Fatal(err)
	}
	return sender{t, loaded, tmpl}
}

// send lets the receiver called name send the alerts, all of one group.
func (s sender) send(name string, alerts ...*alert.Alert) {
	s.t.Helper()
	i := slices.IndexFunc(s.config.Receivers, func(r amconfig.Receiver) bool { return r.Name == name })
	if i < 0 {
		s.t.Fatalf("no receiver %s", name)
	}
	integrations, err := receiver.BuildReceiverIntegrations(s.config.Receivers[i], s.tmpl, nil)
	if err != nil || len(integrations) != 1 {
		s.t.Fatalf("%d integrations of %s, %v", len(integrations), name, err)
	}
	ctx := notify.WithGroupKey(s.t.Context(), "{}:{alertname=\"x\"}")
	ctx = notify.WithReceiverName(ctx, name)
	ctx = notify.WithGroupLabels(ctx, model.LabelSet{"alertname": alerts[0].Labels["alertname"], "job": alerts[0].Labels["job"]})
	ctx = notify.WithNow(ctx, time.Now())
	if _, err := integrations[0].Notify(ctx, alerts...); err != nil {
		s.t.Errorf("%s: %v", name, err)
	}
}

// trust makes this process trust the certificate of httptest's servers, which is good
// for 127.0.0.1, as a service's is trusted by an image's own authorities.
var trust = sync.OnceValues(func() (tls.Certificate, error) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	dir, err := os.MkdirTemp("", "authorities")
	if err != nil {
		return tls.Certificate{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	before, was := os.LookupEnv("SSL_CERT_FILE")
	if err := os.Setenv("SSL_CERT_FILE", file); err != nil {
		return tls.Certificate{}, err
	}
	// They are read once in a process.
	_, err = x509.SystemCertPool()
	if was {
		return s.TLS.Certificates[0], errors.Join(err, os.Setenv("SSL_CERT_FILE", before))
	}
	return s.TLS.Certificates[0], errors.Join(err, os.Unsetenv("SSL_CERT_FILE"))
})

// alertOf is the alert as Prometheus sends it; its texts must be no templates.
func alertOf(t *testing.T, c composition, name string) *alert.Alert {
	t.Helper()
	rendered := struct {
		Groups []rule.Group `yaml:"groups"`
	}{}
	if err := yaml.Unmarshal([]byte(c.render(t)), &rendered); err != nil {
		t.Fatal(err)
	}
	for _, g := range rendered.Groups {
		for _, r := range g.Rules {
			if r.Alert != name {
				continue
			}
			a := &alert.Alert{Alert: model.Alert{
				Labels:      model.LabelSet{"alertname": model.LabelValue(name), "job": "database", "namespace": "alphapulse-prod"},
				Annotations: model.LabelSet{}, StartsAt: time.Now().Add(-time.Minute), EndsAt: time.Now().Add(time.Hour),
			}, UpdatedAt: time.Now()}
			for label, value := range r.Labels {
				a.Labels[model.LabelName(label)] = model.LabelValue(value)
			}
			for annotation, value := range r.Annotations {
				a.Annotations[model.LabelName(annotation)] = model.LabelValue(value)
			}
			return a
		}
	}
	t.Fatalf("no alert %s", name)
	return nil
}

func resolved(a *alert.Alert) *alert.Alert {
	r := *a
	r.EndsAt = time.Now().Add(-time.Second)
	return &r
}

// fakes are all services, and the sender that knows them.
type fakes struct {
	sender
	endpoints map[string]*endpoint
	box       *mailbox
}

func newFakes(t *testing.T) fakes {
	t.Helper()
	certificate, err := trust()
	if err != nil {
		t.Fatal(err)
	}
	f := fakes{endpoints: map[string]*endpoint{
		"chat": slackAPI(t), "page": pagerDutyAPI(t), "genie": opsgenieAPI(t), "teams": teamsAPI(t), "bot": telegramAPI(t), "hook": webhookAPI(t),
	}}
	at := func(name string) string { return f.endpoints[name].server.URL }
	box, smarthost := newMailbox(t, certificate)
	f.box = box
	f.sender = senderOf(t, config.Alertmanager{Receivers: []config.Receiver{
		{Name: "chat", Slack: &config.Slack{Channel: "#alerts"}},
		{Name: "page", PagerDuty: &config.PagerDuty{URL: at("page") + "/v2/enqueue"}},
		{Name: "genie", Opsgenie: &config.Opsgenie{URL: at("genie") + "/", Team: "platform"}},
		{Name: "teams", Teams: &config.Teams{}},
		{Name: "bot", Telegram: &config.Telegram{ChatID: -100123, URL: at("bot")}},
		{Name: "mail", Email: &config.Email{Smarthost: smarthost, From: "alerts@example.com", To: []string{"a@example.com", "b@example.com"}}},
		{Name: "hook", Webhook: &config.Webhook{}},
	}}, map[string]string{
		"chat": at("chat") + "/services/T0/B0/5ecret", "page": pagerDutyKey, "genie": opsgenieKey,
		"teams": at("teams") + "/workflows/w0/triggers/manual/paths/invoke?sig=s0", "bot": telegramToken, "mail": mailPassword,
		"hook": at("hook") + "/hook?key=k0",
	})
	return f
}

// told is what a person reads of the first message that a receiver got, of each of its forms.
func (f fakes) told(name string) []string {
	f.t.Helper()
	if e := f.endpoints[name]; e != nil {
		if len(e.bodies) == 0 {
			f.t.Fatalf("%s got nothing", name)
		}
		return []string{texts(e.bodies[0])}
	}
	if len(f.box.mails) == 0 {
		f.t.Fatal("no mail")
	}
	_, parameters, err := mime.ParseMediaType(f.box.mails[0].Header.Get("Content-Type"))
	if err != nil {
		f.t.Fatal(err)
	}
	var parts []string
	// The reader decodes what is quoted-printable.
	for r := multipart.NewReader(strings.NewReader(f.box.texts[0]), parameters["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			f.t.Fatal(err)
		}
		parts = append(parts, html.UnescapeString(string(content)))
	}
	if len(parts) != 2 {
		f.t.Fatalf("a mail of %d parts, want a plain one and HTML", len(parts))
	}
	return parts
}

// texts are all texts in a JSON value, without HTML's escapes.
func texts(v any) string {
	switch v := v.(type) {
	case string:
		return html.UnescapeString(v) + "\n"
	case []any:
		var all strings.Builder
		for _, one := range v {
			all.WriteString(texts(one))
		}
		return all.String()
	case map[string]any:
		var all strings.Builder
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all.WriteString(texts(v[key]))
		}
		return all.String()
	}
	return ""
}

// kindsOfReceivers are those of newFakes.
var kindsOfReceivers = []string{"chat", "page", "genie", "teams", "bot", "mail", "hook"}

// Whatever receives it, a person finds the runbook, the dashboard and the log lines in it.
func TestEachReceiverIsToldWhereToLook(t *testing.T) {
	f, down := newFakes(t), alertOf(t, watched, "DatabaseDown")
	for _, name := range kindsOfReceivers {
		f.send(name, down)
		for _, told := range f.told(name) {
			for _, want := range []string{rule.RunbookURL + "DatabaseDown.md", dashboardsURL + "/d/alphapulse-data", linesURL("database")} {
				if !strings.Contains(told, want) {
					t.Errorf("%s is not told %s: %s", name, want, told)
				}
			}
		}
	}
	want := []string{"Runbook " + rule.RunbookURL + "DatabaseDown.md", "Dashboard " + dashboardsURL + "/d/alphapulse-data", "Logs " + linesURL("database")}
	if got := f.linksOf(); !slices.Equal(got, want) {
		t.Errorf("PagerDuty's links are %v, want %v", got, want)
	}
}

// linksOf are those that PagerDuty shows beside the text.
func (f fakes) linksOf() []string {
	var shown []string
	links, _ := f.endpoints["page"].bodies[0]["links"].([]any)
	for _, l := range links {
		l := l.(map[string]any)
		shown = append(shown, text(l["text"])+" "+text(l["href"]))
	}
	return shown
}

// Where nobody keeps log lines, nothing leads to them.
func TestNoReceiverIsToldOfLinesThatNobodyKeeps(t *testing.T) {
	unkept := watched
	unkept.telemetry.LinesShown = false
	f, down := newFakes(t), alertOf(t, unkept, "DatabaseDown")
	for _, name := range kindsOfReceivers {
		f.send(name, down)
		for _, told := range f.told(name) {
			if strings.Contains(told, "Logs") || strings.Contains(told, "/explore") || !strings.Contains(told, "DatabaseDown.md") {
				t.Errorf("%s is told of log lines, or not of its runbook: %s", name, told)
			}
		}
	}
	if got := f.linksOf(); len(got) != 2 {
		t.Errorf("PagerDuty's links are %v, want the runbook and the dashboard alone", got)
	}
}

// Each kind of receiver is sent an alert, and that it is over, by Alertmanager's own
// code; the service's API would take both, and many at once.
func TestReceivers(t *testing.T) {
	s := newFakes(t)
	endpoints, box := s.endpoints, s.box
	slack, pagerDuty, opsgenie, teams := endpoints["chat"], endpoints["page"], endpoints["genie"], endpoints["teams"]
	telegram, webhook := endpoints["bot"], endpoints["hook"]

	down := alertOf(t, watched, "DatabaseDown")
	many := []*alert.Alert{down}
	for i := range 60 {
		other := *down
		other.Labels = down.Labels.Clone()
		other.Labels["pod"] = model.LabelValue(fmt.Sprintf("database-%d", i))
		other.Annotations = down.Annotations.Clone()
		other.Annotations["description"] = model.LabelValue(strings.Repeat("A long text with <angle brackets> & more. ", 6))
		many = append(many, &other)
	}
	for name, e := range endpoints {
		s.send(name, down)
		s.send(name, resolved(down))
		s.send(name, many...)
		if len(e.bodies) != 3 {
			t.Errorf("%s took %d messages, want one that it fires, one that it is over, and one of many", name, len(e.bodies))
			continue
		}
		first, err := json.Marshal(e.bodies[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"DatabaseDown", "The database does not answer", "The API answers 503", "alphapulse-prod",
			rule.RunbookURL + "DatabaseDown.md", dashboardsURL + "/d/alphapulse-data",
		} {
			if !strings.Contains(strings.ReplaceAll(string(first), `\u003c`, "<"), want) {
				t.Errorf("%s is not told %q: %s", name, want, first)
			}
		}
		// Of many, too, something useful is left.
		if third, err := json.Marshal(e.bodies[2]); err != nil || !strings.Contains(string(third), rule.RunbookURL+"DatabaseDown.md") {
			t.Errorf("%s is not told where to look: %s, %v", name, third, err)
		}
	}
	if got := []string{text(pagerDuty.bodies[0]["event_action"]), text(pagerDuty.bodies[1]["event_action"])}; !slices.Equal(got, []string{"trigger", "resolve"}) ||
		pagerDuty.bodies[0]["dedup_key"] != pagerDuty.bodies[1]["dedup_key"] {
		t.Errorf("PagerDuty's events are %v of %v and %v, want one incident that ends", got, pagerDuty.bodies[0]["dedup_key"], pagerDuty.bodies[1]["dedup_key"])
	}
	if !strings.Contains(opsgenie.paths[1], text(opsgenie.bodies[0]["alias"])+"/close") || text(opsgenie.bodies[0]["priority"]) != "P1" {
		t.Errorf("Opsgenie closes %s, want %s; priority %s", opsgenie.paths[1], opsgenie.bodies[0]["alias"], opsgenie.bodies[0]["priority"])
	}
	for name, e := range map[string]*endpoint{"chat": slack, "teams": teams, "bot": telegram, "hook": webhook} {
		if second, err := json.Marshal(e.bodies[1]); err != nil || !strings.Contains(strings.ToUpper(string(second)), "RESOLVED") {
			t.Errorf("%s is not told that it is over: %s, %v", name, second, err)
		}
	}

	s.send("mail", down)
	s.send("mail", resolved(down))
	if len(box.mails) != 2 {
		t.Fatalf("%d mails, want two", len(box.mails))
	}
	if got := box.mails[0].Header.Get("Subject"); got != "CRITICAL DatabaseDown: database in alphapulse-prod" {
		t.Errorf("subject %q", got)
	}
	if got := box.mails[1].Header.Get("Subject"); !strings.HasPrefix(got, "RESOLVED DatabaseDown") {
		t.Errorf("subject %q of the second mail", got)
	}
	if !slices.Equal(box.to[0], []string{"a@example.com", "b@example.com"}) || box.mails[0].Header.Get("From") == "" || box.mails[0].Header.Get("To") == "" {
		t.Errorf("to %v, headers %v", box.to[0], box.mails[0].Header)
	}
	body := strings.ReplaceAll(box.texts[0], "=\r\n", "")
	for _, want := range []string{"text/plain", "text/html", "The database does not answer", "DatabaseDown.md", "/d/alphapulse-data"} {
		if !strings.Contains(body, want) {
			t.Errorf("the mail does not have %q:\n%s", want, body)
		}
	}
}

// Several receivers get what each asks for, and no more.
func TestRouting(t *testing.T) {
	office := &config.Hours{Days: []string{"monday:friday"}, From: "08:00", To: "18:00", Location: "Europe/Berlin"}
	night := *office
	night.Outside = true
	loaded := loadAlertmanager(t, config.Alertmanager{Receivers: []config.Receiver{
		{Name: "all", Webhook: &config.Webhook{}, CredentialFile: "/x"},
		{Name: "page", PagerDuty: &config.PagerDuty{}, CredentialFile: "/x", Severities: []rule.Severity{rule.Critical}},
		{Name: "desk", Slack: &config.Slack{}, CredentialFile: "/x", Owners: []string{"trading"}, Hours: office},
		{Name: "night", PagerDuty: &config.PagerDuty{}, CredentialFile: "/x", Severities: []rule.Severity{rule.Critical}, Owners: []string{"trading"}, Hours: &night},
		{Name: "dba", Teams: &config.Teams{}, CredentialFile: "/x", Workloads: []string{"database", "cache"}},
	}})
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, i := range loaded.TimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	intervener := timeinterval.NewIntervener(intervals)
	within := func(names []string, at time.Time) bool {
		is, _, err := intervener.Mutes(names, at)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	// 2026-11-27 is a Friday, and Berlin is an hour ahead.
	day, evening := time.Date(2026, 11, 27, 7, 30, 0, 0, time.UTC), time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC)
	sunday := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		severity, owner, workload string
		at                        time.Time
		want                      []string
	}{
		"the database is down":         {"critical", "platform", "database", day, []string{"all", "page", "dba"}},
		"the database is slow":         {"warning", "platform", "database", day, []string{"all", "dba"}},
		"a name that begins alike":     {"warning", "platform", "database-standby", day, []string{"all"}},
		"a loss by day":                {"critical", "trading", "backend-engine", day, []string{"all", "page", "desk"}},
		"a loss in the evening":        {"critical", "trading", "backend-engine", evening, []string{"all", "page", "night"}},
		"a loss on a Sunday":           {"critical", "trading", "backend-engine", sunday, []string{"all", "page", "night"}},
		"few signals in the evening":   {"warning", "trading", "backend-engine", evening, []string{"all"}},
		"an edge pod":                  {"warning", "platform", "edge", sunday, []string{"all"}},
		"the dead man's switch itself": {"none", "platform", "", day, []string{"none"}},
	} {
		set := model.LabelSet{"alertname": "X", "severity": model.LabelValue(c.severity), "owner": model.LabelValue(c.owner), "workload": model.LabelValue(c.workload)}
		if c.severity == "none" {
			set["alertname"] = "DeadMansSwitch"
		}
		var got []string
		for _, r := range dispatch.NewRoute(loaded.Route, nil).Match(set) {
			o := r.RouteOpts
			if len(o.ActiveTimeIntervals) > 0 && !within(o.ActiveTimeIntervals, c.at) || len(o.MuteTimeIntervals) > 0 && within(o.MuteTimeIntervals, c.at) {
				continue
			}
			got = append(got, o.Receiver)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told are %v, want %v", name, got, c.want)
		}
	}
}
