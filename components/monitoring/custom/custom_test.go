package custom_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// beside is what the folders of these tests stand beside.
var beside = custom.Known{
	Groups: []rule.Group{{Name: "api", Rules: []rule.Rule{
		{Alert: "APIDown", Expr: `absent(up{job="backend"} == 1)`}, {Record: "api:errors:ratio", Expr: "http_requests_total"},
	}}},
	Expressions: []string{
		`sum(rate(http_requests_total[$__rate_interval]))`, `histogram_quantile(0.9, rate(http_request_duration_seconds_bucket[5m]))`,
		`pg_up`, `signal_accuracy_total`,
	},
	Observed: []string{"pods"}, Dashboards: []string{"alphapulse-overview"}, Receivers: []string{"none", "chat"}, Intervals: []string{"chat"},
	Jobs: []string{"pods", "backend"}, Names: []string{"backend", "cache"},
	Namespace: "trading", On: room.Kubernetes,
}

// found are the problems and the warnings of a folder, one a line.
func found(files map[string]string, k custom.Known) (problems, warnings string) {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	f, first := custom.Read(fsys)
	more, warned := f.Check(k)
	lines := func(all []custom.Problem) string {
		var b strings.Builder
		for _, p := range all {
			b.WriteString(p.String() + "\n")
		}
		return b.String()
	}
	return lines(slices.Concat(first, more)), lines(warned)
}

const goodRule = "groups:\n- name: mine\n  rules:\n  - alert: Mine\n    expr: %s\n    labels: {severity: warning}\n"

func ruled(expr string) map[string]string {
	return map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", expr, 1)}
}

func dashboard(rest string) map[string]string {
	return map[string]string{"dashboards/mine.json": "{\n" + rest + "\n}"}
}

func panel(fields string) map[string]string {
	return dashboard(`"uid": "mine", "title": "Mine", "panels": [{"type": "stat", "title": "One", ` + fields + `}]`)
}

func scraped(job string) map[string]string {
	return map[string]string{"scrape/mine.yaml": "scrape_configs:\n- job_name: mine\n" + job}
}

func routed(text string) map[string]string { return map[string]string{"routes/mine.yaml": text} }

// Whatever is wrong is said with its file, its line where it has one, and what to do.
func TestMistakesAreSaid(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"no folder of ours":         {map[string]string{"README.md": "x"}, "none of the folders dashboards, metrics, routes, rules, scrape"},
		"a misspelt folder":         {map[string]string{"rule/a.yaml": "groups: []"}, "rule: no such folder"},
		"a file that nobody reads":  {map[string]string{"rules/a.rules": "groups: []"}, "rules/a.rules: nobody reads it: files here end with .yaml or .yml"},
		"a name for no key":         {map[string]string{"rules/a b.yaml": "groups: []"}, `rules/a b.yaml: the name cannot be`},
		"too much":                  {map[string]string{"rules/a.yaml": strings.Replace(goodRule, "%s", "up # "+strings.Repeat("x", 800<<10), 1)}, "a ConfigMap has room for 700"},
		"too many routes":           {routed("# " + strings.Repeat("x", 800<<10) + "\ntime_intervals:\n- name: nights\n  time_intervals: [{weekdays: [monday]}]\n"), "the files of routes hold 800 KiB together"},
		"UTF-16":                    {map[string]string{"rules/mine.yaml": utf16("groups: []")}, "rules/mine.yaml: it is no text in UTF-8: save it as UTF-8"},
		"UTF-16 without its mark":   {map[string]string{"scrape/mine.yaml": strings.TrimPrefix(utf16("scrape_configs: []"), "\xff\xfe")}, "scrape/mine.yaml: it is no text in UTF-8"},
		"a page of codes":           {map[string]string{"metrics/a.prom": "a{b=\"\xfc\"} 1\n"}, "metrics/a.prom: it is no text in UTF-8"},
		"a file beside the folders": {map[string]string{"orders.yaml": "groups: []", "rules/a.yaml": ""}, "orders.yaml: nobody reads it here: move it into one of the folders dashboards"},
		"two documents":             {map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", "up", 1) + "---\n" + strings.Replace(goodRule, "%s", "up", 1)}, "rules/mine.yaml:7: a second document begins"},
		"two documents, one wrong":  {map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", "up", 1) + "---\na: ["}, "rules/mine.yaml:1: a second document begins"},
		"no rule":                   {map[string]string{"rules/mine.yaml": "groups:\n- name: mine\n  rules: [null]\n"}, "rules/mine.yaml:3: this entry of a list is empty"},
		"no rule between others":    {map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", "up", 1) + "  -\n"}, "rules/mine.yaml:7: this entry of a list is empty"},
		"no route":                  {routed("routes:\n- null\n- receiver: chat\n  matchers: ['a=\"b\"']\n"), "routes/mine.yaml:2: this entry of a list is empty"},
		"no scrape":                 {map[string]string{"scrape/mine.yaml": "scrape_configs: [~]\n"}, "scrape/mine.yaml:1: this entry of a list is empty"},
		"no group":                  {map[string]string{"rules/mine.yaml": "groups: [null]\n"}, "rules/mine.yaml:1: this entry of a list is empty"},
		"PromQL":                    {ruled("rate(http_requests_total)"), `rules/mine.yaml:5: group "mine", rule 1, "Mine": could not parse expression`},
		"a template":                {map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", "up", 1) + "    annotations: {summary: \"{{ $labels.job\"}\n"}, `annotation "summary"`},
		"an unknown field":          {map[string]string{"rules/mine.yaml": strings.Replace(goodRule, "%s", "up\n    fore: 5m", 1)}, "rules/mine.yaml:6: field fore not found"},
		"no groups":                 {map[string]string{"rules/mine.yaml": "groups: []\n"}, "it has no group of rules"},
		"the name of our alert":     {map[string]string{"rules/mine.yaml": strings.ReplaceAll(strings.Replace(goodRule, "%s", "up", 1), "Mine", "APIDown")}, `rules/mine.yaml:4: the stack has an alert called "APIDown"`},
		"the name of our group":     {map[string]string{"rules/mine.yaml": strings.ReplaceAll(strings.Replace(goodRule, "%s", "up", 1), "mine", "api")}, `rules/mine.yaml:2: the stack has a group of rules called "api"`},
		"what we record":            {map[string]string{"rules/mine.yaml": "groups:\n- name: mine\n  rules:\n  - record: api:errors:ratio\n    expr: up\n"}, `rules/mine.yaml:4: the stack has a recorded series called`},
		"a severity of no receiver": {map[string]string{"rules/mine.yaml": strings.ReplaceAll(strings.Replace(goodRule, "%s", "up", 1), "warning", "page")}, `has the severity "page": use critical, warning or none`},

		"no JSON":              {dashboard(`"uid": "mine",,`), "dashboards/mine.json:2: it is no JSON object"},
		"no uid":               {dashboard(`"title": "Mine"`), `the dashboard has no uid, by which it keeps its address: add "uid", e.g. "mine"`},
		"no title":             {dashboard(`"uid": "mine"`), "the dashboard has no title"},
		"the frame's uid":      {dashboard(`"uid": "mine", "dashboard": {"title": "Mine"}`), "the dashboard has no uid"},
		"a uid of none":        {dashboard(`"title": "Mine", "uid": "my board"`), `uid "my board": use at most 40`},
		"our uid":              {dashboard(`"title": "Mine", "uid": "alphapulse-overview"`), `dashboards/mine.json:2: the uid "alphapulse-overview" is that of one of the stack's own`},
		"inputs":               {dashboard(`"title": "Mine", "uid": "mine", "__inputs": [{"name": "DS_PROMETHEUS"}]`), "exported for sharing"},
		"a plugin":             {dashboard(`"title": "Mine", "uid": "mine", "panels": [{"type": "polystat", "title": "One"}]`), `panel "One" is of the kind "polystat", which needs a plugin`},
		"another source":       {panel(`"datasource": {"uid": "influx"}`), `asks the data source "influx"`},
		"log lines":            {panel(`"datasource": {"uid": "victorialogs"}`), `dashboards/mine.json:2: panel "One" asks for log lines, and Grafana has no data source "victorialogs": set logsBackend local`},
		"a query":              {panel(`"targets": [{"expr": "sum(rate(up)"}]`), `panel "One": Prometheus cannot read sum(rate(up)`},
		"a query within a row": {dashboard(`"uid": "mine", "title": "Mine", "panels": [{"type": "row", "panels": [{"type": "stat", "title": "Two", "targets": [{"expr": "sum("}]}]}]`), `panel "Two": Prometheus cannot read sum(`},

		"two in one file":     {map[string]string{"dashboards/mine.json": `{"uid": "mine", "title": "Mine"}` + "\n" + `{"uid": "two", "title": "Two"}`}, "dashboards/mine.json:2: something follows the dashboard"},
		"panels by name":      {dashboard(`"uid": "mine", "title": "Mine", "panels": {"a": {}}`), "panels is no list"},
		"a panel of a number": {dashboard(`"uid": "mine", "title": "Mine", "panels": [5]`), "panels holds 5, which is no panel"},
		"variables on end":    {panel(`"targets": [{"expr": "x + $a + $b + $c + $d + $e + $f + $g + $h + $i + $j + $k + $l + $m + $n + $o + $p"}]`), "it has 16 variables"},

		"no target":                    {scraped(""), "mine has no target"},
		"a URL":                        {scraped("  static_configs: [{targets: ['http://a.example.com:80/metrics']}]"), "write host:port without scheme and path"},
		"itself":                       {scraped("  static_configs: [{targets: ['localhost:9090']}]"), "is Prometheus itself"},
		"our own":                      {scraped("  static_configs: [{targets: ['backend:8000']}]"), `scrape/mine.yaml:3: target "backend:8000" is the stack's own`},
		"our own by its long name":     {scraped("  static_configs: [{targets: ['cache.trading.svc.cluster.local:6379']}]"), "is the stack's own"},
		"discovery":                    {scraped("  kubernetes_sd_configs: [{role: pod}]"), "field kubernetes_sd_configs not found"},
		"records without ports":        {scraped("  dns_sd_configs: [{names: [a.example.com], type: SRV}]"), "needs type: A or AAAA and port:"},
		"a computed address":           {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  relabel_configs: [{source_labels: [x], target_label: __address__, replacement: '$1:80'}]"), "no network policy can follow"},
		"a password":                   {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  basic_auth: {username: u, password: hunter2}"), "scrape/mine.yaml:4: basic_auth.password holds a secret in plain text"},
		"a token":                      {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  authorization: {credentials: hunter2}"), "authorization.credentials holds a secret in plain text"},
		"an old token":                 {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  bearer_token: hunter2"), "bearer_token holds a secret in plain text"},
		"a key":                        {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  tls_config: {key: hunter2}"), "tls_config.key holds a secret in plain text"},
		"a file that there is none of": {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  authorization: {credentials_file: /etc/prometheus-credentials/KEY}"), `there is no file "/etc/prometheus-credentials/KEY"`},
		"a file elsewhere":             {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  authorization: {credentials_file: /home/me/TOKEN}"), `there is no file "/home/me/TOKEN"`},
		"our job":                      {map[string]string{"scrape/mine.yaml": "scrape_configs:\n- job_name: pods\n  static_configs: [{targets: ['a.example.com:1']}]"}, `there is a job called "pods" already`},
		"a relabelling":                {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  metric_relabel_configs: [{action: hashmod, source_labels: [x]}]"), "hashmod requires non-zero modulus"},
		"a pattern":                    {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  metric_relabel_configs: [{action: keep, regex: '('}]"), "missing closing )"},
		"too slow":                     {scraped("  static_configs: [{targets: ['a.example.com:1']}]\n  scrape_interval: 5s\n  scrape_timeout: 10s"), "scrape_timeout 10s is longer than scrape_interval 5s"},

		"a receiver that there is none of": {routed("routes:\n- receiver: chta\n  matchers: ['a=\"b\"']\n"), `routes/mine.yaml:2: there is no receiver "chta": there are chat, none`},
		"a receiver below":                 {routed("routes:\n- receiver: chat\n  matchers: ['a=\"b\"']\n  routes:\n  - receiver: pager\n"), `routes/mine.yaml:5: there is no receiver "pager"`},
		"a matcher":                        {routed("routes:\n- receiver: chat\n  matchers: ['severity critical']\n"), `"severity critical" is no matcher`},
		"old matchers":                     {routed("routes:\n- receiver: chat\n  match: {severity: critical}\n"), "routes/mine.yaml:3: field match not found"},
		"everything":                       {routed("routes:\n- receiver: chat\n"), "routes/mine.yaml:2: this route takes every alert"},
		"hours":                            {routed("routes:\n- receiver: chat\n  continue: true\n  mute_time_intervals: [nights]\n"), `there is no time interval "nights": there are chat`},
		"hours twice":                      {routed("time_intervals:\n- name: chat\n  time_intervals: [{weekdays: [monday]}]\n"), `there is a time interval called "chat" already`},
		"a day":                            {routed("time_intervals:\n- name: nights\n  time_intervals: [{weekdays: [mondy]}]\n"), "mondy is not a valid weekday"},
		"silence":                          {routed("inhibit_rules:\n- target_matchers: ['a=\"b\"']\n"), "it silences everything"},

		"no exposition": {map[string]string{"metrics/a.prom": "<html>"}, "metrics/a.prom: it is not what a target answers"},
	} {
		t.Run(name, func(t *testing.T) {
			if problems, _ := found(c.files, beside); !strings.Contains(problems, c.says) {
				t.Errorf("problems %q, want %q", problems, c.says)
			} else if strings.Contains(problems, "hunter2") {
				t.Errorf("the secret is repeated: %s", problems)
			}
		})
	}
}

// utf16 is a text as Windows PowerShell's > writes it.
func utf16(text string) string {
	s := "\xff\xfe"
	for _, b := range []byte(text) {
		s += string([]byte{b, 0})
	}
	return s
}

// A link that leads nowhere, or to a folder of another name, is not left out without a word.
func TestLinks(t *testing.T) {
	root := t.TempDir()
	for name, to := range map[string]string{"rules": root + "/nowhere", "alerts": t.TempDir()} {
		if err := os.Symlink(to, root+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	_, problems := custom.Read(os.DirFS(root))
	if len(problems) != 2 || !strings.HasPrefix(problems[0].String(), "alerts: nobody reads it here") || !strings.HasPrefix(problems[1].String(), "rules: it cannot be read") {
		t.Error(problems)
	}
}

// A PrometheusRule keeps its groups by their names, and Prometheus those of each file.
func TestGroupsOfOneName(t *testing.T) {
	files := ruled("up")
	files["rules/more.yaml"] = strings.ReplaceAll(files["rules/mine.yaml"], "Mine", "More")
	if problems, _ := found(files, beside); problems != "" {
		t.Errorf("of two files: %s", problems)
	}
	k := beside
	k.Together = true
	if problems, _ := found(files, k); problems != "rules/more.yaml:2: rules/mine.yaml has a group of rules called \"mine\", and a PrometheusRule has one of a name: choose another name\n" {
		t.Errorf("of one list: %q", problems)
	}
}

// What is right is neither refused nor warned of.
func TestWhatIsRightPasses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"series of an exporter's family": ruled(`pg_stat_replication_slots > 0 and up{job="database"} == 1`),
		"series of a histogram":          ruled("rate(http_request_duration_seconds_sum[5m]) > 1"),
		"what the cluster tells":         ruled("kube_pod_start_time > 0"),
		"what a rule records":            {"rules/a.yaml": "groups:\n- name: mine\n  rules:\n  - {record: mine:x, expr: up}\n  - {alert: Mine, expr: 'mine:x > 1', labels: {severity: critical}}\n"},
		"what a target answers":          {"metrics/a.prom": "orders_total 1\n", "rules/mine.yaml": strings.Replace(goodRule, "%s", "rate(orders_total[5m]) > 1", 1)},
		"a pattern":                      ruled(`count({__name__=~"orders_.*"}) > 1`),
		"Grafana's variables":            panel(`"targets": [{"expr": "topk($n, sum by ($by) (rate(http_requests_total{job=~\"$job\"}[$__rate_interval] offset ${shift}))) / $__range_s"}]`),
		"a variable of an interval":      dashboard(`"uid": "mine", "title": "Mine", "templating": {"list": [{"name": "i", "type": "interval"}]}, "panels": [{"type": "stat", "targets": [{"expr": "rate(http_requests_total[$i:[[i]]])"}]}]`),
		"a chosen source":                dashboard(`"uid": "mine", "title": "Mine", "templating": {"list": [{"name": "ds", "type": "datasource"}]}, "panels": [{"type": "stat", "datasource": {"uid": "${ds}"}}]`),
		"the frame of the API":           {"dashboards/a.json": `{"overwrite": true, "dashboard": {"id": 7, "uid": "mine", "title": "Mine"}}`},
		"an exporter of many targets":    scraped("  static_configs: [{targets: ['https://a.example.com/']}]\n  relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'blackbox:9115'}]"),
		"a receiver of nothing":          routed("routes:\n- receiver: none\n  matchers: ['alertname=\"APIDown\"']\n  mute_time_intervals: [chat]\n"),
		"notes beside":                   {"rules/README.md": "x", "rules/.gitkeep": "", "metrics/a.prom": "", "README": "x", "NOTES.md": "x"},
		"what tools leave":               {".git/config": "x", ".DS_Store": "\x00\xff", ".github/workflows/a.yaml": "x", "rules/.mine.yaml.swp": "\x00", "metrics/a.prom": ""},
		"the mark of UTF-8":              {"rules/mine.yaml": "\ufeff" + strings.Replace(goodRule, "%s", "up", 1), "dashboards/mine.json": "\ufeff" + `{"uid": "mine", "title": "Mine"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if problems, warnings := found(files, beside); problems+warnings != "" {
				t.Errorf("problems %q, warnings %q", problems, warnings)
			}
		})
	}
}

// Log lines are asked for by a language of their own, in a panel or in one of its queries.
func TestLogLinesMayBeAskedForWhereTheyAre(t *testing.T) {
	kept := beside
	kept.Lines = true
	for name, files := range map[string]map[string]string{
		"of the panel":   panel(`"datasource": {"uid": "victorialogs"}, "targets": [{"expr": "* | stats count()"}]`),
		"of the query":   panel(`"datasource": {"uid": "-- Mixed --"}, "targets": [{"expr": "* | stats count()", "datasource": {"uid": "victorialogs"}}, {"expr": "up", "datasource": {"uid": "prometheus"}}]`),
		"of the old way": panel(`"datasource": "victorialogs", "targets": [{"expr": "error -debug", "datasource": "victorialogs"}]`),
	} {
		if problems, warnings := found(files, kept); problems+warnings != "" {
			t.Errorf("%s: problems %q, warnings %q", name, problems, warnings)
		}
	}
	mixed := panel(`"datasource": {"uid": "victorialogs"}, "targets": [{"expr": "sum(", "datasource": {"uid": "prometheus"}}]`)
	if problems, _ := found(mixed, kept); !strings.Contains(problems, "Prometheus cannot read sum(") {
		t.Errorf("%q: a query of Prometheus beside them is not read", problems)
	}
}

func TestWhatNothingServesIsWarnedOf(t *testing.T) {
	k := beside
	k.Credentials = []string{"TOKEN"}
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"a misspelt name":      {ruled("rate(http_request_total[5m]) > 0"), "rules/mine.yaml:5: Mine asks for http_request_total, which nothing is known to serve; did you mean http_requests_total?"},
		"of a dashboard":       {panel(`"targets": [{"expr": "rate(signal_accurracy_total[5m])"}]`), "did you mean signal_accuracy_total?"},
		"of nobody":            {ruled("node_load1 > 4"), "save what its target answers as metrics/NAME.prom"},
		"what may not be read": {ruled("kube_node_info > 4"), "kube_node_info, which nothing is known to serve"},
		"no room with it":      {ruled("redis_up == 0"), "redis_up, which nothing is known to serve"},
		"a secret of nobody":   {scraped("  static_configs: [{targets: ['a.example.com:1']}]"), "no file of scrape names the secret TOKEN of monitoringCredentials"},
		"no severity":          {map[string]string{"rules/mine.yaml": "groups:\n- name: mine\n  rules:\n  - {alert: Mine, expr: up == 0}\n"}, "rules/mine.yaml:4: the alert Mine has no label severity"},
	} {
		if problems, warnings := found(c.files, k); problems != "" || !strings.Contains(warnings, c.says) {
			t.Errorf("%s: problems %q, warnings %q, want %q", name, problems, warnings, c.says)
		}
	}
}

// On a Docker host there is no Service that a name could mean.
func TestNamesOfADockerHost(t *testing.T) {
	k := beside
	k.On, k.Namespace = room.DockerHost, ""
	if problems, _ := found(scraped("  static_configs: [{targets: ['risk:9100', '192.0.2.7:9100', 'db.example.com:9100']}]"), k); problems != "scrape/mine.yaml:3: target \"risk:9100\" is no container that Prometheus shares a network with: name an address that the host reaches\n" {
		t.Error(problems)
	}
}

func TestInside(t *testing.T) {
	for host, want := range map[string]string{
		"risk": "risk", "risk.trading": "risk", "risk.trading.svc": "risk", "risk.trading.svc.cluster.local.": "risk",
		"risk.other.svc": "", "10.0.0.1": "", "2001:db8::1": "", "trading.example.com": "",
	} {
		if got := (custom.Target{Host: host}).Inside("trading"); got != want {
			t.Errorf("%s is inside as %q, want %q", host, got, want)
		}
	}
}

// The page shows the example's files as they are, and the example is right.
func TestDocumentedExample(t *testing.T) {
	const docs = "../../../docs/"
	page, err := os.ReadFile(docs + "custom-monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.ReplaceAll(string(page), "\n   ", "\n")
	for _, file := range []string{"rules/orders.yaml", "scrape/exchange.yaml", "routes/desk.yaml"} {
		content, err := os.ReadFile(docs + "custom-monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(flat, "```yaml\n"+string(content)+"```") {
			t.Errorf("the page does not show %s as it is", file)
		}
	}
	f, problems := custom.Read(os.DirFS(docs + "custom-monitoring"))
	k := beside
	k.Receivers, k.Credentials = append(k.Receivers, "desk"), []string{"GATEWAY_TOKEN"}
	more, warnings := f.Check(k)
	if all := slices.Concat(problems, more, warnings); len(all) > 0 {
		t.Error(all)
	}
	if len(f.Rules) != 1 || len(f.Dashboards) != 1 || len(f.Scrapes) != 1 || len(f.Routes) != 1 || len(f.Targets) != 2 {
		t.Errorf("%+v", f)
	}
}
