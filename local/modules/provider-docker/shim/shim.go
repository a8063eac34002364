// Package shim opens Terraform's Docker provider, which upstream keeps in an
// internal package: this module's path lies below upstream's, so the import is
// allowed.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// New returns the provider. version is what it tells registries and engines.
func New(version string) *schema.Provider { return provider.New(version)() }
