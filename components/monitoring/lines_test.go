package monitoring

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// An alert leads to the lines of its workload's pods, and to nobody else's.
func TestAlertsLeadToTheLinesOfTheirPods(t *testing.T) {
	const grafana = "https://monitoring.example.com"
	a := &Args{LogsURL: linesFrom}
	at, err := url.Parse(a.values(grafana, room.Kubernetes).LinesURL("backend"))
	if err != nil || !strings.HasPrefix(at.String(), grafana+"/explore?") {
		t.Fatalf("%v %v", at, err)
	}
	var panes map[string]struct {
		Datasource string
		Queries    []struct{ Expr string }
	}
	if err := json.Unmarshal([]byte(at.Query().Get("panes")), &panes); err != nil || len(panes["a"].Queries) != 1 || panes["a"].Datasource != "victorialogs" {
		t.Fatalf("%v %v", panes, err)
	}
	query := panes["a"].Queries[0].Expr
	pattern, found := strings.CutPrefix(query, `k8s.pod.name:~`)
	if !found {
		t.Fatal(query)
	}
	matches := regexp.MustCompile(strings.Trim(pattern, `"`)).MatchString
	for pod, want := range map[string]bool{
		"backend-79f7bfc867-s4c6f": true, "backend-0": true, "backend-g1-0": true, "backend-engine-79f7bfc867-s4c6f": false, "frontend-79f7bfc867-s4c6f": false,
	} {
		if matches(pod) != want {
			t.Errorf("%s: %s, want %t", query, pod, want)
		}
	}
	// On a host one reader calls every container after its workload.
	at, err = url.Parse(a.values(grafana, room.DockerHost).LinesURL("backend"))
	if err != nil || !strings.Contains(at.Query().Get("panes"), `service.name:=\"alphapulse-backend\"`) {
		t.Errorf("%v %v", at, err)
	}
	// What Prometheus fills in is filled in there as well.
	if at := a.values(grafana, room.Kubernetes).LinesURL("{{ $labels.job }}"); strings.Count(at, "{") != 2 || !strings.Contains(at, "{{ $labels.job }}") {
		t.Errorf("%s is no template any more", at)
	}
	a.LogsOf = []string{"edge"}
	if at := a.values(grafana, room.Kubernetes).LinesURL("database"); at != "" {
		t.Errorf("nobody keeps what the database writes: %s", at)
	}
	a.LogsURL = ""
	if v := a.values(grafana, room.Kubernetes); v.LinesURL != nil || v.DashboardsURL != grafana {
		t.Errorf("nobody keeps lines: %+v", v)
	}
}
