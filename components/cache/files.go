package cache

import (
	"path"

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
		path.Base(ConfigFile): pulumi.String(args.Config()),
	}, opts...); err != nil {
		return f, err
	}
	if f.acl, err = content.Secret(ctx, name+"-acl", args.Namespace, l, pulumi.StringMap{path.Base(ACLFile): args.ACL()}, opts...); err != nil {
		return f, err
	}
	f.exporter, err = content.Secret(ctx, name+"-exporter", args.Namespace, l, pulumi.StringMap{
		path.Base(ExporterFile): args.ExporterPasswords(loopback),
	}, opts...)
	return f, err
}
