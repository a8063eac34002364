//go:build tools

// Package tools pins what the stand-in for the Grafana image is built from.
package tools

import _ "github.com/grafana/grafana/pkg/cmd/grafana-server"
