package database

import (
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// files are what the processes read.
type files struct {
	// config holds the server's configuration and the scripts.
	config *workload.Files
	// verifiers holds what the server stores of each password.
	verifiers *workload.Files
	// exporter holds the one password that the exporter logs in with.
	exporter *workload.Files
}

func (a *Args) files(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*files, error) {
	config := ConfigFiles(a.Tuning(), a.archiveSettings(name)...)
	maps.Copy(config, ScriptFiles())
	verifiers, err := a.verifiers(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	return &files{
		config:    workload.Plain("config", config),
		verifiers: workload.Hidden("verifiers", verifiers),
		exporter:  workload.Hidden("exporter", pulumi.StringMap{PasswordFile: a.MonitoringPassword}),
	}, nil
}

// ConfigFiles are the files below ConfigPath.
func ConfigFiles(t Tuning, more ...setting) map[string]string {
	return map[string]string{"postgresql.conf": RenderConfig(t, more...), "pg_hba.conf": RenderAccess()}
}

// ScriptFiles are the files below ScriptsPath.
func ScriptFiles() map[string]string {
	return map[string]string{"reconcile.sh": reconcileScript, "roles.sql": rolesSQL}
}

// verifiers are the files below RolesPath that the server and the reconciler read:
// what the server stores of each password, secret.
func (a *Args) verifiers(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringMap, error) {
	salt, err := newSalt(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	verifier := func(role string, password pulumi.StringInput) pulumi.StringOutput {
		return pulumi.ToSecret(pulumi.All(password, salt).ApplyT(func(v []any) (string, error) {
			return Verifier(v[0].(string), role+v[1].(string))
		})).(pulumi.StringOutput)
	}
	return pulumi.StringMap{
		SuperuserFile: verifier(SuperuserRole, a.SuperuserPassword),
		"application": verifier(ApplicationRole, a.ApplicationPassword),
		"monitoring":  verifier(MonitoringRole, a.MonitoringPassword),
	}, nil
}
