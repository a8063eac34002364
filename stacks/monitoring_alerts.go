package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

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
	g.Text(&w.Username, "remoteWriteUsername", "User of basic authentication there; by default remoteWriteCredential is a bearer token.", on)
	g.SecretText(&w.Credential, "remoteWriteCredential", "Password or token that the server asks for.", on)
	g.Text(&w.CA, "remoteWriteCa", "PEM certificates by which the server's is trusted; by default those that come with the image.", settings.Valid(certificates), on)
	g.Check(func(p *settings.Problems) {
		if w.URL == "" {
			return
		}
		if w.Username != "" && w.Credential == nil {
			p.Add("remoteWriteUsername", "it is set, and remoteWriteCredential is not: set the password by `pulumi config set --secret remoteWriteCredential`")
		}
		s.Monitoring.Prometheus.RemoteWrite = w
	})
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
	}
	return nil
}
