package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/alphapulse/alphapulse-infra/components/monitoring"
	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// toy is a room that nobody in the program knows: a queue that is scraped, linked, counted
// and watched.
var (
	toyQueue  = room.Identity{Name: "queue", Instance: "queue", Component: "queue"}
	toyClient = room.Identity{Name: "client", Instance: "client", Component: "client"}
	toySize   = room.ResourcesOf("100m", "100Mi", "1", "1Gi")
	toyFacts  = room.Facts{
		Workloads: []room.Workload{{
			Identity: toyQueue, Replicas: 3, Surge: 1, Containers: []room.Resources{toySize}, Scrape: &room.Scrape{Port: 9000, Path: "/figures"},
		}},
		Services: []string{"queue", "queue-pods"},
		Rules: []rule.Group{{Name: rule.Capacity, Rules: []rule.Rule{
			rule.Missing("QueueDown", rule.Warning, "5m", "up", "queue", "The queue does not answer", "Start it."),
		}}},
		Panels: []board.Contribution{{Dashboard: board.Infrastructure, Row: "Queue", Panels: []board.Panel{
			board.Number("Messages that wait", "short", 4, rule.On("queue", `sum(waiting{$job})`)),
		}}},
	}
)

// TestARoomFromOutside: what a room says about itself is all that it takes to be counted,
// reached, scraped, alerted on and shown.
func TestARoomFromOutside(t *testing.T) {
	links := []room.Link{{From: room.Of(toyClient), To: room.Of(toyQueue), Ports: []int{5672}, Zone: room.Data}}
	compose := func(facts ...room.Facts) *recorder.Recording {
		r := &recorder.Recording{}
		require.NoError(t, r.Program(recorder.Options{Stack: "any"}, func(ctx *pulumi.Context) error {
			watch := &monitoring.Args{Grafana: monitoring.Grafana{Password: ownSecret("one")}, ExternalURL: pulumi.String("https://watch.example.org")}
			facts := append(facts, watch.Facts("watch", room.Kubernetes))
			all := slices.Clone(links)
			all = append(all, watch.Watch("watch", all, facts...)...)
			ground, err := platform.NewPlatform(ctx, "ground", &platform.Args{Namespace: "team", Facts: facts, Links: all})
			if err != nil {
				return err
			}
			watch.Namespace = ground.Namespace
			if _, err := monitoring.NewMonitoring(ctx, "watch", watch); err != nil {
				return err
			}
			_, err = workload.Pod{
				Identity: toyQueue, Placement: workload.Placement{Namespace: ground.Namespace}, Replicas: pulumi.Int(3), Most: 3,
				Processes: []workload.Process{{
					Name: "queue", Image: ownImage, User: 1000, Resources: toySize, StartupSeconds: 30,
					Ports: []workload.Port{{Name: "metrics", Number: 9000}},
				}},
				Scrape: toyFacts.Workloads[0].Scrape,
			}.Create(ctx)
			return err
		}))
		return r
	}
	with, without := compose(toyFacts), compose()
	objects := func(r *recorder.Recording) []recorder.Object {
		all, err := r.Objects()
		require.NoError(t, err)
		return all
	}

	pods := func(r *recorder.Recording, what corev1.ResourceName) int64 {
		quota := recorder.Of[*corev1.ResourceQuota](objects(r))[0]
		amount := quota.Spec.Hard[what]
		return amount.Value()
	}
	assert.Equal(t, int64(7), pods(with, corev1.ResourcePods)-pods(without, corev1.ResourcePods), "its share of the quota: three, one that surges, and three that end")
	assert.Equal(t, int64(2), pods(with, corev1.ResourceServices)-pods(without, corev1.ResourceServices))

	var reached []string
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects(with)) {
		if p.Name != "ground-queue" {
			continue
		}
		for _, i := range p.Spec.Ingress {
			reached = append(reached, i.From[0].PodSelector.MatchLabels["app.kubernetes.io/name"]+":"+i.Ports[0].Port.String())
		}
	}
	assert.ElementsMatch(t, []string{"client:5672", "watch-prometheus:9000"}, reached)

	for _, w := range recorder.Workloads(objects(with)) {
		if w.Name == "queue" {
			assert.Equal(t, map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "/figures",
			}, w.Template.Annotations, "its scrape target")
		}
	}

	files := func(r *recorder.Recording) string {
		var all strings.Builder
		for _, c := range recorder.Of[*corev1.ConfigMap](objects(r)) {
			for _, name := range slices.Sorted(maps.Keys(c.Data)) {
				all.WriteString(c.Data[name])
			}
		}
		return all.String()
	}
	for _, what := range []string{"QueueDown", "Messages that wait"} {
		assert.Contains(t, files(with), what)
		assert.NotContains(t, files(without), what)
	}
}
