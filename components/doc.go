// Package components holds the components of the platform, a library for any Pulumi
// program in Go:
//
//   - platform: a namespace with its security level, a quota that follows from what is in
//     it, and network policies that allow what is listed; and generated credentials.
//   - database: TimescaleDB, tuned to its limits.
//   - cache: Redis, bounded by its memory limit.
//   - backend: an autoscaled API, a singleton and a dashboard, of any image.
//   - frontend: pages that any HTTP server serves.
//   - ingress: nginx in front of all of them, with TLS and limits.
//   - monitoring: Prometheus, Alertmanager and Grafana for one namespace.
//   - telemetry: an OpenTelemetry Collector, and where logs and traces are kept.
//   - images: an image that is built from a folder.
//   - addons: what belongs to a cluster and is shared by its stacks: cert-manager.
//   - workload: pods, and containers of a Docker host, with the hardening that each of the
//     above has, for a component of one's own.
//   - room: what a component says about itself before it exists.
//
// Each takes typed arguments, whose zero values ask for the defaults, and reports all
// that is wrong with them in one error before it registers anything. Each has a
// constructor for a cluster and, where it makes sense, one for a Docker host. None needs
// another one, a setting of a stack, or the package stacks.
package components
