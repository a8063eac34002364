package platform

import (
	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// passwordLength of every generated credential: 32 letters and digits carry 190
// bits, and stand in a URL, a shell and a configuration file without escaping.
const passwordLength = 32

// CredentialsArgs configure Credentials.
type CredentialsArgs struct {
	// Protect makes Pulumi refuse to delete the generated values, which open what
	// the retained volumes hold.
	Protect bool
	// Members says that the database has members and poolers, which know each other by
	// credentials of their own.
	Members bool
}

// Credentials are the generated secrets of one stack. Every field is a Pulumi
// secret, stays the same across updates, and is handed to its consumers only.
type Credentials struct {
	pulumi.ResourceState

	// DatabaseAdmin is the password of the database's superuser, used by nothing
	// but the database pod itself.
	DatabaseAdmin pulumi.StringOutput
	// DatabaseApplication is the password of the role that owns the application's database.
	DatabaseApplication pulumi.StringOutput
	// DatabaseMonitoring is the password of the role that the exporter logs in with.
	DatabaseMonitoring pulumi.StringOutput
	// DatabasePooling, DatabaseReplication and DatabaseRewind are the passwords of the
	// roles that poolers and members log in with, DatabaseControl that of their control.
	// A Docker host uses none of them.
	DatabasePooling, DatabaseReplication, DatabaseRewind, DatabaseControl pulumi.StringOutput
	// BackupPassphrase is what backups are encrypted with, BackupStore what logs in to the
	// S3 server on a volume.
	BackupPassphrase, BackupStore pulumi.StringOutput
	// AuthoritySeed is what the stack's own CA is made of.
	AuthoritySeed pulumi.StringOutput
	// CacheApplication is the password of the cache's default user.
	CacheApplication pulumi.StringOutput
	// CacheMonitoring is the password of the cache user of the exporter.
	CacheMonitoring pulumi.StringOutput
	// JWTSecret and AppSecret are the application's signing keys.
	JWTSecret, AppSecret pulumi.StringOutput
	// GrafanaAdmin is the password of Grafana's admin user.
	GrafanaAdmin pulumi.StringOutput
	// PrometheusAdmin is the password that the edge asks for in front of Prometheus.
	PrometheusAdmin pulumi.StringOutput
}

// NewCredentials generates the credentials.
func NewCredentials(ctx *pulumi.Context, name string, args *CredentialsArgs, opts ...pulumi.ResourceOption) (*Credentials, error) {
	if args == nil {
		args = &CredentialsArgs{}
	}
	c := &Credentials{}
	if err := ctx.RegisterComponentResource("alphapulse:index:Credentials", name, c, opts...); err != nil {
		return nil, err
	}
	type value struct {
		name string
		into *pulumi.StringOutput
	}
	values := []value{
		{"database-admin", &c.DatabaseAdmin},
		{"database-application", &c.DatabaseApplication},
		{"database-monitoring", &c.DatabaseMonitoring},
		{"cache-application", &c.CacheApplication},
		{"cache-monitoring", &c.CacheMonitoring},
		{"jwt-secret", &c.JWTSecret},
		{"app-secret", &c.AppSecret},
		{"grafana-admin", &c.GrafanaAdmin},
		{"prometheus-admin", &c.PrometheusAdmin},
	}
	if args.Members {
		values = append(values, value{"database-pooling", &c.DatabasePooling}, value{"database-replication", &c.DatabaseReplication},
			value{"database-rewind", &c.DatabaseRewind}, value{"database-control", &c.DatabaseControl}, value{"authority-seed", &c.AuthoritySeed},
			value{"backup-passphrase", &c.BackupPassphrase}, value{"backup-store", &c.BackupStore})
	}
	for _, g := range values {
		generated, err := random.NewRandomPassword(ctx, name+"-"+g.name, &random.RandomPasswordArgs{
			Length:  pulumi.Int(passwordLength),
			Special: pulumi.Bool(false),
		}, pulumi.Parent(c), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect))
		if err != nil {
			return nil, err
		}
		*g.into = pulumi.ToSecret(generated.Result).(pulumi.StringOutput)
	}
	// Nothing is registered as an output: the values are reached by their consumers only.
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{})
}
