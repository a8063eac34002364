// Command pulumi-resource-docker serves Terraform's Docker provider to Pulumi
// under the tokens of pulumi-docker's SDK. The native resource docker.Image is
// not part of it: docker.RemoteImage with Build and docker.RegistryImage are.
package main

import (
	"fmt"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	sdkv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	docker "github.com/terraform-providers/terraform-provider-docker/shim"
)

// providerVersion is set by the linker to the SDK version that the provider serves,
// with a leading v.
var providerVersion = "v0.0.0"

func main() {
	info := tfbridge.ProviderInfo{
		P:           sdkv2.NewProvider(docker.New(providerVersion)),
		Name:        "docker",
		DisplayName: "Docker",
		Version:     providerVersion[1:],
		Resources: map[string]*tfbridge.ResourceInfo{
			// Names and published ports are unique on an engine: the old
			// container has to go first.
			"docker_container": {DeleteBeforeReplace: true},
			"docker_image":     {Tok: tfbridge.MakeResource("docker", "index", "RemoteImage")},
			"docker_config":    {Tok: tfbridge.MakeResource("docker", "index", "ServiceConfig")},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image": {Tok: tfbridge.MakeDataSource("docker", "index", "getRemoteImage")},
		},
	}
	// docker_container → docker:index/container:Container
	info.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard("docker")))
	info.SetAutonaming(255, "-")
	tfbridge.Main(info.Name, info.Version, info,
		// The schema serves documentation and SDK generation; at run time the
		// name and version are enough.
		fmt.Appendf(nil, `{"name":%q,"version":%q}`, info.Name, info.Version))
}
