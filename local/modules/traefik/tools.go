//go:build tools

// Package tools pins what the image of Traefik is built from.
package tools

import _ "github.com/traefik/traefik/v3/cmd/traefik"
