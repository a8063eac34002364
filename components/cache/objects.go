package cache

import (
	"encoding/json"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
	"github.com/alphapulse/alphapulse-infra/components/internal/pods"
)

// services creates the Service that clients use, its aliases and the headless one
// that gives the pod its own name. It returns the clients' host name.
func services(ctx *pulumi.Context, name string, args *Args, l labels.Set, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	service := func(name string, spec *corev1.ServiceSpecArgs) (pulumi.StringOutput, error) {
		meta := pods.Meta(name, args.Namespace, l)
		// The StatefulSet's own rollout is awaited; awaiting endpoints here would wait
		// for a pod that is created later.
		meta.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
		spec.Selector = pulumi.ToStringMap(l.Selector())
		spec.Ports = corev1.ServicePortArray{&corev1.ServicePortArgs{
			Name: pulumi.String(portName), Port: pulumi.Int(Port), TargetPort: pulumi.String(portName),
		}}
		s, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{Metadata: meta, Spec: spec}, opts...)
		if err != nil {
			return pulumi.StringOutput{}, err
		}
		return s.Metadata.Name().Elem(), nil
	}
	host, err := service(name, &corev1.ServiceSpecArgs{})
	if err != nil {
		return host, err
	}
	for _, alias := range args.AliasServices {
		if _, err := service(alias, &corev1.ServiceSpecArgs{}); err != nil {
			return host, err
		}
	}
	_, err = service(headless(name), &corev1.ServiceSpecArgs{
		ClusterIP: pulumi.String("None"),
		// An operator reaches a server that is loading its data, too.
		PublishNotReadyAddresses: pulumi.Bool(true),
	})
	return host, err
}

// files names the content-named objects that the pod mounts.
type files struct {
	// config holds redis.conf.
	config pulumi.StringOutput
	// acl holds the users with their passwords' digests.
	acl pulumi.StringOutput
	// exporter holds the one password that the exporter logs in with.
	exporter pulumi.StringOutput
}

func newFiles(ctx *pulumi.Context, name string, args *Args, l labels.Set, opts ...pulumi.ResourceOption) (files, error) {
	var f files
	var err error
	if f.config, err = content.ConfigMap(ctx, name+"-config", args.Namespace, l, pulumi.StringMap{
		"redis.conf": pulumi.String(RenderConfig(args.MaxMemoryBytes(), args.policy())),
	}, opts...); err != nil {
		return f, err
	}
	acl := pulumi.ToSecret(pulumi.All(args.ApplicationPassword, args.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		return RenderACL(v[0].(string), v[1].(string))
	})).(pulumi.StringOutput)
	if f.acl, err = content.Secret(ctx, name+"-acl", args.Namespace, l, pulumi.StringMap{"users.acl": acl}, opts...); err != nil {
		return f, err
	}
	// The exporter's file maps the address that it asks to the password.
	passwords := pulumi.ToSecret(pulumi.All(args.MonitoringPassword).ApplyT(func(v []any) (string, error) {
		b, err := json.Marshal(map[string]string{
			fmt.Sprintf("redis://%s@%s", MonitoringUser, exporterTarget): v[0].(string),
		})
		return string(b), err
	})).(pulumi.StringOutput)
	f.exporter, err = content.Secret(ctx, name+"-exporter", args.Namespace, l, pulumi.StringMap{"passwords.json": passwords}, opts...)
	return f, err
}
