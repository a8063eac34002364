// Command alphapulse-infra is the Pulumi program that deploys AlphaPulse.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/stacks"
)

func main() { pulumi.Run(stacks.Deploy) }
