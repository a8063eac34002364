// Package live asks the cluster that a stack is about to change what has to be known
// before anything is: which cluster it is, and what is there already. It changes nothing.
package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// timeout of every question: a cluster that does not answer must not hold a preview up.
const timeout = 10 * time.Second

// Cluster is one that answers.
type Cluster struct {
	client dynamic.Interface
}

// Connect finds the cluster as Pulumi's provider does: kubeconfig is a path or a content,
// "" for KUBECONFIG, ~/.kube/config or the account of the pod that this is; kubeContext ""
// is the current one. Nothing is asked yet.
func Connect(kubeconfig, kubeContext string) (*Cluster, error) {
	config, err := restConfig(kubeconfig, kubeContext)
	if err != nil {
		return nil, err
	}
	config.Timeout = timeout
	config.QPS, config.Burst = -1, 0 // a hundred questions at once, in one go: the server bounds them itself
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return New(client), nil
}

// New is a cluster behind a client.
func New(client dynamic.Interface) *Cluster { return &Cluster{client: client} }

func restConfig(kubeconfig, kubeContext string) (*rest.Config, error) {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubeContext}
	if kubeconfig == "" {
		return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), overrides).ClientConfig()
	}
	if _, err := os.Stat(kubeconfig); err == nil {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
		return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	}
	file, err := clientcmd.Load([]byte(kubeconfig))
	if err != nil {
		return nil, errors.New("kubeconfig is neither a file nor the content of one") // a secret: not repeated here
	}
	return clientcmd.NewNonInteractiveClientConfig(*file, kubeContext, overrides, nil).ClientConfig()
}

var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	endpoints   = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	classes     = schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}
)

// UID tells clusters apart: that of the namespace kube-system, which lives as long as the
// cluster does. It is "" where the user may not see that.
func (c *Cluster) UID(ctx context.Context) (string, error) {
	object, err := c.client.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(object.GetUID()), nil
}

// APIServerPorts are the ports on which pods reach the API server once a Service's address
// has been translated; nil where the user may not see that.
func (c *Cluster) APIServerPorts(ctx context.Context) ([]int, error) {
	slices_, err := c.client.Resource(endpoints).Namespace(metav1.NamespaceDefault).
		List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ports []int
	for _, s := range slices_.Items {
		list, _, err := unstructured.NestedSlice(s.Object, "ports")
		if err != nil {
			return nil, fmt.Errorf("endpoints of the API server: %w", err)
		}
		for _, p := range list {
			if n, ok, _ := unstructured.NestedInt64(p.(map[string]any), "port"); ok && !slices.Contains(ports, int(n)) {
				ports = append(ports, int(n))
			}
		}
	}
	slices.Sort(ports)
	return ports, nil
}

// FixedClass is the StorageClass of a claim that cannot grow; "" where it can, where there
// is no such claim or class, and where the user may not see that.
func (c *Cluster) FixedClass(ctx context.Context, namespace, claim string) (string, error) {
	object, err := c.client.Resource(kinds["PersistentVolumeClaim"]).Namespace(namespace).Get(ctx, claim, metav1.GetOptions{})
	if err != nil {
		return "", unseen(err)
	}
	name, _, err := unstructured.NestedString(object.Object, "spec", "storageClassName")
	if err != nil || name == "" {
		return "", err
	}
	class, err := c.client.Resource(classes).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", unseen(err)
	}
	if grows, _, err := unstructured.NestedBool(class.Object, "allowVolumeExpansion"); err != nil || grows {
		return "", err
	}
	return name, nil
}

// unseen is nil for what is not there, or may not be seen.
func unseen(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// NameServers are the addresses of the cluster's DNS Service, as networks; nil where the
// user may not see it. A cache on each node answers at that very address, so that it is
// what a network policy sees.
func (c *Cluster) NameServers(ctx context.Context) ([]string, error) {
	list, err := c.client.Resource(kinds["Service"]).Namespace(metav1.NamespaceSystem).
		List(ctx, metav1.ListOptions{LabelSelector: "k8s-app in (kube-dns,coredns)"})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var networks []string
	for _, s := range list.Items {
		addresses, _, err := unstructured.NestedStringSlice(s.Object, "spec", "clusterIPs")
		if err != nil {
			return nil, fmt.Errorf("the Service %s: %w", s.GetName(), err)
		}
		for _, a := range addresses {
			if ip, err := netip.ParseAddr(a); err == nil { // not that of a headless one, "None"
				networks = append(networks, netip.PrefixFrom(ip, ip.BitLen()).String())
			}
		}
	}
	slices.Sort(networks)
	return slices.Compact(networks), nil
}

// Object is one that is there.
type Object struct {
	Name                string
	Labels, Annotations map[string]string
}

// kinds are the resources of the kinds that the program creates, or looks for.
var kinds = map[string]schema.GroupVersionResource{
	"Namespace":               namespaces,
	"PriorityClass":           {Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"},
	"ConfigMap":               {Version: "v1", Resource: "configmaps"},
	"Secret":                  {Version: "v1", Resource: "secrets"},
	"Service":                 {Version: "v1", Resource: "services"},
	"ServiceAccount":          {Version: "v1", Resource: "serviceaccounts"},
	"PersistentVolumeClaim":   {Version: "v1", Resource: "persistentvolumeclaims"},
	"ResourceQuota":           {Version: "v1", Resource: "resourcequotas"},
	"LimitRange":              {Version: "v1", Resource: "limitranges"},
	"Deployment":              {Group: "apps", Version: "v1", Resource: "deployments"},
	"StatefulSet":             {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"HorizontalPodAutoscaler": {Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	"PodDisruptionBudget":     {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"NetworkPolicy":           {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"GatewayClass":            {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"},
	"IngressClass":            {Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"},
	"Gateway":                 {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	"HTTPRoute":               {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	"TLSRoute":                {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "tlsroutes"},
	"BackendTLSPolicy":        {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "backendtlspolicies"},
	"Ingress":                 {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"Job":                     {Group: "batch", Version: "v1", Resource: "jobs"},
	"CronJob":                 {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"Role":                    {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"Certificate":             {Group: "cert-manager.io", Version: "v1", Resource: "certificates"},
	"PodMonitor":              {Group: "monitoring.coreos.com", Version: "v1", Resource: "podmonitors"},
	"ServiceMonitor":          {Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	"PrometheusRule":          {Group: "monitoring.coreos.com", Version: "v1", Resource: "prometheusrules"},
	"RoleBinding":             {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"ClusterRole":             {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding":      {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

// clusterScoped kinds are in no namespace.
var clusterScoped = []string{"Namespace", "PriorityClass", "GatewayClass", "IngressClass", "ClusterRole", "ClusterRoleBinding"}

// Looks tells whether objects of a kind are looked for before they are created.
func Looks(kind string) bool { _, ok := kinds[kind]; return ok }

// Get finds an object; nil where there is none, or where the user may not see it.
func (c *Cluster) Get(ctx context.Context, kind, namespace, name string) (*Object, error) {
	resource, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("kind %s is none that the program looks for: add it to package live", kind)
	}
	var client dynamic.ResourceInterface = c.client.Resource(resource)
	if !slices.Contains(clusterScoped, kind) {
		client = c.client.Resource(resource).Namespace(namespace)
	}
	object, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Object{Name: object.GetName(), Labels: object.GetLabels(), Annotations: object.GetAnnotations()}, nil
}

// Definitions are the custom resource definitions of groups of APIs; nil where the user may
// not see them.
func (c *Cluster) Definitions(ctx context.Context, groups ...string) ([]Object, error) {
	list, err := c.client.Resource(definitions).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, unseen(err)
	}
	var found []Object
	for _, d := range list.Items {
		// Its name is that of the resource, a dot, and the group.
		if _, group, _ := strings.Cut(d.GetName(), "."); slices.Contains(groups, group) {
			found = append(found, Object{Name: d.GetName(), Labels: d.GetLabels(), Annotations: d.GetAnnotations()})
		}
	}
	return found, nil
}

// Unserved are those of some kinds, in order, that the cluster does not know. One that the
// user may not see counts as known.
func (c *Cluster) Unserved(ctx context.Context, namespace string, of iter.Seq[string]) ([]string, error) {
	var missing []string
	for _, kind := range slices.Sorted(of) {
		served, err := c.Serves(ctx, kind, namespace)
		if err != nil {
			return nil, err
		}
		if !served {
			missing = append(missing, kind)
		}
	}
	return missing, nil
}

// Serves tells whether the cluster knows a kind; true where the user may not see that.
func (c *Cluster) Serves(ctx context.Context, kind, namespace string) (bool, error) {
	resource, ok := kinds[kind]
	if !ok {
		return false, fmt.Errorf("kind %s is none that the program looks for: add it to package live", kind)
	}
	_, err := c.client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if apierrors.IsForbidden(err) {
		return true, nil
	}
	return err == nil, err
}

// Holds names up to three objects that a namespace holds beside those that every one has.
func (c *Cluster) Holds(ctx context.Context, namespace string) ([]string, error) {
	var held []string
	for _, kind := range []string{
		"Deployment", "StatefulSet", "PersistentVolumeClaim", "Service", "Secret", "ConfigMap", "ServiceAccount", "Role", "NetworkPolicy",
	} {
		list, err := c.client.Resource(kinds[kind]).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 5})
		if apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, o := range list.Items {
			if kind == "ConfigMap" && o.GetName() == "kube-root-ca.crt" || kind == "ServiceAccount" && o.GetName() == "default" {
				continue
			}
			// cert-manager leaves a certificate to its successor.
			if _, issued := o.GetAnnotations()["cert-manager.io/certificate-name"]; kind == "Secret" && issued {
				continue
			}
			held = append(held, strings.ToLower(kind)+"/"+o.GetName())
			if len(held) == 3 {
				return held, nil
			}
		}
	}
	return held, nil
}
