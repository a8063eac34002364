package services

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

var host = topology.Local().First()

func TestAddonsAreValid(t *testing.T) {
	objs, err := objects(host, slices.Concat(Rights, Services))
	if err != nil {
		t.Fatal(err)
	}
	var classes, deployments int
	for _, u := range objs {
		if u.GetKind() == "APIService" {
			continue // its types are in no client library
		}
		typed, err := scheme.Scheme.New(u.GroupVersionKind())
		if err != nil {
			t.Errorf("%s %s: %v", u.GetKind(), u.GetName(), err)
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, typed, true); err != nil {
			t.Errorf("%s %s: %v", u.GetKind(), u.GetName(), err)
		}
		switch o := typed.(type) {
		case *storagev1.StorageClass:
			classes++
			if o.Name != plan.StorageClass || o.AllowVolumeExpansion == nil || !*o.AllowVolumeExpansion || o.Annotations["storageclass.kubernetes.io/is-default-class"] != "true" {
				t.Errorf("the StorageClass must be the default one and allow expansion: %+v", o)
			}
		case *rbacv1.ClusterRole:
			for _, r := range o.Rules {
				if slices.Contains(slices.Concat(r.APIGroups, r.Resources, r.Verbs), "*") {
					t.Errorf("ClusterRole %s has a wildcard: %+v", o.Name, r)
				}
			}
		case *appsv1.Deployment:
			deployments++
			for _, c := range o.Spec.Template.Spec.Containers {
				if c.Resources.Requests.Memory().IsZero() || c.SecurityContext == nil || c.SecurityContext.AllowPrivilegeEscalation == nil {
					t.Errorf("%s: no requests or no security context", o.Name)
				}
			}
		}
	}
	if classes != 1 || deployments != 3 {
		t.Errorf("%d StorageClasses, %d Deployments", classes, deployments)
	}
}

// TestImagesExist holds the names that the cluster uses against the table of
// images that are made for it.
func TestImagesExist(t *testing.T) {
	var made []string
	for _, i := range images.Table() {
		if i.Cluster {
			made = append(made, i.Refs...)
		}
	}
	for _, ref := range []string{plan.PauseImage, plan.CoreDNSImage, plan.MetricsServerImage, plan.ProvisionerImage, plan.HelperImage} {
		if !slices.Contains(made, ref) {
			t.Errorf("%s is not among %v", ref, made)
		}
	}
}

func TestUnready(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	before, after := metav1.NewTime(now.Add(-time.Minute)), metav1.NewTime(now.Add(time.Second))
	// world is a cluster in which everything is as it should be.
	world := func() (*corev1.Node, []*appsv1.Deployment, []*corev1.Pod) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: host.Name()}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: after},
		}}}
		names, err := deployments(host)
		if err != nil {
			t.Fatal(err)
		}
		var ds []*appsv1.Deployment
		var ps []*corev1.Pod
		for _, n := range names {
			labels := map[string]string{"app": n.Name}
			ds = append(ds, &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: n.Name, Namespace: n.Namespace, Generation: 2},
				Spec:       appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}},
				Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, UpdatedReplicas: 1},
			})
			ps = append(ps, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: n.Name + "-1", Namespace: n.Namespace, Labels: labels},
				Spec:       corev1.PodSpec{NodeName: host.Name()},
				Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
					{Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: after}}},
				}},
			})
		}
		return node, ds, ps
	}
	for _, c := range []struct {
		name   string
		change func(*corev1.Node, []*appsv1.Deployment, []*corev1.Pod)
		want   string
	}{
		{"all is well", func(*corev1.Node, []*appsv1.Deployment, []*corev1.Pod) {}, ""},
		{"no node", func(n *corev1.Node, _ []*appsv1.Deployment, _ []*corev1.Pod) { n.Name = "x" }, "has not registered"},
		{"node not ready", func(n *corev1.Node, _ []*appsv1.Deployment, _ []*corev1.Pod) {
			n.Status.Conditions[0].Status = corev1.ConditionFalse
		}, "is not ready"},
		{"node ready before the restart", func(n *corev1.Node, _ []*appsv1.Deployment, _ []*corev1.Pod) {
			n.Status.Conditions[0].LastHeartbeatTime = before
		}, "is not ready"},
		{"a deployment is missing", func(_ *corev1.Node, d []*appsv1.Deployment, _ []*corev1.Pod) { d[0].Namespace = "x" }, "was not applied"},
		{"a change is not rolled out", func(_ *corev1.Node, d []*appsv1.Deployment, _ []*corev1.Pod) { d[0].Status.ObservedGeneration = 1 }, "not rolled out"},
		{"no pod", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) { p[0].Labels = nil }, "no pod yet"},
		{"pod not ready", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) {
			p[0].Status.ContainerStatuses[0].Ready = false
		}, "not ready"},
		{"pod ready before the restart", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) {
			p[0].Status.ContainerStatuses[0].State.Running.StartedAt = before
		}, "not started again"},
		{"pod waits", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) {
			p[0].Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}
		}, "ErrImagePull"},
		{"pod on a node that was stopped", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) { p[0].Spec.NodeName = "alphapulse-2" }, "does not run"},
		{"pod on its way out", func(_ *corev1.Node, _ []*appsv1.Deployment, p []*corev1.Pod) {
			p[0].DeletionTimestamp, p[0].Finalizers = &after, []string{"x/y"}
		}, "no pod yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node, ds, ps := world()
			c.change(node, ds, ps)
			objs := []runtime.Object{node}
			for i := range ds {
				objs = append(objs, ds[i], ps[i])
			}
			got, err := Unready(t.Context(), fake.NewClientset(objs...), host.Cluster, map[string]time.Time{host.Name(): now})
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(got, "; "); !strings.Contains(text, c.want) || (c.want == "") != (text == "") {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
