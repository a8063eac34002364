package backend

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
	"github.com/alphapulse/alphapulse-infra/components/internal/rollout"
)

// preStopSeconds is how long a stopping pod keeps serving while its removal from
// the endpoints reaches every proxy: the edge may know its address for 7 s, 5 s of
// the cluster's DNS cache and 2 s of its own.
const preStopSeconds = 10

// drainMargin is what a process may need to close its connections after the last
// request, in seconds.
const drainMargin = 5

// Writable are the paths that the application's images write to under a read-only root.
var Writable = map[string]string{
	"logs": "/app/logs", "models": "/app/models", "cache": "/app/cache", "data": "/app/data", "tmp": "/tmp",
}

// writableLimit bounds each of them.
const writableLimit = "256Mi"

// deployment is what the three workloads differ in.
type deployment struct {
	labels  labels.Set
	process *Process
	args    *Args
	env     map[string]string
	// replicas is nil where an autoscaler owns the field.
	replicas pulumi.IntPtrInput
	// most is the largest number of replicas that a rollout replaces.
	most int
	// recreate stops the old pod before the new one starts: never two at once.
	recreate bool
	spread   pods.Spread
}

func (d deployment) create(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (*appsv1.Deployment, error) {
	name := d.labels.Name
	account, err := pods.ServiceAccount(ctx, d.labels, d.args.Namespace, opts...)
	if err != nil {
		return nil, err
	}
	from := corev1.EnvFromSourceArray{&corev1.EnvFromSourceArgs{
		ConfigMapRef: &corev1.ConfigMapEnvSourceArgs{Name: d.args.SettingsName},
	}}
	if d.process.Credentials != nil {
		secret, err := content.Secret(ctx, name+"-credentials", d.args.Namespace, d.labels, d.process.Credentials, opts...)
		if err != nil {
			return nil, err
		}
		from = append(from, &corev1.EnvFromSourceArgs{SecretRef: &corev1.SecretEnvSourceArgs{Name: secret}})
	}

	volumes, mounts := pods.EmptyDirs(writableLimit, Writable)
	container := corev1.ContainerArgs{
		Name:         pulumi.String(d.labels.Component),
		Image:        d.process.Image,
		EnvFrom:      from,
		Env:          environment(d.process.Env, d.env),
		VolumeMounts: mounts,
	}
	if len(d.process.Command) > 0 {
		container.Command = pulumi.ToStringArray(d.process.Command)
	}
	if len(d.process.Args) > 0 {
		container.Args = pulumi.ToStringArray(d.process.Args)
	}
	annotations := pulumi.StringMap{}
	if d.process.Port != 0 {
		container.Ports = corev1.ContainerPortArray{&corev1.ContainerPortArgs{
			Name: pulumi.String(portName), ContainerPort: pulumi.Int(d.process.Port),
		}}
		// The endpoints' removal takes a moment to reach the proxies; a process
		// without a port has no one to wait for.
		container.Lifecycle = pods.PreStopSleep(preStopSeconds)
	}
	if d.process.MetricsPath != "" {
		annotations = pulumi.StringMap{
			"prometheus.io/scrape": pulumi.String("true"),
			"prometheus.io/port":   pulumi.String(strconv.Itoa(d.process.Port)),
			"prometheus.io/path":   pulumi.String(d.process.MetricsPath),
		}
	}
	startup := rollout.StartupFor(d.process.StartupSeconds)
	alive := pods.Probe{Path: d.process.LivenessPath, Port: portName, PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3}
	ready := pods.Probe{Path: d.process.ReadinessPath, Port: portName, PeriodSeconds: 5, TimeoutSeconds: 3, Failures: 2}
	if alive.Path != "" {
		container.LivenessProbe = pods.Liveness(alive, ready)
		container.StartupProbe = pods.Startup(alive, startup)
	}
	if ready.Path != "" {
		container.ReadinessProbe = ready.Args()
	}

	grace := preStopSeconds + d.args.DrainSeconds()
	plan := rollout.Plan{Startup: startup, Replicas: d.most, AtOnce: 1, GraceSeconds: grace}
	strategy := &appsv1.DeploymentStrategyArgs{
		Type: pulumi.String("RollingUpdate"),
		RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{
			MaxSurge:       pulumi.Int(1),
			MaxUnavailable: pulumi.Int(0),
		},
	}
	options := pods.Options{
		Labels:          d.labels,
		User:            User,
		ServiceAccount:  account.Metadata.Name().Elem(),
		GraceSeconds:    grace,
		ImagePullSecret: d.args.ImagePullSecret,
		Spread:          d.spread,
		InitContainers:  d.waitForDatabase(),
		Containers:      corev1.ContainerArray{pods.Container(container, d.process.Resources)},
		Volumes:         volumes,
		Annotations:     annotations,
	}
	var single pods.Single
	var template *corev1.PodTemplateSpecArgs
	if d.recreate {
		strategy = &appsv1.DeploymentStrategyArgs{Type: pulumi.String("Recreate")}
		single = pods.NewSingle(d.args.Namespace, options)
		template = single.Template
	} else {
		template = pods.Template(options)
	}
	workload, err := appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: pods.Meta(name, d.args.Namespace, d.labels),
		Spec: &appsv1.DeploymentSpecArgs{
			Replicas:                d.replicas,
			RevisionHistoryLimit:    pulumi.Int(3),
			ProgressDeadlineSeconds: pulumi.Int(plan.ProgressDeadlineSeconds()),
			Strategy:                strategy,
			Selector:                pods.Selector(d.labels),
			Template:                template,
		},
	}, append(opts, pods.Timeouts(plan))...)
	if err != nil || !d.recreate {
		return workload, err
	}
	return workload, single.Await(ctx, workload, plan, opts...)
}

// portName is the name of the port that probes and Services refer to.
const portName = "http"

// waitForDatabase keeps the pod in its init phase until the database accepts
// connections: an application that exits without one would crash-loop, with
// growing pauses, long after the database is back.
func (d deployment) waitForDatabase() corev1.ContainerArray {
	if d.args.WaitForImage == nil {
		return nil
	}
	return corev1.ContainerArray{pods.Container(corev1.ContainerArgs{
		Name:  pulumi.String("wait-for-database"),
		Image: d.args.WaitForImage,
		// pg_isready needs no credential: it only asks whether connections are accepted.
		Command: pulumi.ToStringArray([]string{"sh", "-c",
			`until pg_isready --timeout=2; do sleep 1; done`}),
		Env: corev1.EnvVarArray{
			&corev1.EnvVarArgs{Name: pulumi.String("PGHOST"), Value: d.args.DatabaseHost.ToStringOutput()},
			&corev1.EnvVarArgs{Name: pulumi.String("PGPORT"), Value: pulumi.String(strconv.Itoa(d.args.DatabasePort))},
			// libpq wants a name, and the image knows none for this uid. Any will do:
			// nobody logs in.
			&corev1.EnvVarArgs{Name: pulumi.String("PGUSER"), Value: pulumi.String(d.labels.Name)},
		},
	}, waitResources)}
}

// environment renders variables in a stable order; those of the program win over
// the user's, since they carry its guarantees.
func environment(user, program map[string]string) corev1.EnvVarArray {
	merged := merge(user, program)
	var env corev1.EnvVarArray
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		env = append(env, &corev1.EnvVarArgs{Name: pulumi.String(k), Value: pulumi.String(merged[k])})
	}
	return env
}

// services creates the client Service and the headless one, which resolves to one
// address for each ready pod and lets the edge balance over pods itself.
func services(ctx *pulumi.Context, l labels.Set, namespace pulumi.StringInput, port int, opts ...pulumi.ResourceOption) (client, headless pulumi.StringOutput, err error) {
	create := func(name, clusterIP string) (pulumi.StringOutput, error) {
		spec := &corev1.ServiceSpecArgs{
			Type:     pulumi.String("ClusterIP"),
			Selector: pulumi.ToStringMap(l.Selector()),
			Ports: corev1.ServicePortArray{&corev1.ServicePortArgs{
				Name: pulumi.String(portName), Port: pulumi.Int(port), TargetPort: pulumi.String(portName),
			}},
		}
		if clusterIP != "" {
			spec.ClusterIP = pulumi.String(clusterIP)
		}
		m := pods.Meta(name, namespace, l)
		// The rollout is awaited by the workload; a Service of a workload that
		// comes up slowly must not fail first.
		m.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
		service, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{Metadata: m, Spec: spec}, opts...)
		if err != nil {
			return pulumi.StringOutput{}, err
		}
		return service.Metadata.Name().Elem(), nil
	}
	if client, err = create(l.Name, ""); err != nil {
		return client, headless, fmt.Errorf("service: %w", err)
	}
	if headless, err = create(l.Name+"-pods", "None"); err != nil {
		return client, headless, fmt.Errorf("headless service: %w", err)
	}
	return client, headless, nil
}
