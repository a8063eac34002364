package workload

import (
	"maps"
	"slices"
	"strconv"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	rbac "k8s.io/api/rbac/v1"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload/rollout"
)

// Placement is where a component's pods are, and what they may do there.
type Placement struct {
	// Namespace to create the objects in.
	Namespace pulumi.StringInput
	// PriorityClass of the pods; nil for the cluster's default.
	PriorityClass pulumi.StringPtrInput
	// ImagePullSecret names a Secret with registry credentials; nil for public images.
	ImagePullSecret pulumi.StringPtrInput
	// Nodes are the ones that the pods may run on; the zero value is for all without taints.
	Nodes Nodes
	// PlatformUsers leaves the numeric users and groups of the pods to the cluster, which
	// has ranges of its own; else they are those that the images are made for.
	PlatformUsers bool
}

// Kind is what creates the pods.
type Kind int

const (
	// Rolling is a Deployment: a new pod is ready before an old one stops.
	Rolling Kind = iota
	// Recreate is a Deployment of one pod that stops before its successor starts.
	Recreate
	// Stateful is a StatefulSet of one pod that stops before its successor starts.
	Stateful
	// Once is a Job: a pod that ends, and is awaited.
	Once
)

// Pod is one set of equal pods.
type Pod struct {
	room.Identity
	Placement
	Kind Kind
	// Replicas of a Rolling one; nil where an autoscaler owns the field.
	Replicas pulumi.IntPtrInput
	// Most is the largest number of replicas that a rollout replaces; 0 means 1.
	Most   int
	Spread Spread
	// Processes are the pod's containers; Init run before them, one after the other.
	Processes, Init []Process
	Volumes         []Volume
	Services        []Service
	// Scrape is where the pod serves metrics; nil where it does not.
	Scrape *room.Scrape
	// Reads are the resources (plural name → API group) of its own namespace that the
	// pod may read; none means that it has no API token.
	Reads map[string]string
	// Rights are what else the pod may do in its own namespace; with any it has a token.
	Rights []rbac.PolicyRule
	// Annotations of the pods: a changed one makes them start anew.
	Annotations map[string]string
	// Members make a Stateful one a set of several pods; nil for a single one.
	Members *Members
	// RevisionHistory is how many old revisions are kept; 0 means 3. Of a Stateful one
	// it can never change.
	RevisionHistory int
	// GoverningService of a Stateful one, the name of one of Services; it can never change.
	GoverningService string
	// Away are labels of pods beside which it does not start, on any node that has one; nil
	// for none.
	Away map[string]string
	// Group is the gid of the volumes; 0 for that of the processes.
	Group int
	// Protect makes Pulumi refuse to delete the StatefulSet, and keep it if the stack is
	// destroyed all the same.
	Protect bool
}

// Created is what others need of a pod's objects.
type Created struct {
	// Workload is the Deployment or StatefulSet, Name its name.
	Workload pulumi.Resource
	Name     pulumi.StringOutput
	// Services are the names of the Services, in order.
	Services []pulumi.StringOutput
	// Objects are the names of the objects of its Files, by the files' names.
	Objects map[string]pulumi.StringOutput
	// Claim names the claim of the Data volume, where there is one, and Claims are those of
	// Members.
	Claim  pulumi.StringOutput
	Claims []pulumi.Resource

	// live are the objects whose files change in place.
	live []pulumi.Resource
}

// grace is terminationGracePeriodSeconds: the pause before the stop, and the stop.
func (p Pod) grace() int { return p.Processes[0].PreStopSeconds + p.Processes[0].GraceSeconds }

// plan is what the rollout depends on.
func (p Pod) plan() rollout.Plan {
	return rollout.Plan{
		Startup: rollout.StartupFor(p.Processes[0].StartupSeconds), Replicas: max(1, p.Most), AtOnce: 1, GraceSeconds: p.grace(),
	}
}

// lookups bounds how long a name is waited for. Of a lost node's DNS pod the cluster is
// told after 40 s (node-monitor-grace-period), and until then a part of all questions goes
// there: with the resolvers' own 5 s a try, connections would take longer than requests.
var lookups = &corev1.PodDNSConfigArgs{Options: corev1.PodDNSConfigOptionArray{
	&corev1.PodDNSConfigOptionArgs{Name: pulumi.String("timeout"), Value: pulumi.String("1")},
	&corev1.PodDNSConfigOptionArgs{Name: pulumi.String("attempts"), Value: pulumi.String("3")},
}}

// template builds the pod template: every workload of every component goes through it,
// so that a hardening is stated once.
func (p Pod) template(account pulumi.StringInput, volumes corev1.VolumeArray) *corev1.PodTemplateSpecArgs {
	spec := &corev1.PodSpecArgs{
		ServiceAccountName:            account,
		AutomountServiceAccountToken:  pulumi.Bool(len(p.Reads)+len(p.Rights) > 0),
		EnableServiceLinks:            pulumi.Bool(false), // generated *_PORT variables would shadow the application's own
		PriorityClassName:             p.PriorityClass,
		TerminationGracePeriodSeconds: pulumi.Int(p.grace()),
		NodeSelector:                  p.Nodes.selector(),
		Tolerations:                   p.Nodes.tolerations(),
		Affinity:                      p.Nodes.affinity(p.apart()),
		TopologySpreadConstraints:     p.spread(),
		SecurityContext:               p.security(),
		DnsConfig:                     lookups,
		InitContainers:                containers(p.Init),
		Containers:                    containers(p.Processes),
		Volumes:                       volumes,
	}
	if p.ImagePullSecret != nil {
		spec.ImagePullSecrets = corev1.LocalObjectReferenceArray{&corev1.LocalObjectReferenceArgs{Name: p.ImagePullSecret}}
	}
	annotations := pulumi.ToStringMap(p.Annotations)
	if p.Scrape != nil {
		annotations["prometheus.io/scrape"] = pulumi.String("true")
		for i, s := range p.Scrape.All() {
			prefix := "prometheus.io/" + room.ScrapePrefixes[i]
			annotations[prefix+"port"] = pulumi.String(strconv.Itoa(s.Port))
			annotations[prefix+"path"] = pulumi.String(s.Path)
			for name, value := range s.Params {
				annotations[prefix+"param-"+name] = pulumi.String(value)
			}
		}
	}
	return &corev1.PodTemplateSpecArgs{
		Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(p.podLabels()), Annotations: annotations},
		Spec:     spec,
	}
}

// security is what all containers of the pod have in common.
func (p Pod) security() *corev1.PodSecurityContextArgs {
	s := &corev1.PodSecurityContextArgs{
		RunAsNonRoot:        pulumi.Bool(true),
		FsGroupChangePolicy: pulumi.String("OnRootMismatch"), // a large volume is not walked at every start
		SeccompProfile:      &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
	}
	if !p.PlatformUsers {
		user := pulumi.Int(p.Processes[0].User)
		s.RunAsUser, s.RunAsGroup, s.FsGroup = user, user, user
		if p.Group != 0 {
			s.FsGroup = pulumi.Int(p.Group)
		}
	}
	return s
}

func containers(processes []Process) corev1.ContainerArray {
	var all corev1.ContainerArray
	for _, p := range processes {
		all = append(all, p.container())
	}
	return all
}

// What a container may write to the node: its logs, which the kubelet rotates, and
// its emptyDirs, each of which has a bound of its own.
const (
	ephemeralRequest = "64Mi"
	ephemeralLimit   = "2Gi"
)

// container renders the process with the hardening that every container carries.
func (p Process) container() *corev1.ContainerArgs {
	c := &corev1.ContainerArgs{
		Name:                     pulumi.String(p.Name),
		Image:                    p.Image,
		ImagePullPolicy:          pulumi.String("IfNotPresent"),
		TerminationMessagePolicy: pulumi.String("FallbackToLogsOnError"),
		EnvFrom:                  p.variablesFrom(),
		Resources: &corev1.ResourceRequirementsArgs{
			Requests: pulumi.StringMap{
				"cpu": pulumi.String(p.Resources.Requests.CPU.String()), "memory": pulumi.String(p.Resources.Requests.Memory.String()),
				"ephemeral-storage": pulumi.String(ephemeralRequest),
			},
			Limits: pulumi.StringMap{
				"cpu": pulumi.String(p.Resources.Limits.CPU.String()), "memory": pulumi.String(p.Resources.Limits.Memory.String()),
				"ephemeral-storage": pulumi.String(ephemeralLimit),
			},
		},
		SecurityContext: &corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false),
			ReadOnlyRootFilesystem:   pulumi.Bool(true),
			RunAsNonRoot:             pulumi.Bool(true),
			Capabilities:             &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
		},
	}
	if p.OwnUser {
		security := c.SecurityContext.(*corev1.SecurityContextArgs)
		security.RunAsUser, security.RunAsGroup = pulumi.Int(p.User), pulumi.Int(p.User)
	}
	if len(p.Command) > 0 {
		c.Command = pulumi.ToStringArray(p.Command)
	}
	if p.Args != nil {
		c.Args = p.Args
	}
	var env corev1.EnvVarArray
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		env = append(env, &corev1.EnvVarArgs{Name: pulumi.String(name), ValueFrom: &corev1.EnvVarSourceArgs{
			FieldRef: &corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String(p.Fields[name])},
		}})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		env = append(env, &corev1.EnvVarArgs{Name: pulumi.String(name), Value: p.Env[name].ToStringOutput()})
	}
	if p.Env != nil || p.Fields != nil {
		c.Env = env
	}
	if p.Sidecar {
		c.RestartPolicy = pulumi.String("Always")
	}
	var ports corev1.ContainerPortArray
	for _, o := range p.Ports {
		ports = append(ports, &corev1.ContainerPortArgs{Name: pulumi.String(o.Name), ContainerPort: pulumi.Int(o.Number)})
	}
	if len(ports) > 0 {
		c.Ports = ports
	}
	var mounts corev1.VolumeMountArray
	for _, m := range p.Mounts {
		args := &corev1.VolumeMountArgs{Name: pulumi.String(m.Volume), MountPath: pulumi.String(m.Path)}
		if m.ReadOnly {
			args.ReadOnly = pulumi.Bool(true)
		}
		mounts = append(mounts, args)
	}
	if len(mounts) > 0 {
		c.VolumeMounts = mounts
	}
	p.probes(c)
	switch {
	case len(p.PreStop) > 0:
		c.Lifecycle = &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{
			Exec: &corev1.ExecActionArgs{Command: pulumi.ToStringArray(p.PreStop)},
		}}
	case p.PreStopSeconds > 0:
		// Native since Kubernetes 1.30: no shell in the image is needed.
		c.Lifecycle = &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{
			Sleep: &corev1.SleepActionArgs{Seconds: pulumi.Int(p.PreStopSeconds)},
		}}
	}
	return c
}

func (p Process) variablesFrom() corev1.EnvFromSourceArrayInput {
	var from corev1.EnvFromSourceArray
	if p.Settings != nil {
		from = append(from, &corev1.EnvFromSourceArgs{ConfigMapRef: &corev1.ConfigMapEnvSourceArgs{Name: p.Settings.ToStringOutput()}})
	}
	if p.Credentials != nil {
		from = append(from, &corev1.EnvFromSourceArgs{SecretRef: &corev1.SecretEnvSourceArgs{Name: p.Credentials.ToStringOutput()}})
	}
	if len(from) == 0 {
		return nil
	}
	return from
}

// probes renders start-up, liveness and readiness. Where liveness and readiness would ask
// the same question, liveness asks for a connection only: a process that cannot answer
// for a while must leave the Service, not be restarted.
func (p Process) probes(c *corev1.ContainerArgs) {
	if p.Ready != nil {
		c.ReadinessProbe = p.Ready.args()
	}
	if p.Alive == nil {
		return
	}
	alive := *p.Alive
	if within := p.answersWithin(); within > 0 {
		startup := alive
		s := rollout.StartupFor(within)
		startup.PeriodSeconds, startup.Failures = s.PeriodSeconds, s.FailureThreshold
		c.StartupProbe = startup.args()
	}
	if p.Ready != nil && alive.Path == p.Ready.Path && alive.Port == p.Ready.Port && len(alive.Command) == 0 {
		alive.Path = ""
	}
	c.LivenessProbe = alive.args()
}

func (p Process) answersWithin() int {
	if p.AnswersWithin > 0 {
		return p.AnswersWithin
	}
	return p.StartupSeconds
}

// args renders the probe; nil for a probe that asks nothing.
func (p Probe) args() *corev1.ProbeArgs {
	args := &corev1.ProbeArgs{
		PeriodSeconds:    pulumi.Int(p.PeriodSeconds),
		TimeoutSeconds:   pulumi.Int(p.TimeoutSeconds),
		FailureThreshold: pulumi.Int(p.Failures),
	}
	switch {
	case len(p.Command) > 0:
		args.Exec = &corev1.ExecActionArgs{Command: pulumi.ToStringArray(p.Command)}
	case p.Path != "":
		ask := &corev1.HTTPGetActionArgs{Path: pulumi.String(p.Path), Port: pulumi.String(p.Port)}
		if p.TLS {
			ask.Scheme = pulumi.String("HTTPS")
		}
		args.HttpGet = ask
	case p.Port != "":
		args.TcpSocket = &corev1.TCPSocketActionArgs{Port: pulumi.String(p.Port)}
	default:
		return nil
	}
	return args
}

// Meta is the metadata of an object that belongs to a workload.
func Meta(name string, namespace pulumi.StringInput, i room.Identity) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name:      pulumi.String(name),
		Namespace: namespace,
		Labels:    pulumi.ToStringMap(i.Labels()),
	}
}

// podLabels are those of the pods.
func (p Pod) podLabels() map[string]string {
	labels := p.Labels()
	if p.Members != nil {
		maps.Copy(labels, p.Members.Labels)
	}
	return labels
}

// selector is the label selector of the pods.
func (p Pod) selector() *metav1.LabelSelectorArgs {
	labels := p.Selector()
	if p.Members != nil {
		maps.Copy(labels, p.Members.Labels)
	}
	return &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(labels)}
}
