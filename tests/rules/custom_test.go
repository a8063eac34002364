package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
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

// readAlone are the problems of a folder with one file.
func readAlone(t *testing.T, folder, content string) []custom.Problem {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, folder, "a.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, problems := custom.Read(os.DirFS(root))
	return problems
}

// What Alertmanager takes in no file of its own is refused by the check, too, and nothing
// else.
func TestRoutesAreReadAlike(t *testing.T) {
	compat.InitFromFlags(promslog.NewNopLogger(), featurecontrol.NoopFlags{}) // as its program does without flags
	for name, c := range map[string]struct {
		rest    string // of a route to desk
		refused bool
	}{
		"fine":                 {"matchers: ['severity=~\"critical|warning\"', owner!=desk]\n  group_by: ['...']\n  repeat_interval: 1h", false},
		"by two labels":        {"matchers: [a=b]\n  group_by: [a, 'b.c']\n  group_wait: 0s\n  group_interval: 1m", false},
		"by none":              {"matchers: [a=b]\n  group_by: []", false},
		"a pattern":            {"matchers: ['severity=~\"(\"']", true},
		"a duration":           {"matchers: [a=b]\n  repeat_interval: soon", true},
		"an unknown part":      {"matchers: [a=b]\n  mute: [nights]", true},
		"a label":              {"matchers: [a=b]\n  group_by: ['']", true},
		"a label twice":        {"matchers: [a=b]\n  group_by: [a, b, a]", true},
		"all labels and one":   {"matchers: [a=b]\n  group_by: ['...', a]", true},
		"no interval":          {"matchers: [a=b]\n  group_interval: 0s", true},
		"no repetition":        {"matchers: [a=b]\n  repeat_interval: 0s", true},
		"no interval below":    {"matchers: [a=b]\n  routes: [{matchers: [c=d], group_interval: 0s}]", true},
		"a label twice below":  {"matchers: [a=b]\n  routes: [{matchers: [c=d], group_by: [e, e]}]", true},
		"silences":             {"matchers: [a=b]\ninhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d], equal: [job]}]", false},
		"silences by no label": {"matchers: [a=b]\ninhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d], equal: ['']}]", true},
		"months that go back":  {"matchers: [a=b]\ntime_intervals: [{name: x, time_intervals: [{months: ['may:april']}]}]", true},
		"hours that go back":   {"matchers: [a=b]\ntime_intervals: [{name: x, time_intervals: [{times: [{start_time: '18:00', end_time: '08:00'}]}]}]", true},
	} {
		problems := readAlone(t, custom.RoutesFolder, "routes:\n- receiver: desk\n  "+c.rest+"\n")
		route, others, _ := strings.Cut(c.rest, "\ninhibit_rules")
		if others != "" {
			others = "inhibit_rules" + others
		}
		if above, intervals, is := strings.Cut(route, "\ntime_intervals"); is {
			route, others = above, "time_intervals"+intervals
		}
		_, err := amconfig.Load("route:\n  receiver: desk\n  routes:\n  - receiver: desk\n    " + strings.ReplaceAll(route, "\n", "\n  ") + "\nreceivers: [{name: desk}]\n" + others + "\n")
		if (err != nil) != c.refused {
			t.Errorf("%s: Alertmanager says %v, want refused: %v", name, err, c.refused)
		}
		if (len(problems) > 0) != (err != nil) {
			t.Errorf("%s: the check says %v, Alertmanager %v", name, problems, err)
		}
	}
}

// What Prometheus takes in no file of its own is refused by the check, too, and nothing
// else of what users may say of a scrape.
func TestScrapesAreReadAlike(t *testing.T) {
	const secret = custom.CredentialsPath + "/X"
	cases := map[string]struct {
		rest    string // of a scrape configuration
		refused bool
	}{
		"fine":                        {"", false},
		"a short timeout":             {"scrape_timeout: 15s", false},
		"a timeout above the usual":   {"scrape_timeout: 30s", true},
		"a timeout above its own":     {"scrape_timeout: 30s\n  scrape_interval: 20s", true},
		"a timeout below its own":     {"scrape_timeout: 30s\n  scrape_interval: 1m", false},
		"a login":                     {"basic_auth: {username: u, password_file: " + secret + "}", false},
		"a token":                     {"authorization: {credentials_file: " + secret + "}", false},
		"a login and a token":         {"basic_auth: {username: u, password_file: " + secret + "}\n  authorization: {credentials_file: " + secret + "}", true},
		"a token of the kind basic":   {"authorization: {type: Basic, credentials_file: " + secret + "}", true},
		"certificates":                {"tls_config: {ca_file: " + secret + ", min_version: TLS12}", false},
		"a version of TLS":            {"tls_config: {min_version: TLS14}", true},
		"a version of TLS by number":  {"tls_config: {min_version: '1.2'}", true},
		"a certificate without a key": {"tls_config: {cert_file: " + secret + "}", true},
		"a key without a certificate": {"tls_config: {key_file: " + secret + "}", true},
		"two authorities":             {"tls_config: {ca: x, ca_file: " + secret + "}", true},
		"no protocol":                 {"scrape_protocols: []", true},
		"an unknown protocol":         {"scrape_protocols: [OpenMetrics]", true},
		"a protocol twice":            {"scrape_protocols: [PrometheusProto, PrometheusProto]", true},
		"an unknown fallback":         {"fallback_scrape_protocol: text", true},
		"a fallback":                  {"fallback_scrape_protocol: PrometheusText0.0.4", false},
		"a label of a target":         {"static_configs: [{targets: ['a.example.com:1'], labels: {'': x}}]", true},
		"no name":                     {"dns_sd_configs: [{names: [], type: A, port: 1}]", true},
		"a name":                      {"dns_sd_configs: [{names: [a.example.com], type: A, port: 1}]", false},
		"a modulus":                   {"relabel_configs: [{action: hashmod, source_labels: [a], target_label: b}]", true},
		"a switch":                    {"follow_redirects: maybe", true},
		"a negative limit":            {"sample_limit: -1", true},
	}
	for _, size := range []string{"0", "10MB", "1.5GiB", "1KB500B", ".5KiB", "+1MB"} {
		cases["a size of "+size] = struct {
			rest    string
			refused bool
		}{"body_size_limit: '" + size + "'", false}
	}
	for _, size := range []string{"10", "10M", "10kB", "ten", "10MB ", "B", "1e3B", "10 MB"} {
		cases["a size of "+size] = struct {
			rest    string
			refused bool
		}{"body_size_limit: '" + size + "'", true}
	}
	for protocol := range promconfig.ScrapeProtocolsHeaders {
		cases["the protocol "+string(protocol)] = struct {
			rest    string
			refused bool
		}{"scrape_protocols: [" + string(protocol) + "]", false}
	}
	for name, c := range cases {
		content := "scrape_configs:\n- job_name: mine\n  " + c.rest + "\n"
		if !strings.Contains(c.rest, "_configs: [{targets") && !strings.Contains(c.rest, "dns_sd") {
			content += "  static_configs: [{targets: ['a.example.com:1']}]\n"
		}
		p := prometheus
		p.ScrapeFiles = []string{write(t, "a.yaml", content)}
		_, err := load(t, p).GetScrapeConfigs()
		if (err != nil) != c.refused {
			t.Errorf("%s: Prometheus says %v, want refused: %v", name, err, c.refused)
		}
		if problems := readAlone(t, custom.ScrapeFolder, content); (len(problems) > 0) != (err != nil) {
			t.Errorf("%s: the check says %v, Prometheus %v", name, problems, err)
		}
	}
}
