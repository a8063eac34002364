// Package lines runs the programs that take, keep and show log lines and traces, with the
// files of a recorded stack: Grafana, VictoriaLogs and the Collector.
package lines
