package database

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
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
		// An operator reaches a server that is recovering, too.
		PublishNotReadyAddresses: pulumi.Bool(true),
	})
	return host, err
}

// files names the content-named objects that the pod mounts.
type files struct {
	// config holds the server's configuration and the scripts.
	config pulumi.StringOutput
	// verifiers holds what the server stores of each password.
	verifiers pulumi.StringOutput
	// exporter holds the one password that the exporter logs in with.
	exporter pulumi.StringOutput
}

func newFiles(ctx *pulumi.Context, name string, args *Args, l labels.Set, opts ...pulumi.ResourceOption) (files, error) {
	var f files
	var err error
	if f.config, err = content.ConfigMap(ctx, name+"-config", args.Namespace, l, pulumi.StringMap{
		"postgresql.conf": pulumi.String(RenderConfig(args.Tuning())),
		"pg_hba.conf":     pulumi.String(RenderAccess()),
		"reconcile.sh":    pulumi.String(reconcileScript),
		"roles.sql":       pulumi.String(rolesSQL),
	}, opts...); err != nil {
		return f, err
	}
	// A verifier needs a salt that stays: a new one at each run would look like a
	// changed password and restart the database.
	salt, err := random.NewRandomPassword(ctx, name+"-salt", &random.RandomPasswordArgs{
		Length: pulumi.Int(32), Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return f, err
	}
	verifier := func(role string, password pulumi.StringInput) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.All(password, salt.Result).ApplyT(func(v []any) (string, error) {
			return Verifier(v[0].(string), role+v[1].(string))
		})).(pulumi.StringOutput)
	}
	if f.verifiers, err = content.Secret(ctx, name+"-verifiers", args.Namespace, l, pulumi.StringMap{
		"superuser":   verifier(SuperuserRole, args.SuperuserPassword),
		"application": verifier(ApplicationRole, args.ApplicationPassword),
		"monitoring":  verifier(MonitoringRole, args.MonitoringPassword),
	}, opts...); err != nil {
		return f, err
	}
	f.exporter, err = content.Secret(ctx, name+"-exporter", args.Namespace, l, pulumi.StringMap{
		"password": args.MonitoringPassword,
	}, opts...)
	return f, err
}
