package addons

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	helm "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/helm/v4"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/components/room"
)

// local tells whether a chart or a file is a path.
func local(place string) bool { return !strings.Contains(place, "://") }

// checkInstalled reports what is wrong with what every add-on has.
func checkInstalled(namespace, chart, version string, replicas int) error {
	var errs []error
	if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("namespace %q: %s", namespace, problems[0]))
	}
	if chart == "" || strings.HasPrefix(chart, "http://") {
		errs = append(errs, fmt.Errorf("chart %q: a path, https://REPOSITORY/NAME or oci://… is needed", chart))
	}
	if version == "" && !local(chart) {
		errs = append(errs, errors.New("version: one that is fetched needs it"))
	}
	if replicas < 1 {
		errs = append(errs, fmt.Errorf("replicas: %d is less than one", replicas))
	}
	return errors.Join(errs...)
}

// restricted makes a namespace for an add-on, which outlives it.
func restricted(ctx *pulumi.Context, name, namespace, owner string, opts ...pulumi.ResourceOption) (*corev1.Namespace, error) {
	labels := platform.Restricted(map[string]string{"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "alphapulse"})
	return owned(ctx, name, namespace, owner, labels, append(opts, pulumi.RetainOnDelete(true))...)
}

// owned makes a namespace that says whose it is.
func owned(ctx *pulumi.Context, name, namespace, owner string, labels pulumi.StringMap, opts ...pulumi.ResourceOption) (*corev1.Namespace, error) {
	meta := &metav1.ObjectMetaArgs{Name: pulumi.String(namespace), Labels: labels}
	if owner != "" {
		meta.Annotations = pulumi.StringMap{platform.OwnerAnnotation: pulumi.String(owner)}
	}
	ns, err := corev1.NewNamespace(ctx, name, &corev1.NamespaceArgs{Metadata: meta}, opts...)
	if err != nil {
		return nil, fmt.Errorf("namespace: %w", err)
	}
	return ns, nil
}

// installChart installs a chart from a place into a namespace, whose name it gives once all of the
// chart runs.
func installChart(ctx *pulumi.Context, name string, chart *helm.ChartArgs, namespace, place, version string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	chart.Namespace = pulumi.String(namespace)
	locate(chart, place, version)
	installed, err := helm.NewChart(ctx, name, chart, opts...)
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("chart: %w", err)
	}
	return pulumi.All(namespace, installed.Resources).ApplyT(func(v []any) string { return v[0].(string) }).(pulumi.StringOutput), nil
}

// locate says where a chart is.
func locate(chart *helm.ChartArgs, place, version string) {
	chart.Chart = pulumi.String(place)
	if local(place) {
		return
	}
	chart.Version = pulumi.String(version)
	if repository, ok := strings.CutPrefix(place, "https://"); ok {
		chart.Chart = pulumi.String(path.Base(repository))
		chart.RepositoryOpts = &helm.RepositoryOptsArgs{Repo: pulumi.String("https://" + path.Dir(repository))}
	}
}

// amounts are resources as values of a chart.
func amounts(of room.Resources) pulumi.Map {
	one := func(of room.Amounts) pulumi.Map {
		return pulumi.Map{"cpu": pulumi.String(of.CPU.String()), "memory": pulumi.String(of.Memory.String())}
	}
	return pulumi.Map{"requests": one(of.Requests), "limits": one(of.Limits)}
}

// definition is the type of what brings new kinds of objects.
const definition = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"

// keep says on definitions whose they are, and protects them: with one of them all objects
// of its kind would go.
func keep(owner string, protect bool) pulumi.ResourceTransform {
	return func(_ context.Context, args *pulumi.ResourceTransformArgs) *pulumi.ResourceTransformResult {
		if args.Type != definition {
			return nil
		}
		opts := args.Opts
		opts.Protect, opts.RetainOnDelete = protect, true
		if meta, ok := args.Props["metadata"].(pulumi.Map); ok && owner != "" {
			annotations, ok := meta["annotations"].(pulumi.Map)
			if !ok {
				annotations = pulumi.Map{}
			}
			annotations[platform.OwnerAnnotation] = pulumi.String(owner)
			meta["annotations"] = annotations
		}
		return &pulumi.ResourceTransformResult{Props: args.Props, Opts: opts}
	}
}
