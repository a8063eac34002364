package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// owned are the names by which alertOwners may name alerts: those of the rooms with alerts,
// and of the owners by default.
var owned = []string{databaseName, backupName, cacheName, edgeName, backendName, "trading", telemetryName, monitoringName, "platform"}

// ownerSettings say who acts on alerts.
func (s *Stack) ownerSettings(g *settings.Group) {
	a := s.Monitoring
	g.Variables(&a.Owners, "alertOwners", "Who acts on alerts, as their label owner, by what they are about: "+strings.Join(owned, ", ")+
		". platform is what has no name of its own here. By default backend, trading and platform act on theirs.")
	g.Check(func(p *settings.Problems) {
		for _, of := range slices.Sorted(maps.Keys(a.Owners)) {
			if !slices.Contains(owned, of) {
				p.Add("alertOwners."+of, "no alert is about that: choose from %s", strings.Join(owned, ", "))
			}
			if strings.TrimSpace(a.Owners[of]) == "" {
				p.Add("alertOwners."+of, "it is empty: name who acts on them")
			}
			if strings.Contains(a.Owners[of], "{{") || strings.ContainsFunc(a.Owners[of], unicode.IsControl) {
				p.Add("alertOwners."+of, "%q is a template of Prometheus' or holds line breaks: write a name, e.g. dba", a.Owners[of])
			}
		}
	})
}

// remoteSettings say where samples are sent, too.
func (s *Stack) remoteSettings(g *settings.Group) {
	w := &monitoring.RemoteWrite{}
	on := settings.While(func() bool { return w.URL != "" }, "remoteWriteUrl is set")
	g.Text(&w.URL, "remoteWriteUrl", "https address of a server that Prometheus sends its samples to as well, by remote write.", settings.Valid(config.CheckRemoteURL), s.ownServer())
	g.Bool(&s.Monitoring.Prometheus.OTLP, "prometheusOtlp", "Take metrics by OTLP over HTTP, too: API, engine and dashboard are told where by OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, and whoever has the login sends through the edge, below /prometheus/api/v1/otlp.",
		s.ownServer(), settings.Only(room.Kubernetes))
	g.Text(&w.Username, "remoteWriteUsername", "User of basic authentication there; by default remoteWriteCredential is a bearer token.", settings.Valid(user), on)
	g.SecretText(&w.Credential, "remoteWriteCredential", "Password or token that the server asks for.", settings.Valid(password), on)
	g.Text(&w.CA, "remoteWriteCa", "PEM certificates by which the server's is trusted; by default those that come with the image.", settings.Valid(certificates), on)
	g.Check(func(p *settings.Problems) {
		if w.URL == "" {
			return
		}
		if w.Username != "" && w.Credential == nil {
			p.Add("remoteWriteUsername", "it is set, and remoteWriteCredential is not: set the password by `pulumi config set --secret remoteWriteCredential`")
		}
		if err := credential(strings.TrimSpace(p.Value("remoteWriteCredential"))); err != nil && w.Username == "" {
			p.Add("remoteWriteCredential", "%v", err)
		}
		s.Monitoring.Prometheus.RemoteWrite = w
	})
}

// user is for settings.Valid: that of basic authentication, which a colon ends. No message
// repeats it, as what follows the colon is a password.
func user(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r == ':' || unicode.IsControl(r) }) {
		return errors.New("it holds a colon or line breaks, which no user of basic authentication can: set the name alone, and its password as remoteWriteCredential")
	}
	return nil
}

// password is for settings.Valid, which no message repeats.
func password(v string) error {
	if strings.ContainsFunc(strings.TrimSpace(v), unicode.IsControl) {
		return errors.New("it holds line breaks or tabs: set the password or the token alone")
	}
	return nil
}

// limits is for settings.Object: it reads limits of alerts over those that there are.
// Shares are above 0 and at most 1, counts at least 1.
func limits(into any) func(raw string) error {
	return func(raw string) error {
		v := reflect.ValueOf(into).Elem()
		var names []string
		for i := range v.NumField() {
			names = append(names, limitName(v.Type().Field(i).Name))
		}
		var given map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &given); err != nil {
			return errors.New("it is not an object of limits: set e.g. `--path KEY." + names[0] + " VALUE`")
		}
		var problems []error
		for _, name := range slices.Sorted(maps.Keys(given)) {
			i := slices.Index(names, name)
			if i < 0 {
				problems = append(problems, fmt.Errorf("there is no limit %s: choose from %s", name, strings.Join(names, ", ")))
				continue
			}
			if err := limit(v.Field(i), given[name]); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(problems...)
	}
}

func limitName(field string) string { return strings.ToLower(field[:1]) + field[1:] }

// limit reads one. The command line may store a number as a text.
func limit(into reflect.Value, raw json.RawMessage) error {
	var text string
	if into.Kind() != reflect.Slice && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(strings.TrimSpace(text))
	}
	err := json.Unmarshal(raw, into.Addr().Interface())
	switch into.Kind() {
	case reflect.Float64:
		if f := into.Float(); err != nil || !(f > 0 && f <= 1) {
			return fmt.Errorf("%s is no share: set a number above 0, at most 1", raw)
		}
	case reflect.Int:
		if err != nil || into.Int() < 1 {
			return fmt.Errorf("%s: set a whole number from 1", raw)
		}
	default:
		if err != nil {
			return fmt.Errorf("%s is no list of texts", raw)
		}
		for _, text := range into.Interface().([]string) {
			if strings.TrimSpace(text) != text || text == "" {
				return fmt.Errorf("%q is empty or has spaces around it: write it as the metric's label has it, or take it away", text)
			}
		}
	}
	return nil
}
