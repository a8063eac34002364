// Package frontend runs the UI: any HTTP server that serves the built pages on one
// port. What the pages need to know at run time comes as environment.
package frontend

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/netedge"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
	"github.com/alphapulse/alphapulse-infra/components/internal/sizing"
)

// DefaultPort is the port that the UI's images listen on.
const DefaultPort = 3000

// User is the numeric uid of the UI's images: they set USER by name, which
// runAsNonRoot cannot check.
const User = 1001

// preStopSeconds is how long a stopping pod keeps serving while its removal from the
// endpoints reaches the edge: its resolver's and the cluster DNS' caches together.
const preStopSeconds = 10

// DrainSeconds is what the server may need for its last requests.
const DrainSeconds = 15

// Args configure a Frontend.
type Args struct {
	// Namespace to create the objects in.
	Namespace pulumi.StringInput
	// Image reference, with a tag or digest.
	Image pulumi.StringInput
	// Port that the server listens on, given to it as PORT; 0 means DefaultPort.
	Port int
	// Env are the run-time settings of the UI. They are public: browsers read them.
	Env map[string]string
	// LivenessPath and ReadinessPath; "" means "/healthz".
	LivenessPath, ReadinessPath string
	// MetricsPath is scraped by Prometheus; "" when the build serves no metrics.
	MetricsPath string
	// StartupSeconds is how long the server may take to answer for the first time;
	// 0 means 60.
	StartupSeconds int
	// Replicas; 0 means 2.
	Replicas int
	// Resources of one pod; the zero value takes DefaultResources.
	Resources sizing.Resources
	// SpreadRequired leaves a pod pending rather than put two on one host.
	SpreadRequired bool
	// PriorityClass of the pods; nil for the cluster's default.
	PriorityClass pulumi.StringPtrInput
	// ImagePullSecret names a Secret with registry credentials; nil for public images.
	ImagePullSecret pulumi.StringPtrInput
}

// Writable are the paths that the UI's images write to under a read-only root; the
// second is where a Next.js server keeps its cache.
var Writable = map[string]string{"tmp": "/tmp", "next-cache": "/app/.next/cache"}

// DefaultResources of one pod.
var DefaultResources = sizing.Of("250m", "512Mi", "500m", "1Gi")

// Validated is a copy with every default filled in, or all that is wrong.
func (a *Args) Validated() (*Args, error) {
	d := a.withDefaults()
	return d, d.validate()
}

// withDefaults gives a copy with every default filled in.
func (a *Args) withDefaults() *Args {
	d := *a
	if d.Port == 0 {
		d.Port = DefaultPort
	}
	if d.LivenessPath == "" {
		d.LivenessPath = "/healthz"
	}
	if d.ReadinessPath == "" {
		d.ReadinessPath = "/healthz"
	}
	if d.StartupSeconds == 0 {
		d.StartupSeconds = 60
	}
	if d.Replicas == 0 {
		d.Replicas = 2
	}
	if d.Resources == (sizing.Resources{}) {
		d.Resources = DefaultResources
	}
	return &d
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// validate expects the defaults to be filled in.
func (a *Args) validate() error {
	var problems []error
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf("frontend: "+format, v...)) }
	if a.Namespace == nil {
		problem("Namespace is missing: pass the namespace to create the objects in")
	}
	if a.Image == nil {
		problem("Image is missing")
	}
	// Below 1024 a port needs a capability that the pods do not have everywhere.
	if a.Port < 1024 || a.Port > 65535 {
		problem("Port %d: want a port from 1024 to 65535", a.Port)
	}
	for _, p := range []struct{ name, path string }{
		{"LivenessPath", a.LivenessPath}, {"ReadinessPath", a.ReadinessPath}, {"MetricsPath", a.MetricsPath},
	} {
		if p.path != "" && !strings.HasPrefix(p.path, "/") {
			problem("%s %q: start it with a slash", p.name, p.path)
		}
	}
	if a.StartupSeconds < 1 {
		problem("StartupSeconds %d: want at least 1", a.StartupSeconds)
	}
	if a.Replicas < 1 {
		problem("Replicas %d: want at least 1", a.Replicas)
	}
	for k := range a.Env {
		if !variable.MatchString(k) {
			problem("Env: %q is no variable name: use letters, digits and underscores", k)
		}
		if k == "PORT" {
			problem("Env: PORT follows from Port: set that")
		}
	}
	if err := a.Resources.Validate(); err != nil {
		problem("Resources: %w", err)
	}
	return errors.Join(problems...)
}

// Demands is what the UI needs of the quota in a rollout.
func (a *Args) Demands(name string) []sizing.Demand {
	d := a.withDefaults()
	return []sizing.Demand{{
		Workload: name, Replicas: d.Replicas, Surge: 1,
		Containers: []sizing.Resources{d.Resources}, Services: 2,
	}}
}

// Workload is the identity of the UI's pods, known before they exist.
func Workload(name string) netedge.Workload {
	l := uiLabels(name)
	return netedge.Workload{Name: l.Name, Selector: l.Selector()}
}

func uiLabels(name string) labels.Set {
	return labels.Set{Name: name, Instance: name, Component: "frontend"}
}

// Frontend is the UI of one stack.
type Frontend struct {
	pulumi.ResourceState

	// Host is the client Service's name.
	Host pulumi.StringOutput
	// PodsHost is the headless Service's name, which resolves to one address for
	// each ready pod.
	PodsHost pulumi.StringOutput
}

// NewFrontend creates the UI.
func NewFrontend(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Frontend, error) {
	if args == nil {
		args = &Args{}
	}
	args, err := args.Validated()
	if err != nil {
		return nil, err
	}
	f := &Frontend{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Frontend", name, f, opts...); err != nil {
		return nil, err
	}
	parent := pulumi.Parent(f)
	l := uiLabels(name)
	if err := deployment(ctx, l, args, parent); err != nil {
		return nil, err
	}
	if f.Host, err = service(ctx, l, name, "", args, parent); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	if f.PodsHost, err = service(ctx, l, name+"-pods", "None", args, parent); err != nil {
		return nil, fmt.Errorf("headless service: %w", err)
	}
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{"host": f.Host, "podsHost": f.PodsHost})
}

func deployment(ctx *pulumi.Context, l labels.Set, args *Args, opts ...pulumi.ResourceOption) error {
	account, err := pods.ServiceAccount(ctx, l, args.Namespace, opts...)
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	settings, err := content.ConfigMap(ctx, l.Name+"-settings", args.Namespace, l, pulumi.ToStringMap(args.Env), opts...)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	volumes, mounts := pods.EmptyDirs("128Mi", Writable)
	startup := rollout.StartupFor(args.StartupSeconds)
	alive := pods.Probe{Path: args.LivenessPath, Port: "http", PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3}
	ready := pods.Probe{Path: args.ReadinessPath, Port: "http", PeriodSeconds: 5, TimeoutSeconds: 3, Failures: 2}
	container := corev1.ContainerArgs{
		Name:  pulumi.String("frontend"),
		Image: args.Image,
		Env: corev1.EnvVarArray{&corev1.EnvVarArgs{
			Name: pulumi.String("PORT"), Value: pulumi.String(strconv.Itoa(args.Port)),
		}},
		EnvFrom: corev1.EnvFromSourceArray{&corev1.EnvFromSourceArgs{
			ConfigMapRef: &corev1.ConfigMapEnvSourceArgs{Name: settings},
		}},
		Ports: corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String("http"), ContainerPort: pulumi.Int(args.Port),
		}},
		VolumeMounts:   mounts,
		StartupProbe:   pods.Startup(alive, startup),
		LivenessProbe:  pods.Liveness(alive, ready),
		ReadinessProbe: ready.Args(),
		Lifecycle:      pods.PreStopSleep(preStopSeconds),
	}
	annotations := pulumi.StringMap{}
	if args.MetricsPath != "" {
		annotations = pulumi.StringMap{
			"prometheus.io/scrape": pulumi.String("true"),
			"prometheus.io/port":   pulumi.String(strconv.Itoa(args.Port)),
			"prometheus.io/path":   pulumi.String(args.MetricsPath),
		}
	}
	spread := pods.SpreadPreferred
	if args.SpreadRequired {
		spread = pods.SpreadRequired
	}
	const grace = preStopSeconds + DrainSeconds
	plan := rollout.Plan{Startup: startup, Replicas: args.Replicas, AtOnce: 1, GraceSeconds: grace}
	if _, err := appsv1.NewDeployment(ctx, l.Name, &appsv1.DeploymentArgs{
		Metadata: pods.Meta(l.Name, args.Namespace, l),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas:                pulumi.Int(args.Replicas),
			RevisionHistoryLimit:    pulumi.Int(3),
			ProgressDeadlineSeconds: pulumi.Int(plan.ProgressDeadlineSeconds()),
			Strategy: &appsv1.DeploymentStrategyArgs{
				Type: pulumi.String("RollingUpdate"),
				RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{
					MaxSurge:       pulumi.Int(1),
					MaxUnavailable: pulumi.Int(0),
				},
			},
			Selector: pods.Selector(l),
			Template: pods.Template(pods.Options{
				Labels:          l,
				User:            User,
				ServiceAccount:  account.Metadata.Name().Elem(),
				PriorityClass:   args.PriorityClass,
				GraceSeconds:    grace,
				ImagePullSecret: args.ImagePullSecret,
				Spread:          spread,
				Containers:      corev1.ContainerArray{pods.Container(container, args.Resources)},
				Volumes:         volumes,
				Annotations:     annotations,
			}),
		},
	}, append(opts, pods.Timeouts(plan))...); err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	if err := pods.Budget(ctx, l, args.Namespace, opts...); err != nil {
		return fmt.Errorf("disruption budget: %w", err)
	}
	return nil
}

func service(ctx *pulumi.Context, l labels.Set, name, clusterIP string, args *Args, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	spec := &corev1.ServiceSpecArgs{
		Type:     pulumi.String("ClusterIP"),
		Selector: pulumi.ToStringMap(l.Selector()),
		Ports: corev1.ServicePortArray{&corev1.ServicePortArgs{
			Name: pulumi.String("http"), Port: pulumi.Int(args.Port), TargetPort: pulumi.String("http"),
		}},
	}
	if clusterIP != "" {
		spec.ClusterIP = pulumi.String(clusterIP)
	}
	meta := pods.Meta(name, args.Namespace, l)
	// The rollout is awaited by the Deployment.
	meta.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
	s, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{Metadata: meta, Spec: spec}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return s.Metadata.Name().Elem(), nil
}
