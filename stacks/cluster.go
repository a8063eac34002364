package stacks

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Cluster is what a Kubernetes cluster needs to be told.
type Cluster struct {
	// Namespace of every object.
	Namespace string
	// Kubeconfig is a path or the content; "" for that of whoever runs the program.
	Kubeconfig string
	// Context of the kubeconfig; "" for its current one.
	Context string
	// SpreadRequired is workload.SpreadRequired for every workload of several pods.
	SpreadRequired bool
	// StorageClass of new volumes; "" for the cluster's default.
	StorageClass string
	// EgressCIDRs are what API and engine may reach on TCP 443.
	EgressCIDRs []string
	// CreateNamespace makes the namespace; else it is an administrator's: used, not
	// owned, not labelled, not deleted.
	CreateNamespace bool
	// TakeOver are objects, as Kind/name, that exist and become the stack's.
	TakeOver []string
	// MoveTo is the UID of the cluster that the stack moves to on purpose.
	MoveTo string
	// APIServerPorts are those on which pods reach the API server.
	APIServerPorts []string
	// DNSCIDRs and DNSPorts are where name servers are, beside the usual places.
	DNSCIDRs, DNSPorts []string

	// nodes are those of every pod, and of the rooms that have their own.
	nodes map[string]*nodes

	// AssignUserIDs gives pods the numeric users that their images are made for.
	AssignUserIDs bool

	// uid tells which cluster the stack is on, owner which stack it is; "" where nobody
	// has looked.
	uid, owner string
}

func (s *Stack) clusterSettings(set *settings.Set) {
	c, only, either := &s.Cluster, settings.Only(room.Kubernetes), settings.Only(room.Kubernetes, room.Addons)
	g := set.Group("Kubernetes", "The cluster that the stack runs on.")
	g.Text(&c.Namespace, "namespace", "Namespace of every object; by default alphapulse- and the stack's name. It cannot change later.", only)
	g.Text(&c.Kubeconfig, "kubeconfig", "Path or content of the kubeconfig, the content as a secret; by default KUBECONFIG or ~/.kube/config.", either)
	g.Text(&c.Context, "kubeContext", "Context of the kubeconfig; by default its current one.", either)
	g.Bool(&c.SpreadRequired, "spreadRequired", "Leave a replica pending rather than put two more of a workload on one host than on another that may run it; a single host gets all.", only)
	g.Text(&c.StorageClass, "storageClass", "StorageClass of new volumes; by default the cluster's default class. Existing volumes keep theirs.", only)
	g.List(&c.EgressCIDRs, "egressCidrs", "Networks that API and engine may reach on TCP 443, for exchanges and news; private addresses only where listed explicitly.",
		settings.Each(settings.CIDR), only)
	g.Bool(&c.CreateNamespace, "createNamespace", "Make the namespace; false uses one that an administrator has made, neither labelled nor deleted.", only)
	g.List(&c.TakeOver, "takeOver", "Objects that exist and are handed over to the stack on purpose, as Kind/name; it deletes them when it is destroyed.",
		settings.Each(kindAndName), only)
	g.Text(&c.MoveTo, "clusterMoveTo", "UID of the namespace kube-system of the cluster that the stack moves to on purpose, leaving its data behind.", either)
	g.List(&c.APIServerPorts, "apiServerPorts", "Ports on which pods reach the API server, for the network policies; those that the cluster itself tells are added.",
		settings.Each(portNumber), only)
	g.List(&c.DNSCIDRs, "dnsCidrs", "Networks of name servers beside those that the common distributions have, for the network policies; 0.0.0.0/0 lets pods ask any.",
		settings.Each(settings.CIDR), only)
	g.List(&c.DNSPorts, "dnsPorts", "Ports of the name servers' pods, for the network policies.",
		settings.Each(portNumber), only)
	g.Bool(&c.AssignUserIDs, "assignUserIds", "Give pods the numeric users that their images are made for; false leaves them to the cluster, which has ranges of its own, as OpenShift does. Members of the database keep theirs, 1000, which the server looks up: allow it to the ServiceAccount database there, on OpenShift by the SCC nonroot-v2.", only)
	g.Check(func(p *settings.Problems) {
		if kubeconfigContent(c.Kubeconfig) && !p.Encrypted("kubeconfig") {
			p.Add("kubeconfig", "the content is stored in plain text: set it again with `cat FILE | pulumi config set --secret kubeconfig`, and renew its credentials; only a path may stay plain")
		}
		if s.Target != room.Kubernetes {
			return
		}
		if c.Namespace == "" {
			c.Namespace = prefixed(s.Name)
		}
		if problems := validation.IsDNS1123Label(c.Namespace); len(problems) > 0 {
			p.Add("namespace", "%q cannot be a namespace: %s", c.Namespace, problems[0])
		}
		if c.Namespace == "default" || strings.HasPrefix(c.Namespace, "kube-") {
			p.Add("namespace", "%q belongs to the cluster: choose one of the stack's own", c.Namespace)
		}
		if problems := validation.IsDNS1123Subdomain(c.StorageClass); c.StorageClass != "" && len(problems) > 0 {
			p.Add("storageClass", "%q cannot be a StorageClass: %s", c.StorageClass, problems[0])
		}
	})
}

// kindAndName is for settings.Each.
func kindAndName(v string) error {
	if kind, name, ok := strings.Cut(v, "/"); !ok || kind == "" || name == "" {
		return fmt.Errorf("%q is not the kind and the name of an object: write e.g. Namespace/trading", v)
	} else if !live.Looks(kind) {
		return fmt.Errorf("%q: no object of a stack is of kind %s, which is written as in a manifest: write e.g. Namespace/trading", v, kind)
	}
	return nil
}

// kubeconfigContent tells the content of a kubeconfig from a path: YAML, JSON, or either in
// base64, as some systems hand it out.
func kubeconfigContent(v string) bool {
	plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(v), ""))
	return strings.ContainsAny(v, "\n{") || strings.HasPrefix(v, "apiVersion:") || err == nil && strings.Contains(string(plain), "apiVersion")
}

// portNumber is for settings.Each.
func portNumber(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port: write a number from 1 to 65535", v)
	}
	return nil
}

// numbers are ports that portNumber has let pass.
func numbers(ports []string) []int {
	var all []int
	for _, p := range ports {
		if n, err := strconv.Atoi(p); err == nil {
			all = append(all, n)
		}
	}
	return all
}
