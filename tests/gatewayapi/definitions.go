// Package gatewayapi pins the Gateway API whose definitions tests read from its module.
package gatewayapi

import _ "sigs.k8s.io/gateway-api/apis/v1" // the module is what counts
