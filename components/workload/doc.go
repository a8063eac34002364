// Package workload describes a process once and renders it twice: as a container of a
// pod that passes Pod Security "restricted", or as a hardened container of a Docker host.
// What every workload has in common (hardening, probes, rollouts, disruption budgets,
// Services, files that are named by their content) is stated here and nowhere else.
package workload
