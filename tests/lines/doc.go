// Package lines has the Grafana of a recorded stack ask a real VictoriaLogs for log lines, on
// the way of its data source and by what the stack's dashboards and traces ask.
package lines
