package monitoring

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/monitoring/custom"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The paths that answer once the process can serve.
const (
	PrometheusReadyPath   = PrometheusPath + "/-/ready"
	AlertmanagerReadyPath = AlertmanagerPath + "/-/ready"
	GrafanaReadyPath      = "/api/health"
)

// Where Prometheus finds its files and keeps its samples.
const (
	PrometheusConfigPath = "/etc/prometheus"
	PrometheusData       = "/prometheus"
	// OTLPPath is what the signal's path, /v1/metrics, is put after.
	OTLPPath = PrometheusPath + "/api/v1/otlp"

	prometheusFile = "prometheus.yml"
	rulesFile      = "rules.yml"
	remoteCAFile   = "remote-ca.crt"

	// remotePath is the folder of the credential for RemoteWrite.
	remotePath = "/etc/prometheus-remote"
	remoteKey  = "credential"
)

// How long Prometheus may take to answer for the first time, as replaying the
// write-ahead log of a full volume takes minutes, and to stop, in seconds.
const (
	PrometheusStartupSeconds = 600
	PrometheusGraceSeconds   = 120
)

// PrometheusFiles are the files below PrometheusConfigPath. namespace is what a
// receiver of alerts tells two stacks apart by, values what is known only once resources
// exist; targets are those of config.Prometheus.
func (a *Args) PrometheusFiles(namespace string, values rule.Values, targets []config.Target) (map[string]string, error) {
	rendered, err := rule.Render(a.rules(), values)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	files := map[string]string{rulesFile: rendered}
	rules, scrapes := []string{PrometheusConfigPath + "/" + rulesFile}, []string(nil)
	if a.Custom != nil {
		rules = append(rules, placed(files, "rules-", a.Custom.Rules)...)
		scrapes = placed(files, "scrape-", a.Custom.Scrapes)
	}
	remote := a.remoteWrite(files)
	files[prometheusFile], err = config.Prometheus{
		RemoteWrite:      remote,
		OTLP:             a.Prometheus.OTLP,
		Kubelets:         a.Prometheus.Kubelets,
		Namespace:        namespace,
		KubeStateMetrics: a.Watched.KubeStateMetrics,
		Targets:          targets,
		Alertmanager:     a.Watched.Alertmanager,
		AlertmanagerPort: AlertmanagerPort,
		AlertmanagerPath: AlertmanagerPath,
		RuleFiles:        rules,
		ScrapeFiles:      scrapes,
		Retention:        a.Prometheus.Retention,
		RetentionBytes:   retentionBytes(a.Prometheus.Storage),
	}.Render()
	return files, err
}

// remoteWrite is where samples are sent, too; the certificates that it is trusted by become
// one of the files.
func (a *Args) remoteWrite(files map[string]string) *config.RemoteWrite {
	w := a.Prometheus.RemoteWrite
	if w == nil {
		return nil
	}
	to := &config.RemoteWrite{URL: w.URL, Username: w.Username}
	if w.Credential != nil {
		to.CredentialFile = remotePath + "/" + remoteKey
	}
	if w.CA != "" {
		files[remoteCAFile], to.CAFile = w.CA, PrometheusConfigPath+"/"+remoteCAFile
	}
	return to
}

// placed puts the user's own files beside the others, and returns their paths in order.
func placed(files map[string]string, prefix string, own map[string]string) []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(own)) {
		files[prefix+name] = own[name]
		paths = append(paths, PrometheusConfigPath+"/"+prefix+name)
	}
	return paths
}

// PrometheusArguments are the process' arguments.
func (a *Args) PrometheusArguments() pulumi.StringArray {
	all := pulumi.StringArray{
		pulumi.String("--config.file=" + PrometheusConfigPath + "/" + prometheusFile),
		pulumi.String("--storage.tsdb.path=" + PrometheusData),
		pulumi.Sprintf("--web.external-url=%s%s", a.ExternalURL, PrometheusPath),
		pulumi.String("--web.route-prefix=" + PrometheusPath),
		pulumi.Sprintf("--web.listen-address=:%d", PrometheusPort),
		pulumi.String("--log.format=json"),
	}
	if a.Prometheus.OTLP {
		all = append(all, pulumi.String("--web.enable-otlp-receiver"))
	}
	if a.TracesURL != "" {
		all = append(all, pulumi.String("--enable-feature=exemplar-storage"))
	}
	return all
}

func (a *Args) prometheus(name string, on room.Target) (*server, error) {
	var targets []config.Target
	if on == room.DockerHost {
		targets = targetsOf(append(a.Facts(name, on).Workloads, a.Scraped...))
	}
	names, err := a.PrometheusFiles("", rule.Values{}, targets)
	if err != nil {
		return nil, err
	}
	inputs, files := pulumi.All(a.Namespace, a.ExternalURL), pulumi.StringMap{}
	for file := range names {
		files[file] = inputs.ApplyT(func(v []any) (string, error) {
			all, err := a.PrometheusFiles(v[0].(string), a.values(v[1].(string), on), targets)
			return all[file], err
		}).(pulumi.StringOutput)
	}
	s := &server{
		identity: PrometheusOf(name), container: "prometheus", image: a.Images.Prometheus,
		arguments: a.PrometheusArguments(),
		port:      PrometheusPort, resources: a.Prometheus.Resources, user: workload.Nobody,
		dataPath: PrometheusData, storage: a.Prometheus.Storage,
		livenessPath: PrometheusPath + "/-/healthy", readinessPath: PrometheusReadyPath,
		startupSeconds: PrometheusStartupSeconds, graceSeconds: PrometheusGraceSeconds,
		// Prometheus discovers the pods of its own namespace.
		apiReads: map[string]string{"pods": ""},
	}
	s.reads(workload.Folder(&workload.Files{Name: "config", Data: files}), PrometheusConfigPath)
	if w := a.Prometheus.RemoteWrite; w != nil && w.Credential != nil {
		hidden := pulumi.StringMap{remoteKey: pulumi.ToSecret(w.Credential).(pulumi.StringOutput)}
		s.reads(workload.Folder(workload.Hidden("remote", hidden)), remotePath)
	}
	if c := a.Prometheus.Credentials; len(c) > 0 {
		hidden := pulumi.StringMap{}
		for name, value := range c {
			hidden[name] = pulumi.ToSecret(value).(pulumi.StringOutput)
		}
		s.reads(workload.Folder(workload.Hidden("credentials", hidden)), custom.CredentialsPath)
	}
	return s, nil
}

// targetsOf are the containers that serve metrics, each on its own, shown as those of the
// workload that they are about.
func targetsOf(workloads []room.Workload) []config.Target {
	var targets []config.Target
	for _, w := range workloads {
		if w.Scrape == nil {
			continue
		}
		job, members := w.Identity, w.Members
		if w.Scrape.Job != (room.Identity{}) {
			job = w.Scrape.Job
		}
		if len(members) == 0 {
			members = []string{w.Name}
		}
		for _, m := range members {
			pod := m
			if job != w.Identity {
				pod = job.Name
			}
			targets = append(targets, config.Target{
				Job: job.Name, Pod: pod, Component: job.Component,
				Address: net.JoinHostPort(m, strconv.Itoa(w.Scrape.Port)), Path: w.Scrape.Path, Params: w.Scrape.Params,
			})
		}
	}
	return targets
}

// retentionBytes is the size at which Prometheus drops the oldest blocks.
func retentionBytes(storage resource.Quantity) int64 {
	return storage.Value() / 100 * (RetentionShare * 100)
}
