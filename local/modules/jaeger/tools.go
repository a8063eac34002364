//go:build tools

// Package tools pins what the image of Jaeger is built from.
package tools

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
