//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// autoscaled is the workload whose number of pods Kubernetes decides.
const autoscaled = "backend"

// testSetting changes settings on a copy of the stack's file, so that the clone's
// own stays as it is.
func testSetting(t *testing.T) {
	original := filepath.Join(root, "Pulumi."+stack+".yaml")
	raw, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Pulumi."+stack+".yaml")
	up := func(config string, rolls ...string) {
		t.Helper()
		before := uids(t, namespace)
		out := pulumi(t, "up", "--stack", stack, "--config-file", config, "--yes", "--skip-preview", "--suppress-outputs")
		t.Log(last(out, 5))
		arrived(t, namespace)
		settled(t, namespace)
		after := uids(t, namespace)
		var rolled []string
		for _, name := range sortedKeys(before) {
			kept := slices.ContainsFunc(before[name], func(uid string) bool { return slices.Contains(after[name], uid) })
			if !kept {
				rolled = append(rolled, name)
			} else if !reflect.DeepEqual(before[name], after[name]) {
				t.Errorf("%s: some pods were replaced and some not: %v, then %v", name, before[name], after[name])
			}
		}
		t.Logf("rolled: %v", rolled)
		if !slices.Equal(rolled, rolls) {
			t.Errorf("pods were replaced of %v, want those of %v", rolled, rolls)
		}
	}
	set := func(pairs ...string) {
		t.Helper()
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(pairs); i += 2 {
			pulumi(t, "config", "set", "--stack", stack, "--config-file", file, pairs[i], pairs[i+1])
		}
	}
	// Whatever fails in between, the stack is as its file says afterwards.
	t.Cleanup(func() {
		if t.Failed() {
			pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
		}
	})
	set("edgeApiRate", "101")
	up(file, "edge")
	set("edgeApiRate", "101", "debug", "true")
	up(file, "backend", "backend-dashboard", "backend-engine")
	up(original, "backend", "backend-dashboard", "backend-engine", "edge")
}

func scaler(t testing.TB) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	h, err := cluster.AutoscalingV2().HorizontalPodAutoscalers(namespace).Get(t.Context(), autoscaled, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func describe(h *autoscalingv2.HorizontalPodAutoscaler) string {
	cpu := "unknown"
	for _, m := range h.Status.CurrentMetrics {
		if m.Resource != nil && m.Resource.Name == "cpu" && m.Resource.Current.AverageUtilization != nil {
			cpu = fmt.Sprintf("%d %%", *m.Resource.Current.AverageUtilization)
		}
	}
	return fmt.Sprintf("%d pods, %d wanted, cpu %s", h.Status.CurrentReplicas, h.Status.DesiredReplicas, cpu)
}

// testAutoscalerGrows loads the API from a pod that may reach it, and deploys while
// more pods than the minimum run.
func testAutoscalerGrows(t *testing.T) {
	least := *scaler(t).Spec.MinReplicas
	patience(t, 0, 300)
	labels := identity(pods(t, namespace)["edge"][0].Labels)
	startProbe(t, namespace, "e2e-load", labels, "load", "-clients", "6", "-for", "10m", "http://backend:8000/api/symbols")
	eventually(t, 5*time.Minute, "more API pods", func(ctx context.Context) (string, bool) {
		h := scaler(t)
		n := 0
		for _, p := range pods(t, namespace)[autoscaled] {
			if ready(&p) {
				n++
			}
		}
		return fmt.Sprintf("%s, %d ready", describe(h), n), h.Status.DesiredReplicas > least && n > int(least)
	})
	replicas := func() int32 {
		d, err := cluster.AppsV1().Deployments(namespace).Get(t.Context(), autoscaled, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return *d.Spec.Replicas
	}
	before := replicas()
	upAgain(t)
	if after := replicas(); after < before {
		t.Errorf("`pulumi up` under load: %d replicas before, %d after", before, after)
	} else {
		t.Logf("`pulumi up` under load: %d replicas before, %d after", before, after)
	}
	patience(t, 0, 30)
}

// patience sets how many seconds of load the autoscaler waits for before it grows, and
// how many without before it shrinks. The stack's minute and five minutes are asserted
// without a cluster, and to sit them out would test Kubernetes alone.
func patience(t *testing.T, up, down int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"behavior":{"scaleUp":{"stabilizationWindowSeconds":%d},"scaleDown":{"stabilizationWindowSeconds":%d}}}}`, up, down)
	if _, err := cluster.AutoscalingV2().HorizontalPodAutoscalers(namespace).Patch(t.Context(), autoscaled, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "e2e"}); err != nil {
		t.Fatal(err)
	}
}

// testAutoscalerShrinks waits for what follows the end of the load: half of the pods
// go each minute.
func testAutoscalerShrinks(t *testing.T) {
	eventually(t, 12*time.Minute, "the minimum of API pods", func(ctx context.Context) (string, bool) {
		h := scaler(t)
		return describe(h), h.Status.DesiredReplicas == *h.Spec.MinReplicas && h.Status.CurrentReplicas == *h.Spec.MinReplicas
	})
	patience(t, 60, 300) // as declared, for whoever keeps the stack
	upAgain(t)
}
