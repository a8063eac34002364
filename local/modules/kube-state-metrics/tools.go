//go:build tools

// Package tools pins what the kube-state-metrics image is built from.
package tools

import _ "k8s.io/kube-state-metrics/v2"
