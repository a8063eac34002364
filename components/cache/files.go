package cache

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/internal/content"
	"github.com/alphapulse/alphapulse-infra/components/internal/labels"
)

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
