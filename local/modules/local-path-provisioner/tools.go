//go:build tools

// Package tools pins what the image of the storage provisioner is built from.
package tools

import _ "github.com/rancher/local-path-provisioner"
