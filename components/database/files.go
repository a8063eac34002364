package database

import (
	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

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
