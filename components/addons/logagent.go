package addons

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
	"github.com/alphapulse/alphapulse-infra/components/workload/content"
)

// LogAgentArgs are the arguments of the agent that reads the log files of each node.
type LogAgentArgs struct {
	// Image of the OpenTelemetry Collector, contrib distribution.
	Image pulumi.StringInput
	// Resources of the pod on each node.
	Resources room.Resources
	// Namespace is made for it. Pods that see the nodes' files are allowed in there.
	Namespace string
	// Owner names the stack in the annotation platform.OwnerAnnotation; "" for none.
	Owner string
	// Gateways take the lines of a namespace, by its name: http://HOST:PORT of OTLP. Of
	// namespaces that are not named nothing is read.
	Gateways map[string]string
	// GatewayPort is that of the gateways' pods.
	GatewayPort int
	// Exclude are containers that are not read, as PODS/CONTAINERS with * for any
	// characters: those that send their lines themselves. With OfStdout behind it
	// what they write to stderr is read all the same.
	Exclude []string
}

// LogAgentDefaults have upstream's image, pinned.
func LogAgentDefaults() LogAgentArgs {
	return LogAgentArgs{
		Image:     pulumi.String("docker.io/otel/opentelemetry-collector-contrib:0.165.1"),
		Resources: room.ResourcesOf("50m", "96Mi", "500m", "256Mi"), Namespace: "log-agent",
	}
}

// The agent's folders on the node, and its files.
const (
	nodeLogs       = "/var/log/pods"
	nodePositions  = "/var/lib/alphapulse-log-agent"
	agentConfig    = "/etc/otelcol-contrib"
	agentFile      = "config.yaml"
	agentHealth    = 13133
	agentGraceSecs = 30
)

// OfStdout behind one of Exclude leaves it to what is written to stdout.
const OfStdout = config.OfStdout

var excluded = regexp.MustCompile(`^[a-z0-9*-]+/[a-z0-9*-]+(?:` + OfStdout + `)?$`)

// ExcludedContainers is what one of Exclude has to be.
func ExcludedContainers(v string) error {
	if !excluded.MatchString(v) {
		return fmt.Errorf("%q does not name pods and containers: write e.g. edge-*/nginx, or backend-*/*:stdout", v)
	}
	return nil
}

// Validate reports everything that is wrong with the arguments.
func (a LogAgentArgs) Validate() error {
	var errs []error
	for _, namespace := range append(slices.Sorted(maps.Keys(a.Gateways)), a.Namespace) {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("namespace %q: %s", namespace, problems[0]))
		}
	}
	if len(a.Gateways) == 0 {
		errs = append(errs, errors.New("gateways: none is named, and nothing would be read"))
	}
	for _, e := range a.Exclude {
		errs = append(errs, ExcludedContainers(e))
	}
	errs = append(errs, a.Resources.Validate())
	return errors.Join(errs...)
}

// Config is the agent's file.
func (a LogAgentArgs) Config() (string, error) {
	return config.Agent{Gateways: a.Gateways, Exclude: a.Exclude, Logs: nodeLogs, Positions: nodePositions, HealthPort: agentHealth}.Render()
}

// LogAgent reads the log files of every node.
type LogAgent struct {
	pulumi.ResourceState

	// Namespace is known when all of it runs.
	Namespace pulumi.StringOutput
}

// NewLogAgent creates a namespace, and in it one pod on every node. It asks the API server
// for nothing.
func NewLogAgent(ctx *pulumi.Context, name string, args *LogAgentArgs, opts ...pulumi.ResourceOption) (*LogAgent, error) {
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("log agent %s: %w", name, err)
	}
	file, err := args.Config()
	if err != nil {
		return nil, fmt.Errorf("log agent %s: %w", name, err)
	}
	l := &LogAgent{}
	if err := ctx.RegisterComponentResource("alphapulse:index:LogAgent", name, l, opts...); err != nil {
		return nil, err
	}
	parent, i := pulumi.Parent(l), room.Identity{Name: name, Instance: name, Component: "logs"}
	ns, err := owned(ctx, name, args.Namespace, args.Owner, privileged(i.Labels()), parent)
	if err != nil {
		return nil, err
	}
	namespace := ns.Metadata.Name().Elem()
	object := &metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: namespace, Labels: pulumi.ToStringMap(i.Labels())}
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{Metadata: object, AutomountServiceAccountToken: pulumi.Bool(false)}, parent)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	files, err := content.ConfigMap(ctx, name, namespace, i, pulumi.StringMap{agentFile: pulumi.String(file)}, parent)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	policy, err := networkingv1.NewNetworkPolicy(ctx, name, &networkingv1.NetworkPolicyArgs{Metadata: object, Spec: args.reach()}, parent)
	if err != nil {
		return nil, fmt.Errorf("network policy: %w", err)
	}
	set, err := appsv1.NewDaemonSet(ctx, name, &appsv1.DaemonSetArgs{Metadata: object, Spec: &appsv1.DaemonSetSpecArgs{
		Selector:       &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(i.Selector())},
		UpdateStrategy: &appsv1.DaemonSetUpdateStrategyArgs{Type: pulumi.String("RollingUpdate"), RollingUpdate: &appsv1.RollingUpdateDaemonSetArgs{MaxUnavailable: pulumi.String("100%")}},
		Template: &corev1.PodTemplateSpecArgs{
			Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(i.Labels())},
			Spec:     args.pod(account.Metadata.Name().Elem(), files),
		},
	}}, parent, pulumi.DependsOn([]pulumi.Resource{policy}))
	if err != nil {
		return nil, fmt.Errorf("pods: %w", err)
	}
	l.Namespace = pulumi.All(namespace, set.ID()).ApplyT(func(v []any) string { return v[0].(string) }).(pulumi.StringOutput)
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{"namespace": l.Namespace})
}

// privileged are the labels of a namespace whose pods may see folders of the node, which
// even the standard baseline forbids.
func privileged(labels map[string]string) pulumi.StringMap {
	all := platform.Restricted(labels)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		all["pod-security.kubernetes.io/"+mode] = pulumi.String("privileged")
	}
	return all
}

// reach lets nobody in, and out to the gateways and to any name server alone.
func (a *LogAgentArgs) reach() *networkingv1.NetworkPolicySpecArgs {
	var to networkingv1.NetworkPolicyPeerArray
	for _, namespace := range slices.Sorted(maps.Keys(a.Gateways)) {
		to = append(to, &networkingv1.NetworkPolicyPeerArgs{NamespaceSelector: &metav1.LabelSelectorArgs{
			MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String(namespace)},
		}})
	}
	port := func(protocol string, number int) *networkingv1.NetworkPolicyPortArgs {
		return &networkingv1.NetworkPolicyPortArgs{Protocol: pulumi.String(protocol), Port: pulumi.Int(number)}
	}
	return &networkingv1.NetworkPolicySpecArgs{
		PodSelector: &metav1.LabelSelectorArgs{},
		PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
		Egress: networkingv1.NetworkPolicyEgressRuleArray{
			&networkingv1.NetworkPolicyEgressRuleArgs{To: to, Ports: networkingv1.NetworkPolicyPortArray{port("TCP", a.GatewayPort)}},
			&networkingv1.NetworkPolicyEgressRuleArgs{Ports: networkingv1.NetworkPolicyPortArray{
				port("UDP", 53), port("TCP", 53), port("UDP", 5353), port("TCP", 5353), // OpenShift's
			}},
		},
	}
}

// pod is one of a node. It is root, as the kubelet's files are root's, with no capability
// and nothing of the node but that folder, which it cannot write to.
func (a *LogAgentArgs) pod(account, files pulumi.StringInput) *corev1.PodSpecArgs {
	amounts := func(of room.Amounts) pulumi.StringMap {
		return pulumi.StringMap{"cpu": pulumi.String(of.CPU.String()), "memory": pulumi.String(of.Memory.String())}
	}
	folder := func(name, path, kind string) *corev1.VolumeArgs {
		return &corev1.VolumeArgs{Name: pulumi.String(name), HostPath: &corev1.HostPathVolumeSourceArgs{Path: pulumi.String(path), Type: pulumi.String(kind)}}
	}
	mount := func(name, path string, readOnly bool) *corev1.VolumeMountArgs {
		return &corev1.VolumeMountArgs{Name: pulumi.String(name), MountPath: pulumi.String(path), ReadOnly: pulumi.Bool(readOnly)}
	}
	answers := &corev1.HTTPGetActionArgs{Path: pulumi.String("/"), Port: pulumi.Int(agentHealth)}
	return &corev1.PodSpecArgs{
		ServiceAccountName: account, AutomountServiceAccountToken: pulumi.Bool(false), EnableServiceLinks: pulumi.Bool(false),
		TerminationGracePeriodSeconds: pulumi.Int(agentGraceSecs),
		// Every node has lines.
		Tolerations: corev1.TolerationArray{&corev1.TolerationArgs{Operator: pulumi.String("Exists")}},
		SecurityContext: &corev1.PodSecurityContextArgs{
			SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		Containers: corev1.ContainerArray{&corev1.ContainerArgs{
			Name: pulumi.String("collector"), Image: a.Image, Args: pulumi.ToStringArray([]string{"--config=" + agentConfig + "/" + agentFile, config.TakenFirst}),
			Env: corev1.EnvVarArray{
				&corev1.EnvVarArgs{Name: pulumi.String("GOMEMLIMIT"), Value: pulumi.Sprintf("%dMiB", a.Resources.Limits.Memory.Value()/5*4>>20)},
				&corev1.EnvVarArgs{Name: pulumi.String("NODE_NAME"), ValueFrom: &corev1.EnvVarSourceArgs{FieldRef: &corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String("spec.nodeName")}}},
			},
			Resources: &corev1.ResourceRequirementsArgs{Requests: amounts(a.Resources.Requests), Limits: amounts(a.Resources.Limits)},
			SecurityContext: &corev1.SecurityContextArgs{
				RunAsUser: pulumi.Int(0), RunAsGroup: pulumi.Int(0), AllowPrivilegeEscalation: pulumi.Bool(false), ReadOnlyRootFilesystem: pulumi.Bool(true),
				Capabilities: &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
			},
			StartupProbe:  &corev1.ProbeArgs{HttpGet: answers, PeriodSeconds: pulumi.Int(2), TimeoutSeconds: pulumi.Int(5), FailureThreshold: pulumi.Int(60)},
			LivenessProbe: &corev1.ProbeArgs{HttpGet: answers, PeriodSeconds: pulumi.Int(30), TimeoutSeconds: pulumi.Int(5), FailureThreshold: pulumi.Int(3)},
			VolumeMounts:  corev1.VolumeMountArray{mount("logs", nodeLogs, true), mount("positions", nodePositions, false), mount("config", agentConfig, true)},
		}},
		Volumes: corev1.VolumeArray{
			folder("logs", nodeLogs, "Directory"), folder("positions", nodePositions, "DirectoryOrCreate"),
			&corev1.VolumeArgs{Name: pulumi.String("config"), ConfigMap: &corev1.ConfigMapVolumeSourceArgs{Name: files}},
		},
	}
}
