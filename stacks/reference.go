package stacks

// Schema is the config section of Pulumi.yaml, from which the command line knows the
// settings.
func Schema() (string, error) { return declarations().Schema() }

// Reference is docs/settings.md.
func Reference() string {
	return `# Settings

Every setting of a stack, by what it is about. ` + "`make generate`" + ` writes this page and the
schema in Pulumi.yaml from the declarations in ` + "`stacks/`" + `; an edit here is lost.

    pulumi config set databaseStorage 100Gi
    pulumi config set --path databaseResources.limits.memory 8Gi
    pulumi config set --path 'edgeTrustedProxies[0]' 203.0.113.0/24
    cat privkey.pem | pulumi config set --secret tlsPrivateKey

A value that cannot be met, or that has no effect where the stack runs, is refused before
anything changes, all of them at once. A **secret** value is refused in plain text.
` + declarations().Reference()
}
