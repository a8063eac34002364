//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// mailPort is where the test takes mail.
const mailPort = "587"

// notice is what one kind of receiver was told.
type notice struct {
	kind string
	at   time.Time
	// text is the body; key is what the service calls the matter by, where a resolved one
	// has nothing else to tell which it is.
	text, key string
	resolved  bool
}

// everyKind is what the setting alertReceivers has in a file, with each kind once but the
// webhook, which the setting alertWebhookUrl is.
const everyKind = `  alphapulse:alertReceivers:
    chat: {slack: {channel: "#alerts"}}
    oncall: {pagerDuty: {url: "https://` + receiverAddress + `/v2/enqueue"}}
    genie: {opsgenie: {url: "https://` + receiverAddress + `/genie/"}}
    office: {teams: {}}
    bot: {telegram: {chatId: -1001234567890, url: "https://` + receiverAddress + `"}}
    mail: {email: {smarthost: "` + receiverAddress + `:` + mailPort + `", from: alerts@example.com, to: [team@example.com]}}
`

// configure names receivers of every kind, with their credentials.
func (r *receiver) configure(t *testing.T, e edited) {
	t.Helper()
	f, err := os.OpenFile(e.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(everyKind); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"config", "set-all", "--stack", stack, "--config-file", e.file, "--path"}
	for path, credential := range map[string]string{
		"alertWebhookUrl":                  "https://" + receiverAddress + "/hook",
		"alertReceivers.chat.credential":   "https://" + receiverAddress + "/services/T0/B0/e2e",
		"alertReceivers.oncall.credential": "e2e-routing-key",
		"alertReceivers.genie.credential":  "e2e-api-key",
		"alertReceivers.office.credential": "https://" + receiverAddress + "/workflows/e2e",
		"alertReceivers.bot.credential":    "123456:e2e-token",
		"alertReceivers.mail.credential":   "e2e-password",
	} {
		args = append(args, "--secret", path+"="+credential)
	}
	pulumi(t, args...)
}

// service answers as the API does that a path belongs to.
func (r *receiver) service(w http.ResponseWriter, q *http.Request) {
	raw, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	n := notice{at: time.Now(), text: string(raw), resolved: strings.Contains(string(raw), "RESOLVED")}
	status, answer := http.StatusOK, "ok"
	var body struct {
		Action string `json:"event_action"`
		Dedup  string `json:"dedup_key"`
		Alias  string `json:"alias"`
	}
	_ = json.Unmarshal(raw, &body) // whoever has no such field has none to tell
	switch path := q.URL.Path; {
	case strings.HasPrefix(path, "/services/"):
		n.kind = "slack"
	case path == "/v2/enqueue":
		n.kind, n.key, n.resolved = "pagerDuty", body.Dedup, body.Action == "resolve"
		status, answer = http.StatusAccepted, `{"status":"success","message":"Event processed","dedup_key":"e2e"}`
	case strings.HasPrefix(path, "/genie/v2/alerts"):
		n.kind, n.key = "opsgenie", body.Alias
		if alias, closed := strings.CutSuffix(strings.TrimPrefix(path, "/genie/v2/alerts/"), "/close"); closed {
			n.key, n.resolved = alias, true
		}
		status, answer = http.StatusAccepted, `{"result":"Request will be processed","took":0.1,"requestId":"e2e"}`
	case strings.HasPrefix(path, "/workflows/"):
		n.kind, status, answer = "teams", http.StatusAccepted, ""
	case strings.HasPrefix(path, "/bot"):
		n.kind, answer = "telegram", `{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":-1001234567890,"type":"supergroup"}}}`
	default:
		http.NotFound(w, q)
		return
	}
	r.note(n)
	if strings.HasPrefix(answer, "{") {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (r *receiver) note(n notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, n)
}

// takeMail is a mail server for one connection after the other: it speaks as much as a client
// needs that insists on STARTTLS and logs in.
func (r *receiver) takeMail(listener net.Listener, config *tls.Config) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			r.mail(conn, config)
			_ = conn.Close()
		}()
	}
}

func (r *receiver) mail(conn net.Conn, config *tls.Config) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewScanner(conn)
	in.Buffer(nil, 1<<20)
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 e2e ESMTP")
	for encrypted := false; in.Scan(); {
		command, _, _ := strings.Cut(strings.ToUpper(in.Text()), " ")
		switch {
		case command == "EHLO" && !encrypted:
			say("250-e2e\r\n250 STARTTLS")
		case command == "EHLO":
			say("250-e2e\r\n250 AUTH PLAIN")
		case command == "STARTTLS":
			say("220 go ahead")
			conn, encrypted = tls.Server(conn, config), true
			in = bufio.NewScanner(conn)
			in.Buffer(nil, 1<<20)
		case command == "AUTH":
			say("235 welcome")
		case command == "DATA":
			say("354 go on")
			var text strings.Builder
			for in.Scan() && in.Text() != "." {
				text.WriteString(in.Text() + "\n")
			}
			r.note(notice{kind: "email", at: time.Now(), text: text.String(), resolved: strings.Contains(text.String(), "RESOLVED")})
			say("250 taken")
		case command == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// linesPage begins the path of Grafana's page with log lines.
const linesPage = "/explore?schemaVersion"

// told are when a kind was first told of the alert, with where its lines are, and then that it
// is over.
func (r *receiver) told(kind, alert string, after time.Time) (fired, over time.Time, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := ""
	for _, n := range r.notices {
		switch about := strings.Contains(n.text, alert); {
		case n.kind != kind || n.at.Before(after):
		case fired.IsZero() && about && !n.resolved:
			fired, key = n.at, n.key
			// A mail breaks long lines.
			leads = strings.Contains(strings.ReplaceAll(n.text, "=\n", ""), linesPage)
		case !fired.IsZero() && over.IsZero() && n.resolved && (about || key != "" && n.key == key):
			over = n.at
		}
	}
	return fired, over, leads
}

// lines prints a line for each kind of receiver: when it was told of the alert, and that it
// was over.
func (r *receiver) lines(t *testing.T, i *induced) {
	t.Helper()
	for _, kind := range []string{"slack", "pagerDuty", "opsgenie", "teams", "telegram", "email"} {
		var fired, over time.Time
		var leads bool
		eventually(t, 2*time.Minute, kind+" is told of "+i.alert+" and that it is over", func(context.Context) (string, bool) {
			fired, over, leads = r.told(kind, i.alert, i.began)
			return fmt.Sprintf("%v %v", fired, over), !fired.IsZero() && !over.IsZero()
		})
		if !leads {
			t.Errorf("what %s is told of %s leads to no log lines", kind, i.alert)
		}
		fmt.Printf("| receiver %s | %s | %.0f s | %.0f s |\n", kind, i.alert, fired.Sub(i.began).Seconds(), over.Sub(i.ended).Seconds())
	}
	fmt.Printf("| receiver webhook | %s | %.0f s | %.0f s |\n", i.alert, i.fired.Sub(i.began).Seconds(), i.over.Sub(i.ended).Seconds())
}
