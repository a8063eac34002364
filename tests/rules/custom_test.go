package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// example is the folder of docs/custom-monitoring.md, checked beside a whole stack.
func example(t *testing.T, receivers ...config.Receiver) *custom.Folder {
	t.Helper()
	f, problems := custom.Read(os.DirFS("../../docs/custom-monitoring"))
	k := custom.Known{Groups: watched.groups(), Receivers: []string{"none"}, Credentials: []string{"GATEWAY_TOKEN"}, Jobs: config.ScrapeJobs, On: room.Kubernetes}
	for _, r := range receivers {
		k.Receivers = append(k.Receivers, r.Name)
	}
	for _, q := range queries(t) {
		k.Expressions = append(k.Expressions, q.expr)
	}
	files, err := board.Files(watched.panels())
	if err != nil {
		t.Fatal(err)
	}
	for file := range files {
		k.Dashboards = append(k.Dashboards, loadDashboards(t, watched)[file].UID)
	}
	more, warnings := f.Check(k)
	if all := slices.Concat(problems, more, warnings); len(all) > 0 {
		t.Fatal(all)
	}
	return f
}

// What the check lets through, Prometheus and Alertmanager take.
func TestDocumentedFolderIsTaken(t *testing.T) {
	desk := config.Receiver{Name: "desk", Webhook: &config.Webhook{}, CredentialFile: "/etc/receivers/desk", RoutesOnly: true}
	all := config.Receiver{Name: "all", Webhook: &config.Webhook{}, CredentialFile: "/etc/receivers/all"}
	f := example(t, desk, all)
	for name, content := range f.Rules {
		if _, errs := rulefmt.Parse([]byte(content), false, model.UTF8Validation, promql, promslog.NewNopLogger()); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
	folder, p := t.TempDir(), prometheus
	for name, content := range f.Scrapes {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p.ScrapeFiles = append(p.ScrapeFiles, path)
	}
	loaded, err := load(t, p).GetScrapeConfigs()
	if err != nil {
		t.Fatalf("Prometheus refuses the user's own: %v", err)
	}
	jobs := map[string]*promconfig.ScrapeConfig{}
	for _, s := range loaded {
		jobs[s.JobName] = s
	}
	if len(jobs) != len(config.ScrapeJobs)-1+2 {
		t.Errorf("%d jobs", len(jobs))
	}
	if gateway := jobs["exchange-gateway"]; gateway == nil || gateway.HTTPClientConfig.Authorization.CredentialsFile != custom.CredentialsPath+"/GATEWAY_TOKEN" {
		t.Errorf("%+v", gateway)
	}

	routes := loadAlertmanager(t, config.Alertmanager{
		Receivers: []config.Receiver{desk, all}, Routes: f.Routes, TimeIntervals: f.TimeIntervals, InhibitRules: f.InhibitRules,
	})
	for owner, want := range map[model.LabelValue][]string{"desk": {"desk"}, "platform": {"all"}} {
		if got := receivers(routes, model.LabelSet{"alertname": "x", "owner": owner, "severity": "warning"}); !slices.Equal(got, want) {
			t.Errorf("an alert of %s goes to %v, want %v", owner, got, want)
		}
	}
	if len(routes.TimeIntervals) != 1 || routes.TimeIntervals[0].Name != "trading-hours" {
		t.Errorf("time intervals %+v", routes.TimeIntervals)
	}
}

// Prometheus takes each way of logging in to another server, and sends there.
func TestRemoteWriteIsLoaded(t *testing.T) {
	for name, w := range map[string]config.RemoteWrite{
		"nobody":  {URL: "https://metrics.example.com/api/v1/write"},
		"a user":  {URL: "https://metrics.example.com/api/v1/write", Username: "u", CredentialFile: "/etc/prometheus-remote/credential", CAFile: "/etc/prometheus/remote-ca.crt"},
		"a token": {URL: "https://metrics.example.com:8443/write", CredentialFile: "/etc/prometheus-remote/credential"},
	} {
		p := prometheus
		p.RemoteWrite = &w
		all := load(t, p).RemoteWriteConfigs
		if len(all) != 1 || all[0].URL.String() != w.URL || all[0].HTTPClientConfig.TLSConfig.CAFile != w.CAFile {
			t.Fatalf("%s: %+v", name, all)
		}
		c, file := all[0].HTTPClientConfig, ""
		if c.BasicAuth != nil && c.BasicAuth.Username == w.Username {
			file = c.BasicAuth.PasswordFile
		}
		if c.Authorization != nil && c.Authorization.Type == "Bearer" {
			file = c.Authorization.CredentialsFile
		}
		if file != w.CredentialFile {
			t.Errorf("%s: logs in by %q, want %q", name, file, w.CredentialFile)
		}
	}
}

// What Alertmanager takes in no file of its own is refused by the check, too.
func TestRoutesAreReadAlike(t *testing.T) {
	for name, route := range map[string]string{
		"fine":            "receiver: desk\n  matchers: ['severity=~\"critical|warning\"', owner!=desk]\n  group_by: ['...']\n  repeat_interval: 1h",
		"a pattern":       "receiver: desk\n  matchers: ['severity=~\"(\"']",
		"a duration":      "receiver: desk\n  matchers: [a=b]\n  repeat_interval: soon",
		"an unknown part": "receiver: desk\n  matchers: [a=b]\n  mute: [nights]",
		"a label":         "receiver: desk\n  matchers: [a=b]\n  group_by: ['']",
	} {
		folder := t.TempDir()
		if err := os.Mkdir(filepath.Join(folder, custom.RoutesFolder), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, custom.RoutesFolder, "a.yaml"), []byte("routes:\n- "+route+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := custom.Read(os.DirFS(folder))
		_, err := amconfig.Load("route:\n  receiver: desk\n  routes:\n  - " + strings.ReplaceAll(route, "\n", "\n  ") + "\nreceivers: [{name: desk}]\n")
		if (len(problems) > 0) != (err != nil) {
			t.Errorf("%s: the check says %v, Alertmanager %v", name, problems, err)
		}
	}
}
