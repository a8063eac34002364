//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// testStranger deploys into a namespace that holds somebody's Deployment, ConfigMap and
// ServiceAccount: it is refused, with and without a preview, before anything is changed.
// What is handed over on purpose is the stack's, what is not stays its owner's, through an
// update and a destroy.
func testStranger(t *testing.T) {
	const name = "e2e-theirs"
	ns := another(t, name, small(30380, 30743, "stranger.localhost")...)
	createNamespace(t, ns)
	// Fields of an object that is handed over, which its owner has set otherwise.
	token := true
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "frontend", Labels: map[string]string{"app.kubernetes.io/part-of": "theirs"}}, AutomountServiceAccountToken: &token}
	if _, err := cluster.CoreV1().ServiceAccounts(ns).Create(t.Context(), account, metav1.CreateOptions{FieldManager: "theirs"}); err != nil {
		t.Fatal(err)
	}
	theirs := metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{"app": "theirs"}}
	if _, err := cluster.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: theirs, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	none := int32(0)
	if _, err := cluster.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{ObjectMeta: theirs, Spec: appsv1.DeploymentSpec{
		Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: theirs.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: theirs.Labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "theirs", Image: "theirs.example.com/theirs:1.0.0"}}}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// everything is what there is, each with its UID, and what the namespace says of itself.
	type picture struct {
		objects map[string]types.UID
		labels  map[string]string
	}
	everything := func() picture {
		t.Helper()
		n, err := cluster.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p := picture{map[string]types.UID{"namespace": n.UID}, n.Labels}
		for _, o := range contents(t, ns) {
			p.objects[o] = ""
		}
		c, err := cluster.CoreV1().ConfigMaps(ns).Get(t.Context(), "theirs", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := cluster.AppsV1().Deployments(ns).Get(t.Context(), "theirs", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.objects["configmap/theirs"], p.objects["deployment/theirs"] = c.UID, d.UID
		return p
	}
	// What the Deployment makes is theirs, too.
	eventually(t, time.Minute, "the ReplicaSet of their Deployment", func(ctx context.Context) (string, bool) {
		list, err := cluster.AppsV1().ReplicaSets(ns).List(ctx, metav1.ListOptions{})
		return fmt.Sprint(err), err == nil && len(list.Items) == 1
	})
	held := contents(t, ns)
	before := everything()
	for _, command := range [][]string{{"preview"}, {"up", "--yes", "--skip-preview"}} {
		out, err := try(t, append([]string{"pulumi", "--", command[0], "--stack", name}, command[1:]...)...)
		if err == nil {
			t.Fatalf("pulumi %v took over a stranger's namespace:\n%s", command, last(out, 30))
		}
		for _, want := range []string{"namespace " + ns + " exists and is not of this stack", "it holds deployment/theirs", "takeOver[0]", "createNamespace false"} {
			if !strings.Contains(out, want) {
				t.Errorf("pulumi %v does not say %q:\n%s", command, want, last(out, 30))
			}
		}
		if after := everything(); !reflect.DeepEqual(before, after) {
			t.Errorf("the refused %v changed something: there was %v and is %v", command, before, after)
		}
	}
	if _, err := cluster.SchedulingV1().PriorityClasses().Get(t.Context(), ns+"-stateful", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("PriorityClass of the refused stack: %v, want none", err)
	}
	pulumi(t, "config", "set", "--stack", name, "--path", "takeOver[0]", "Namespace/"+ns)
	out, err := try(t, "pulumi", "--", "preview", "--stack", name)
	if want := "ServiceAccount frontend exists in namespace " + ns; err == nil || !strings.Contains(out, want) {
		t.Errorf("pulumi preview does not say %q: %v\n%s", want, err, last(out, 30))
	}
	pulumi(t, "config", "set", "--stack", name, "--path", "takeOver[1]", "ServiceAccount/frontend")
	t.Log(last(pulumi(t, "preview", "--stack", name), 6))
	if after := everything(); !reflect.DeepEqual(before, after) {
		t.Errorf("a preview changed something: there was %v and is %v", before, after)
	}

	up(t, name)
	settled(t, ns)
	answers(t, outputsOf(t, name))
	theirsStay := func(when string) {
		t.Helper()
		after := everything()
		for _, o := range []string{"namespace", "configmap/theirs", "deployment/theirs"} {
			if before.objects[o] != after.objects[o] {
				t.Errorf("%s: %s is another one than before", when, o)
			}
		}
	}
	theirsStay("after an update")
	taken, err := cluster.CoreV1().ServiceAccounts(ns).Get(t.Context(), "frontend", metav1.GetOptions{})
	if err != nil || *taken.AutomountServiceAccountToken || taken.Labels["app.kubernetes.io/part-of"] != "alphapulse" {
		t.Errorf("the ServiceAccount that was handed over: %+v, %v", taken, err)
	}

	t.Log(last(pulumi(t, "destroy", "--stack", name, "--yes", "--skip-preview"), 4))
	theirsStay("after a destroy")
	want := slices.DeleteFunc(held, func(o string) bool { return o == "serviceaccount/frontend" })
	left := contents(t, ns)
	slices.Sort(want)
	slices.Sort(left)
	if !slices.Equal(left, want) {
		t.Errorf("a destroy has left %v, want %v", left, want)
	}
}
