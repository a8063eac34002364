package monitoring

import (
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/observe"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

func TestSizesOfTheFirstManifests(t *testing.T) {
	facts := (&Args{}).Facts("monitoring", room.Kubernetes)
	for _, w := range facts.Workloads {
		if n := w.Replicas + w.Surge; n != 1 {
			t.Errorf("%s: %d pods at once, want 1: two would share a volume or count everything twice", w.Name, n)
		}
	}
	claims := map[string]string{}
	for _, c := range facts.Claims {
		claims[c.Name] = c.Size.String()
	}
	for workload, want := range map[string]struct{ cpu, memory, storage string }{
		"monitoring-prometheus": {"500m", "1Gi", "20Gi"},
		"monitoring-grafana":    {"250m", "512Mi", "10Gi"},
	} {
		w, _ := facts.Workload(workload)
		r := w.Containers[0].Requests
		if r.CPU.String() != want.cpu || r.Memory.String() != want.memory || claims[workload] != want.storage {
			t.Errorf("%s: %s, %s, %s; want %+v", workload, &r.CPU, &r.Memory, claims[workload], want)
		}
	}
}

// Five wrong passwords of anybody would keep the owner out of Grafana; see
// TestEveryWayToTryAPasswordIsLimited for what stands before it.
func TestNobodyLocksTheOwnerOut(t *testing.T) {
	env := (&Args{ExternalURL: pulumi.String("https://monitoring.example.test")}).GrafanaEnvironment()
	if got := env["GF_SECURITY_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION"]; got != pulumi.String("true") {
		t.Errorf("Grafana's own lockout: %v, want it off", got)
	}
}

func TestGivenSizesAreKept(t *testing.T) {
	a := &Args{Grafana: Grafana{Storage: resource.MustParse("2Gi"), Resources: room.ResourcesOf("1m", "1Mi", "2m", "2Mi")}}
	facts := a.Facts("monitoring", room.Kubernetes)
	w, _ := facts.Workload("monitoring-grafana")
	if w.Containers[0].Requests.CPU.String() != "1m" || facts.Claims[2].Size.String() != "2Gi" {
		t.Errorf("%+v, want what was given", w)
	}
	if !a.Prometheus.Storage.IsZero() {
		t.Error("the caller's arguments were changed")
	}
}

// Prometheus fills its share of the volume on purpose: that must not look like a
// volume that is filling up.
func TestRetentionStaysBelowTheAlert(t *testing.T) {
	storage := resource.MustParse("20Gi")
	used := float64(retentionBytes(storage)) / float64(storage.Value())
	if used >= observe.VolumeHigh {
		t.Errorf("retention fills %.2f of the volume, the alert is at %.2f", used, observe.VolumeHigh)
	}
	if used < 0.75 {
		t.Errorf("retention leaves %.2f of the volume unused", 1-used)
	}
}

func allows(links []room.Link, from, to string, port int) bool {
	return slices.ContainsFunc(links, func(e room.Link) bool {
		return e.From.Workload.Name == from && e.To.Workload != nil && e.To.Workload.Name == to && slices.Contains(e.Ports, port)
	})
}

func leaves(links []room.Link, from string) []int {
	var ports []int
	for _, e := range links {
		if e.From.Workload.Name == from && e.To.Network != nil {
			ports = append(ports, e.Ports...)
		}
	}
	return ports
}

func TestLinks(t *testing.T) {
	links := (&Args{}).Facts("monitoring", room.Kubernetes).Links
	for _, e := range links {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []struct {
		from, to string
		port     int
	}{
		{"monitoring-prometheus", "monitoring-alertmanager", AlertmanagerPort},
		{"monitoring-prometheus", "monitoring-grafana", GrafanaPort},
		{"monitoring-prometheus", "monitoring-kube-state-metrics", KubeStateMetricsPort},
		{"monitoring-grafana", "monitoring-prometheus", PrometheusPort},
	} {
		if !allows(links, want.from, want.to, want.port) {
			t.Errorf("no link %+v", want)
		}
	}
	for _, asksAPIServer := range []string{"monitoring-prometheus", "monitoring-kube-state-metrics"} {
		if got := leaves(links, asksAPIServer); !slices.Equal(got, []int{443, 6443}) {
			t.Errorf("%s leaves the namespace on %v", asksAPIServer, got)
		}
	}
	for _, stays := range []string{"monitoring-grafana", "monitoring-alertmanager"} {
		if got := leaves(links, stays); len(got) > 0 {
			t.Errorf("%s leaves the namespace on %v, want never", stays, got)
		}
	}
}

func TestAlertmanagerLeavesOnlyForAReceiver(t *testing.T) {
	for _, a := range []Alertmanager{
		{WebhookURL: pulumi.String("https://x")}, {HeartbeatURL: pulumi.String("https://x")},
	} {
		if got := leaves((&Args{Alertmanager: a}).Facts("monitoring", room.Kubernetes).Links, "monitoring-alertmanager"); !slices.Equal(got, []int{443}) {
			t.Errorf("%+v: leaves on %v, want 443", a, got)
		}
	}
}

// Each receiver is let out on its own port, and its credential is a file.
func TestReceivers(t *testing.T) {
	a := &Args{Alertmanager: Alertmanager{
		Receivers: []Receiver{
			{Receiver: config.Receiver{Name: "page", PagerDuty: &config.PagerDuty{}}, Credential: pulumi.String("key")},
			{Receiver: config.Receiver{Name: "mail", Email: &config.Email{Smarthost: "smtp.example.com:587", From: "a@example.com", To: []string{"b@example.com"}}}},
		},
		WebhookURL: pulumi.String("https://hooks.example.com/x"), HeartbeatURL: pulumi.String("https://hooks.example.com/y"),
	}}
	if got := leaves(a.Facts("monitoring", room.Kubernetes).Links, "monitoring-alertmanager"); !slices.Equal(got, []int{443, 587}) {
		t.Errorf("leaves on %v, want 443 and the mail server's", got)
	}
	files, credentials, err := a.AlertmanagerFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"page", "webhook-url", "heartbeat-url"} {
		if credentials[key] == nil {
			t.Errorf("no file %s with a credential", key)
		}
		if !strings.Contains(files["alertmanager.yml"], ReceiversPath+"/"+key+"\n") {
			t.Errorf("the configuration does not read %s:\n%s", key, files["alertmanager.yml"])
		}
	}
	if len(credentials) != 3 {
		t.Errorf("%d credentials, want three: the mail server asks for none", len(credentials))
	}
	if files[config.TemplateFile] == "" {
		t.Error("nothing says what people read")
	}
	wrong := Alertmanager{WebhookURL: a.Alertmanager.WebhookURL, Receivers: []Receiver{
		{Receiver: config.Receiver{Name: "webhook", Slack: &config.Slack{}}, Credential: pulumi.String("x")},
		{Receiver: config.Receiver{Name: "page", PagerDuty: &config.PagerDuty{}}},
	}}
	for _, want := range []string{`called "webhook", as another one is`, "receiver page: its credential is missing"} {
		if err := wrong.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\n%v", want, err)
		}
	}
}

func TestValidateReportsEverything(t *testing.T) {
	a := (&Args{
		Prometheus: Prometheus{Retention: "forever", Storage: resource.MustParse("-1Gi")},
		Grafana:    Grafana{Resources: room.ResourcesOf("2", "1Gi", "1", "1Gi")},
		Rules:      []rule.Group{{Name: rule.Capacity, Interval: "5m", Rules: []rule.Rule{{Record: "a:b"}}}},
		Panels: []board.Contribution{{Dashboard: board.Dashboard{File: board.Overview.File},
			Panels: []board.Panel{board.Number("", "", 1, "up")}}},
	}).withDefaults("monitoring")
	err := a.validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"Namespace is missing", "ExternalURL is missing", "Grafana.Password is missing",
		`Prometheus.Retention is "forever"`, `Prometheus.Storage is "-1Gi"`, "requests.cpu 2 is above limits.cpu 1",
		"the group capacity is evaluated every", "two with one file or uid",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not reported: %s\n%v", want, err)
		}
	}
}

func TestReceiverURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://alerts.example.com/hook?key=1": true, "https://alerts.example.com:443/hook": true,
		"http://alerts.example.com/hook": false, "https://alerts.example.com:8443/hook": false, "alerts.example.com": false, "https://": false, "": false,
	} {
		err := checkReceiver("Alertmanager.WebhookURL", url)
		if (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := checkReceiver("Alertmanager.WebhookURL", "http://hooks.example.org/5ecret"); err == nil || strings.Contains(err.Error(), "5ecret") {
		t.Errorf("the message repeats the secret: %v", err)
	}
}
