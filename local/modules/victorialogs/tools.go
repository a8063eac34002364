//go:build tools

// Package tools pins what the image of VictoriaLogs is built from.
package tools

import _ "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"
