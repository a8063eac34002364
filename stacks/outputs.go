package stacks

import (
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/platform"
)

// readmeFile, beside Pulumi.yaml, is shown by `pulumi stack output readme` and by Pulumi's console.
const readmeFile = "Pulumi.README.md"

// outputs are what operators and scripts read. Credentials are secret outputs; the
// plain ones hold nothing that opens anything.
func (k *cluster) outputs(ctx *pulumi.Context, ground *platform.Platform, edge *ingress.Ingress) (pulumi.Map, error) {
	sizes := pulumi.StringMap{}
	for claim, v := range k.volumes {
		sizes[claim] = pulumi.String(v.size.String())
	}
	out, err := k.parts.outputs(ctx)
	if err != nil {
		return nil, err
	}
	out[outputNamespace] = ground.Namespace
	out[outputVolumes] = sizes
	out["urls"] = edge.URLs
	out["edgeAddress"] = edge.Address
	out["caCertificate"] = edge.CACertificate
	return out, nil
}

// outputs are those that do not depend on where the stack runs.
func (k *parts) outputs(ctx *pulumi.Context) (pulumi.Map, error) {
	readme, err := os.ReadFile(filepath.Join(ctx.RootDirectory(), readmeFile))
	if err != nil {
		return nil, err
	}
	return pulumi.Map{
		outputTarget: pulumi.String(k.Target),
		"images":     k.images.outputs(),
		"credentials": pulumi.StringMap{
			"Grafana, user admin":                        pulumi.String(commandFor("grafanaPassword")),
			"Prometheus, user admin":                     pulumi.String(commandFor("prometheusPassword")),
			"database, user " + database.ApplicationRole: pulumi.String(commandFor("databasePassword")),
			"cache, default user":                        pulumi.String(commandFor("cachePassword")),
		},
		"grafanaPassword":    k.credentials.GrafanaAdmin,
		"prometheusPassword": k.credentials.PrometheusAdmin,
		"databasePassword":   k.credentials.DatabaseApplication,
		"cachePassword":      k.credentials.CacheApplication,
		"readme":             pulumi.String(readme),
	}, nil
}
