// Package shim opens Terraform's random provider, which upstream keeps in an
// internal package: this module's path lies below upstream's, so the import is
// allowed.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	random "github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// New returns the provider.
func New() provider.Provider { return random.New() }
