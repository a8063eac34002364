package database

import (
	"maps"

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
	config := ConfigFiles(args.Tuning())
	maps.Copy(config, ScriptFiles())
	if f.config, err = content.ConfigMap(ctx, name+"-config", args.Namespace, l, pulumi.ToStringMap(config), opts...); err != nil {
		return f, err
	}
	verifiers, err := args.Verifiers(ctx, name, opts...)
	if err != nil {
		return f, err
	}
	if f.verifiers, err = content.Secret(ctx, name+"-verifiers", args.Namespace, l, verifiers, opts...); err != nil {
		return f, err
	}
	f.exporter, err = content.Secret(ctx, name+"-exporter", args.Namespace, l, pulumi.StringMap{
		PasswordFile: args.MonitoringPassword,
	}, opts...)
	return f, err
}

// Verifiers are the files below RolesPath that the server and the reconciler read:
// what the server stores of each password, secret.
func (a *Args) Verifiers(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringMap, error) {
	// A verifier needs a salt that stays: a new one at each run would look like a
	// changed password and restart the database.
	salt, err := random.NewRandomPassword(ctx, name+"-salt", &random.RandomPasswordArgs{
		Length: pulumi.Int(32), Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return nil, err
	}
	verifier := func(role string, password pulumi.StringInput) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.All(password, salt.Result).ApplyT(func(v []any) (string, error) {
			return Verifier(v[0].(string), role+v[1].(string))
		})).(pulumi.StringOutput)
	}
	return pulumi.StringMap{
		SuperuserFile: verifier(SuperuserRole, a.SuperuserPassword),
		"application": verifier(ApplicationRole, a.ApplicationPassword),
		"monitoring":  verifier(MonitoringRole, a.MonitoringPassword),
	}, nil
}
