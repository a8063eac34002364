// Command pulumi-resource-random serves Terraform's random provider to Pulumi
// under the tokens of pulumi-random's SDK.
package main

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	bridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	random "github.com/terraform-providers/terraform-provider-random/shim"
)

// providerVersion is set by the linker to the SDK version that the provider serves,
// with a leading v.
var providerVersion = "v0.0.0"

func main() {
	ctx := context.Background()
	info := bridge.ProviderInfo{
		P:           tfbridge.ShimProviderWithContext(ctx, random.New()),
		Name:        "random",
		DisplayName: "Random",
		Version:     providerVersion[1:],
		// It records how tokens changed between releases; this one has no past.
		MetadataInfo: bridge.NewProviderMetadata([]byte("{}")),
	}
	// random_password → random:index/randomPassword:RandomPassword
	info.MustComputeTokens(tokens.SingleModule("", "index", tokens.MakeStandard("random")))
	tfbridge.Main(ctx, info.Name, info, tfbridge.ProviderMetadata{
		// The schema serves documentation and SDK generation; at run time the
		// name and version are enough.
		PackageSchema: fmt.Appendf(nil, `{"name":%q,"version":%q}`, info.Name, info.Version),
	})
}
