package rules_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/scrape"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
)

// onNode is what discovery knows of a port of a pod on a node.
func onNode(name, port, phase, hostIP, node string) model.LabelSet {
	set := pod{name: name, app: "backend", phase: phase, port: port}.discovered()
	set["__meta_kubernetes_pod_host_ip"], set["__meta_kubernetes_pod_node_name"] = model.LabelValue(hostIP), model.LabelValue(node)
	return set
}

// kubelets is the configuration that asks them; nil where there is none.
func kubelets(t *testing.T, p config.Prometheus) *promconfig.ScrapeConfig {
	t.Helper()
	for _, s := range load(t, p).ScrapeConfigs {
		if s.JobName == config.KubeletJob {
			return s
		}
	}
	return nil
}

// The pods of the namespace tell which kubelets there are to ask: each once, however many
// pods and ports there are on its node.
func TestEachKubeletIsAskedOnce(t *testing.T) {
	if kubelets(t, prometheus) != nil {
		t.Error("the kubelets are asked, and nobody said that they may be")
	}
	asking := prometheus
	asking.Kubelets = &config.Kubelets{}
	s := kubelets(t, asking)
	if s == nil {
		t.Fatal("no kubelet is asked")
	}
	var found []string
	targets := map[string]labels.Labels{}
	for _, d := range []model.LabelSet{
		onNode("backend-a", "8000", "Running", "10.1.0.1", "n1"), onNode("backend-a", "8001", "Running", "10.1.0.1", "n1"), onNode("cache-0", "6379", "Running", "10.1.0.1", "n1"),
		onNode("backend-b", "8000", "Running", "10.1.0.2", "n2"), onNode("backend-c", "8000", "Running", "fd00::3", "n3"),
		onNode("backend-d", "8000", "Pending", "", ""), onNode("backup-1", "1", "Succeeded", "10.1.0.9", "gone"),
	} {
		target, err := scrape.PopulateLabels(labels.NewBuilder(labels.EmptyLabels()), s, d, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Prometheus tells targets apart by what is not from discovery.
		kept := labels.NewBuilder(target)
		target.Range(func(l labels.Label) {
			if strings.HasPrefix(l.Name, model.MetaLabelPrefix) {
				kept.Del(l.Name)
			}
		})
		target = kept.Labels()
		if target.IsEmpty() || targets[target.String()].Len() > 0 {
			continue
		}
		targets[target.String()] = target
		found = append(found, target.Get(model.SchemeLabel)+"://"+target.Get(model.AddressLabel)+target.Get(model.MetricsPathLabel)+
			" "+target.Get("job")+" "+target.Get("node")+" "+target.Get("instance"))
		if target.Get("pod")+target.Get("namespace") != "" {
			t.Errorf("%s: labels of the pod that named it would be those of what it tells", target)
		}
	}
	want := []string{
		"https://10.1.0.1:10250/metrics/cadvisor kubelet n1 n1", "https://10.1.0.2:10250/metrics/cadvisor kubelet n2 n2", "https://[fd00::3]:10250/metrics/cadvisor kubelet n3 n3",
	}
	if !slices.Equal(found, want) {
		t.Errorf("asked are\n%q, want\n%q", found, want)
	}
}

// Of what a kubelet tells, that of other namespaces is not kept: the right to ask it was
// given for this one.
func TestOnlyTheNamespacesOwnIsKept(t *testing.T) {
	asking := prometheus
	asking.Kubelets = &config.Kubelets{}
	s := kubelets(t, asking)
	for series, want := range map[string]bool{
		`container_cpu_usage_seconds_total alphapulse-test`:       true,
		`container_network_receive_bytes_total alphapulse-test`:   true,
		`container_cpu_usage_seconds_total alphapulse-test2`:      false,
		`container_cpu_usage_seconds_total an-alphapulse-test`:    false,
		`container_memory_working_set_bytes kube-system`:          false,
		`container_memory_working_set_bytes `:                     false,
		`container_fs_reads_total alphapulse-test`:                false,
		`machine_cpu_cores `:                                      false,
		`container_cpu_usage_seconds_total_more alphapulse-test`:  false,
		`container_cpu_cfs_throttled_periods_total alphapulse-te`: false,
	} {
		name, namespace, _ := strings.Cut(series, " ")
		if keep := relabel.ProcessBuilder(labels.NewBuilder(labels.FromStrings("__name__", name, "namespace", namespace)), s.MetricRelabelConfigs...); keep != want {
			t.Errorf("%s: kept is %v", series, keep)
		}
	}
}

// The account's token goes to who has shown a certificate of the cluster, unless a user says
// that kubelets have none.
func TestKubeletsAreTrustedByTheClustersCA(t *testing.T) {
	for unverified, want := range map[bool]string{false: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", true: ""} {
		asking := prometheus
		asking.Kubelets = &config.Kubelets{Unverified: unverified}
		c := kubelets(t, asking).HTTPClientConfig
		if c.TLSConfig.CAFile != want || c.TLSConfig.InsecureSkipVerify != unverified {
			t.Errorf("unverified %v: %+v", unverified, c.TLSConfig)
		}
		if a := c.Authorization; a == nil || a.Type != "Bearer" || a.CredentialsFile != "/var/run/secrets/kubernetes.io/serviceaccount/token" {
			t.Errorf("unverified %v: the token is of %+v", unverified, a)
		}
	}
}
