// Package services makes the services that every cluster has, and tells whether they
// answer.
package services

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

//go:embed addons
var addonFiles embed.FS

// Rights and Services are the files of addons in the order in which they are
// applied. Rights have no pod and no image: the node's own processes need them as
// soon as the API server answers.
var (
	Rights   = []string{"rbac.yaml"}
	Services = []string{"coredns.yaml", "storage.yaml", "metrics-server.yaml"}
)

// fieldManager owns the fields of the cluster's services.
const fieldManager = "alphapulse-local"

// Access returns the administrator's access to the cluster, by its kubeconfig.
func Access(kubeconfig string) (*rest.Config, error) {
	b, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(b)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	cfg.QPS, cfg.Burst = 200, 400 // one user, one node
	cfg.Timeout = 10 * time.Second
	return cfg, nil
}

// objects returns the objects of files, in order.
func objects(h topology.Host, files []string) ([]*unstructured.Unstructured, error) {
	var objs []*unstructured.Unstructured
	for _, name := range files {
		b, err := plan.Render(addonFiles, "addons/"+name, h)
		if err != nil {
			return nil, fmt.Errorf("cluster services: %w", err)
		}
		for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), 4096); ; {
			u := &unstructured.Unstructured{}
			if err := d.Decode(&u.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("cluster services: %s: %w", name, err)
			}
			if len(u.Object) > 0 {
				objs = append(objs, u)
			}
		}
	}
	return objs, nil
}

// Apply makes the objects of files what this program says that they are.
func Apply(ctx context.Context, cfg *rest.Config, h topology.Host, files []string) error {
	objs, err := objects(h, files)
	if err != nil {
		return err
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	disc, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disc))
	force := true
	for _, u := range objs {
		gvk := u.GroupVersionKind()
		m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			return fmt.Errorf("%s %s: %w", gvk.Kind, u.GetName(), err)
		}
		b, err := json.Marshal(u)
		if err != nil {
			return err
		}
		var client dynamic.ResourceInterface = dyn.Resource(m.Resource)
		if ns := u.GetNamespace(); ns != "" {
			client = dyn.Resource(m.Resource).Namespace(ns)
		}
		if _, err := client.Patch(ctx, u.GetName(), types.ApplyPatchType, b, metav1.PatchOptions{FieldManager: fieldManager, Force: &force}); err != nil {
			return fmt.Errorf("apply %s %s: %w", gvk.Kind, u.GetName(), err)
		}
	}
	return nil
}

// APIUnready says why the API server is not ready, or nothing.
func APIUnready(ctx context.Context, client kubernetes.Interface) string {
	b, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	switch {
	case err != nil:
		// Of many lines the last says why.
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		return lines[len(lines)-1]
	case string(b) != "ok":
		return string(b)
	}
	return ""
}

// deployments returns the Deployments among the cluster's services.
func deployments(h topology.Host) ([]types.NamespacedName, error) {
	objs, err := objects(h, Services)
	if err != nil {
		return nil, err
	}
	var names []types.NamespacedName
	for _, u := range objs {
		if u.GetKind() == "Deployment" {
			names = append(names, types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()})
		}
	}
	return names, nil
}

// Unready returns, in words, what of the nodes and the cluster's services does not
// answer yet. What the store says of the time before a node was started, by since,
// does not count: after a restart it still tells of pods that ended with the node.
// Nodes that since does not know do not run, and are not asked for.
func Unready(ctx context.Context, client kubernetes.Interface, c topology.Cluster, since map[string]time.Time) ([]string, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var problems []string
	began := map[string]time.Time{}
	for _, h := range c.Hosts() {
		start, ok := since[h.Name()]
		if !ok {
			continue
		}
		began[h.Name()] = start.Truncate(time.Second) // as fine as the API's times
		i := slices.IndexFunc(nodes.Items, func(n corev1.Node) bool { return n.Name == h.Name() })
		switch {
		case i < 0:
			problems = append(problems, "the kubelet has not registered node "+h.Name())
		case !nodeReady(&nodes.Items[i], began[h.Name()]):
			problems = append(problems, "node "+h.Name()+" is not ready")
		}
	}
	if len(problems) == len(began) {
		return problems, nil
	}
	names, err := deployments(c.First())
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		d, err := client.AppsV1().Deployments(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			problems = append(problems, name.Name+" was not applied")
			continue
		}
		if err != nil {
			return nil, err
		}
		pods, err := client.CoreV1().Pods(name.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
		if err != nil {
			return nil, err
		}
		if why := deploymentUnready(d, pods.Items, began); why != "" {
			problems = append(problems, name.Name+": "+why)
		}
	}
	return problems, nil
}

func nodeReady(n *corev1.Node, since time.Time) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue && !c.LastHeartbeatTime.Time.Before(since)
		}
	}
	return false
}

// deploymentUnready says why the Deployment does not serve, or nothing.
func deploymentUnready(d *appsv1.Deployment, pods []corev1.Pod, began map[string]time.Time) string {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	if d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < want {
		return "not rolled out yet"
	}
	ready, why := int32(0), "no pod yet"
	for _, p := range pods {
		if p.DeletionTimestamp != nil {
			continue
		}
		w := "on a node that does not run or is cut off"
		if since, ok := began[p.Spec.NodeName]; ok || p.Spec.NodeName == "" {
			w = podUnready(&p, since)
		}
		if w == "" {
			ready++
		} else {
			why = w
		}
	}
	if ready >= want {
		return ""
	}
	return why
}

func podUnready(p *corev1.Pod, since time.Time) string {
	if len(p.Status.ContainerStatuses) == 0 {
		return "pod " + string(p.Status.Phase)
	}
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return fmt.Sprintf("%s %s", c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Running == nil:
			return "container ended"
		case c.State.Running.StartedAt.Time.Before(since):
			return "not started again yet"
		case !c.Ready:
			return "not ready"
		}
	}
	return ""
}
