//go:build cluster

package database

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbackrest"
	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
)

// Images of the laboratory.
const (
	haImage     = "docker.io/timescale/timescaledb-ha:pg17.10-ts2.28.2"
	poolerImage = "ghcr.io/cloudnative-pg/pgbouncer:1.26.1"
	agentImage  = "docker.io/alphapulse/agent:0.1.0"
	s3Image     = "docker.io/versity/versitygw:v1.8.0"
)

// Names in the laboratory.
const (
	namespace   = "dblab"
	name        = "database"
	members     = name + "-members"
	readName    = name + "-read"
	poolerName  = name + "-pooler"
	poolerPods  = poolerName + "-pods"
	s3Name      = name + "-backup"
	appDatabase = "alphapulse"
	appRole     = "alphapulse_user"
	volumeRoot  = "/home/postgres/pgdata"
	dataDir     = volumeRoot + "/data"
	binDir      = "/usr/lib/postgresql/17/bin"
	socketDir   = "/var/run/postgresql"
	tlsDir      = "/etc/database-tls"
	agentDir    = "/opt/agent"
	bucket      = "backup"
)

// passwords of the laboratory's roles and parts.
type passwords map[string]string

// plan is what the laboratory deploys.
type plan struct {
	instances int
	poolers   int
	strict    bool
	settings  []patroni.Setting
	passwords passwords
	tls       map[string]map[string]string // by Secret
	revision  string                       // of the members' pods
	// generation is of the volumes: a restore makes a new one.
	generation string
	// login is the application's, and used those that are in use.
	login string
	used  []string
}

// scope names the cluster of this generation.
func (p *plan) scope() string { return name + p.generation }

// ours selects the members of this generation, and more.
func (p *plan) ours(more ...string) map[string]string {
	s := selector(name)
	s[patroni.ScopeLabel] = p.scope()
	for i := 0; i+1 < len(more); i += 2 {
		s[more[i]] = more[i+1]
	}
	return s
}

func repository() pgbackrest.Repository {
	return pgbackrest.Repository{
		Endpoint: s3Name + "." + namespace + ".svc:7070", Bucket: bucket, Region: "us-east-1", PathStyle: true,
		CAFile: pgbackrest.TLSDir + "/ca.crt", Path: "/" + name, Full: 2, Differential: 2,
	}
}

func (p *plan) member() pgbackrest.Member {
	return pgbackrest.Member{
		Stanza: name, Repository: repository(), Server: pgbackrest.Server{DataDir: dataDir, SocketDir: socketDir},
		SpoolDir: volumeRoot + "/spool", QueueMax: 512 << 20,
	}
}

func (p *plan) cluster() patroni.Config {
	member := p.member()
	return patroni.Config{
		Scope: p.scope(), Labels: selector(name), Strict: p.strict, BinDir: binDir, DataDir: dataDir, SocketDir: socketDir,
		Agent: agentDir + "/agent", TLSDir: tlsDir, ReplicationRole: "alphapulse_replicator", RewindRole: "alphapulse_rewinder",
		MonitoringRole: "alphapulse_monitor", ArchiveCommand: member.ArchiveCommand(), Settings: p.settings,
	}
}

func selector(of string) map[string]string { return map[string]string{"app.kubernetes.io/name": of} }

func meta(of string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: of, Namespace: namespace, Labels: labels}
}

// objects are all of the laboratory.
func (p *plan) objects() ([]runtime.Object, error) {
	all := []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}},
		&corev1.ResourceQuota{ObjectMeta: meta("quota", nil), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"pods": resource.MustParse("20"), "limits.memory": resource.MustParse("12Gi"), "limits.cpu": resource.MustParse("40"),
		}}},
	}
	all = append(all, policies()...)
	files, err := p.files()
	if err != nil {
		return nil, err
	}
	return slices.Concat(all, files, p.databaseObjects(), p.poolerObjects(), p.backupObjects()), nil
}

// files are the ConfigMaps and Secrets.
func (p *plan) files() ([]runtime.Object, error) {
	cluster, member := p.cluster(), p.member()
	patroniFile, err := cluster.File()
	if err != nil {
		return nil, err
	}
	dynamic, err := cluster.Dynamic()
	if err != nil {
		return nil, err
	}
	host := pgbackrest.Host{Stanza: name, Repository: repository(), Server: member.Server}
	for i := range p.instances {
		host.Members = append(host.Members, fmt.Sprintf("%s-%d.%s.%s.svc", p.scope(), i, members, namespace))
	}
	secret, err := pgbackrest.Secret(pgbackrest.Secrets{Key: p.passwords["s3key"], KeySecret: p.passwords["s3secret"], Passphrase: p.passwords["cipher"]})
	if err != nil {
		return nil, err
	}
	pools, err := pgbouncer.Size(pgbouncer.Demand{ServerConnections: 100, Reserved: 20, Poolers: 2 * p.poolers, Clients: 200})
	if err != nil {
		return nil, err
	}
	ini, err := (&pgbouncer.Config{
		Database: appDatabase, ReadDatabase: appDatabase + "_read", Role: "alphapulse_pooler", Function: "pooling.lookup",
		Pools: pools, WaitSeconds: 60, TLS: true,
	}).Render()
	if err != nil {
		return nil, err
	}
	roles, err := p.roles()
	if err != nil {
		return nil, err
	}
	config := func(of string, data map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: meta(of, nil), Data: data}
	}
	private := func(of string, data map[string]string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: meta(of, nil), StringData: data}
	}
	all := []runtime.Object{
		config(name+"-patroni", map[string]string{"patroni.yml": patroniFile}),
		config(name+"-dynamic", map[string]string{"dynamic.json": dynamic}),
		config(name+"-pgbackrest", map[string]string{"pgbackrest.conf": member.Render()}),
		config(name+"-pgbackrest-host", map[string]string{"pgbackrest.conf": host.Render()}),
		private(name+"-pgbackrest-secret", map[string]string{"repository.conf": secret}),
		config(name+"-logins", map[string]string{"logins": strings.Join(p.used, "\n") + "\n"}),
		private(name+"-roles", map[string]string{"roles.json": roles}),
		private(name+"-credentials", map[string]string{
			"replication": p.passwords["alphapulse_replicator"], "rewind": p.passwords["alphapulse_rewinder"], "control": p.passwords["control"],
		}),
		private(poolerName, map[string]string{"pgbouncer.ini": ini, "userlist.txt": pgbouncer.Userlist("alphapulse_pooler", p.passwords["alphapulse_pooler"])}),
		private(s3Name, map[string]string{"key": p.passwords["s3key"], "secret": p.passwords["s3secret"]}),
	}
	for _, of := range slices.Sorted(maps.Keys(p.tls)) {
		all = append(all, private(of, p.tls[of]))
	}
	return all, nil
}

// roles declares the logins.
func (p *plan) roles() (string, error) {
	type login struct {
		Name     string `json:"name"`
		Kind     string `json:"kind"`
		Verifier string `json:"verifier"`
	}
	var logins []login
	for _, l := range [][2]string{
		{p.login, "application"}, {"alphapulse_monitor", "monitoring"}, {"alphapulse_pooler", "pooling"},
		{"alphapulse_replicator", "replication"}, {"alphapulse_rewinder", "rewinding"},
	} {
		v, err := database.Verifier(p.passwords[l[0]], "salt of "+l[0])
		if err != nil {
			return "", err
		}
		logins = append(logins, login{l[0], l[1], v})
	}
	raw, err := json.Marshal(map[string]any{"database": appDatabase, "owner": appRole, "logins": logins})
	return string(raw), err
}

func port(n int32) networkingv1.NetworkPolicyPort {
	p := intstr.FromInt32(n)
	return networkingv1.NetworkPolicyPort{Port: &p}
}

// policies: everything is refused but what the parts need. The machine itself may reach
// all of them, since the tests do.
func policies() []runtime.Object {
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	peer := func(of ...string) []networkingv1.NetworkPolicyPeer {
		var peers []networkingv1.NetworkPolicyPeer
		for _, o := range of {
			peers = append(peers, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: selector(o)}})
		}
		return peers
	}
	udp := corev1.ProtocolUDP
	dns := networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &intstr.IntOrString{IntVal: 53}}, port(53)}}
	api := networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{port(443), port(6443)}}
	to := func(ports []int32, of ...string) networkingv1.NetworkPolicyEgressRule {
		rule := networkingv1.NetworkPolicyEgressRule{To: peer(of...)}
		for _, p := range ports {
			rule.Ports = append(rule.Ports, port(p))
		}
		return rule
	}
	from := func(ports []int32, of ...string) networkingv1.NetworkPolicyIngressRule {
		rule := networkingv1.NetworkPolicyIngressRule{From: peer(of...)}
		for _, p := range ports {
			rule.Ports = append(rule.Ports, port(p))
		}
		return rule
	}
	machine := networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.250.0.0/24"}}}}
	policy := func(of string, in []networkingv1.NetworkPolicyIngressRule, out []networkingv1.NetworkPolicyEgressRule) runtime.Object {
		return &networkingv1.NetworkPolicy{ObjectMeta: meta(of, nil), Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selector(of)}, PolicyTypes: both, Ingress: in, Egress: out,
		}}
	}
	return []runtime.Object{
		&networkingv1.NetworkPolicy{ObjectMeta: meta("deny", nil), Spec: networkingv1.NetworkPolicySpec{PolicyTypes: both}},
		policy(name,
			[]networkingv1.NetworkPolicyIngressRule{machine, from([]int32{5432, 8008}, name, poolerName), from([]int32{5432, 8432}, jobName)},
			[]networkingv1.NetworkPolicyEgressRule{dns, api, to([]int32{5432, 8008}, name), to([]int32{8009}, poolerName), to([]int32{7070}, s3Name)}),
		policy(poolerName,
			[]networkingv1.NetworkPolicyIngressRule{machine, from([]int32{8009}, name)},
			[]networkingv1.NetworkPolicyEgressRule{dns, to([]int32{5432, 8008}, name)}),
		policy(s3Name, []networkingv1.NetworkPolicyIngressRule{machine, from([]int32{7070}, name, jobName)}, nil),
		policy(jobName, nil, []networkingv1.NetworkPolicyEgressRule{dns, to([]int32{5432, 8432}, name), to([]int32{7070}, s3Name)}),
	}
}

func podSecurity(uid, gid int64) *corev1.PodSecurityContext {
	yes, policy := true, corev1.FSGroupChangeOnRootMismatch
	return &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &uid, RunAsGroup: &gid, FSGroup: &gid, FSGroupChangePolicy: &policy,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// container completes one.
func container(c corev1.Container, request, cpu, memory string) corev1.Container {
	yes, no := true, false
	c.ImagePullPolicy = corev1.PullIfNotPresent
	c.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	c.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse(request)},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse(memory)},
	}
	return c
}

func mount(of, path string) corev1.VolumeMount { return corev1.VolumeMount{Name: of, MountPath: path} }

func secretVolume(of, secret string) corev1.Volume {
	mode := int32(0o440)
	return corev1.Volume{Name: of, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: &mode}}}
}

func configVolume(of, config string) corev1.Volume {
	return corev1.Volume{Name: of, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: config}}}}
}

func emptyVolume(of string, medium corev1.StorageMedium) corev1.Volume {
	return corev1.Volume{Name: of, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium}}}
}

func env(of, value string) corev1.EnvVar { return corev1.EnvVar{Name: of, Value: value} }

func fieldEnv(of, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: of, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func secretEnv(of, secret, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: of, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}}}
}

func envs(values map[string]string) []corev1.EnvVar {
	var list []corev1.EnvVar
	for _, k := range slices.Sorted(maps.Keys(values)) {
		list = append(list, env(k, values[k]))
	}
	return list
}

func httpProbe(path string, port int32, period, timeout, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port)}},
		PeriodSeconds: period, TimeoutSeconds: timeout, FailureThreshold: failures,
	}
}

func service(of string, selects map[string]string, headless, early bool, ports ...int32) *corev1.Service {
	s := &corev1.Service{ObjectMeta: meta(of, nil), Spec: corev1.ServiceSpec{Selector: selects, PublishNotReadyAddresses: early}}
	if headless {
		s.Spec.ClusterIP = corev1.ClusterIPNone
	}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", p), Port: p, TargetPort: intstr.FromInt32(p)})
	}
	return s
}
