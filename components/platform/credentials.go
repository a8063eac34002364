package platform

import (
	"fmt"
	"slices"

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
	// Archived says that the database of a Docker host is backed up, or has been.
	Archived bool
	// Words name the present values of the credentials in Rotated: another word is another
	// value, none the first one. Former are the words whose values are accepted beside,
	// where the credential has such.
	Words, Former map[string]string
	// Authority says which seed the stack's own CA is made of, from 0 on. FormerAuthority
	// has the one before trusted, too.
	Authority       int
	FormerAuthority bool
}

// The credentials that rotate.
const (
	RotateDatabase         = "database"
	RotateDatabaseInternal = "databaseInternal"
	RotateCache            = "cache"
	RotateJWT              = "jwt"
	RotateGrafana          = "grafana"
	RotatePrometheus       = "prometheus"
	// RotateAuthority is of the stack's own CA, whose seeds are counted: the next one has to
	// be there before anybody has a word for it.
	RotateAuthority = "authority"
)

// Rotated are they, and which values each of them is.
var Rotated = map[string][]string{
	RotateDatabase: {"database-application"}, RotateCache: {"cache-application"}, RotateJWT: {"jwt-secret"},
	RotateGrafana: {"grafana-admin"}, RotatePrometheus: {"prometheus-admin"},
	// What the database's own parts know each other by.
	RotateDatabaseInternal: {"database-monitoring", "database-pooling", "database-replication", "database-rewind", databaseControl},
	RotateAuthority:        nil,
}

const databaseControl = "database-control"

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
	// FormerControl is what members ask poolers with that have not been told the present
	// DatabaseControl yet; nil for nothing.
	FormerControl pulumi.StringInput
	// BackupPassphrase is what backups are encrypted with, BackupStore what logs in to the
	// S3 server on a volume.
	BackupPassphrase, BackupStore pulumi.StringOutput
	// AuthoritySeed is what the stack's own CA is made of, and TrustedSeeds what those are
	// made of that are trusted beside: the next one, always, and the former one.
	AuthoritySeed pulumi.StringOutput
	TrustedSeeds  []pulumi.StringInput
	// CacheApplication is the password of the cache's default user.
	CacheApplication pulumi.StringOutput
	// CacheMonitoring is the password of the cache user of the exporter.
	CacheMonitoring pulumi.StringOutput
	// FormerCache is what clients of the cache log in with that have not been told the
	// present password yet; nil for nothing.
	FormerCache pulumi.StringInput
	// JWTSecret and AppSecret are the application's signing keys.
	JWTSecret, AppSecret pulumi.StringOutput
	// FormerJWT is what tokens are signed with that are older than JWTSecret; nil for
	// nothing.
	FormerJWT pulumi.StringInput
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
	var err error
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
			value{"database-rewind", &c.DatabaseRewind}, value{databaseControl, &c.DatabaseControl}, value{"authority-seed", &c.AuthoritySeed},
			value{"backup-passphrase", &c.BackupPassphrase}, value{"backup-store", &c.BackupStore})
	}
	if args.Archived {
		values = append(values, value{"backup-passphrase", &c.BackupPassphrase})
	}
	for _, g := range values {
		// The first value stays, whatever replaces it: it may open what was kept.
		if *g.into, err = generate(ctx, name+"-"+g.name, pulumi.Parent(c), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect)); err != nil {
			return nil, err
		}
		for credential, of := range Rotated {
			if slices.Contains(of, g.name) {
				if err := c.rotate(ctx, name+"-"+g.name, g.into, args.Words[credential], args.Former[credential], c.former(g.name)); err != nil {
					return nil, err
				}
			}
		}
	}
	if args.Members {
		if err := c.authorities(ctx, name+"-authority-seed", args); err != nil {
			return nil, err
		}
	}
	// Nothing is registered as an output: the values are reached by their consumers only.
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{})
}

// authorities replaces the first seed of the stack's own CA by the present one, and
// generates those that are trusted beside it.
func (c *Credentials) authorities(ctx *pulumi.Context, name string, args *CredentialsArgs) error {
	first := c.AuthoritySeed
	seed := func(number int) (pulumi.StringOutput, error) {
		if number == 0 {
			return first, nil
		}
		return generate(ctx, fmt.Sprintf("%s-%d", name, number), pulumi.Parent(c))
	}
	var err error
	if c.AuthoritySeed, err = seed(args.Authority); err != nil {
		return err
	}
	trusted := []int{args.Authority + 1}
	if args.FormerAuthority {
		trusted = append(trusted, args.Authority-1)
	}
	for _, number := range trusted {
		value, err := seed(number)
		if err != nil {
			return err
		}
		c.TrustedSeeds = append(c.TrustedSeeds, value)
	}
	return nil
}

// former is where the former of a value goes that is accepted beside the present one; nil
// for those that have none.
func (c *Credentials) former(value string) *pulumi.StringInput {
	switch value {
	case "cache-application":
		return &c.FormerCache
	case "jwt-secret":
		return &c.FormerJWT
	case databaseControl:
		return &c.FormerControl
	}
	return nil
}

// rotate replaces a first value by that of a word, and gives that of a former word.
func (c *Credentials) rotate(ctx *pulumi.Context, name string, value *pulumi.StringOutput, word, former string, into *pulumi.StringInput) error {
	values := map[string]pulumi.StringOutput{"": *value}
	if into == nil {
		former = word
	}
	for _, w := range []string{word, former} {
		if _, made := values[w]; made {
			continue
		}
		generated, err := generate(ctx, name+"-"+w, pulumi.Parent(c))
		if err != nil {
			return err
		}
		values[w] = generated
	}
	*value = values[word]
	if former != word {
		*into = values[former]
	}
	return nil
}

// generate makes a secret value.
func generate(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error) {
	generated, err := random.NewRandomPassword(ctx, name, &random.RandomPasswordArgs{
		Length: pulumi.Int(passwordLength), Special: pulumi.Bool(false),
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return pulumi.ToSecret(generated.Result).(pulumi.StringOutput), nil
}
