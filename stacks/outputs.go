package stacks

import (
	"maps"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// readmeFile, beside Pulumi.yaml, is shown by `pulumi stack output readme` and by Pulumi's console.
const readmeFile = "Pulumi.README.md"

// outputs are what operators and scripts read, beside those of the target. Credentials are
// secret outputs; the plain ones hold nothing that opens anything.
func (c *common) outputs(ctx *pulumi.Context, target pulumi.Map) (pulumi.Map, error) {
	readme, err := os.ReadFile(filepath.Join(ctx.RootDirectory(), readmeFile))
	if err != nil {
		return nil, err
	}
	out := pulumi.Map{
		outputTarget: pulumi.String(c.Target),
		"images":     c.images.outputs(),
		"credentials": pulumi.StringMap{
			"Grafana, user admin":                 pulumi.String(commandFor("grafanaPassword")),
			"Prometheus, user admin":              pulumi.String(commandFor("prometheusPassword")),
			"database, user " + c.databaseLogin(): pulumi.String(commandFor("databasePassword")),
			"cache, default user":                 pulumi.String(commandFor("cachePassword")),
		},
		"grafanaPassword":    c.credentials.GrafanaAdmin,
		"prometheusPassword": c.credentials.PrometheusAdmin,
		"databasePassword":   c.credentials.DatabaseApplication,
		"cachePassword":      c.credentials.CacheApplication,
		"readme":             pulumi.String(readme),
	}
	maps.Copy(out, target)
	return out, nil
}

// commandFor is the shell command that shows a secret output.
func commandFor(output string) string { return "pulumi stack output " + output + " --show-secrets" }
