// Package telemetry holds what a process tells about itself: its log, its metrics and
// its traces.
package telemetry

import (
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry with the process', the Go runtime's and the
// build's metrics.
func NewRegistry(mode, version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	goVersion, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "alphapulse_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"mode": mode, "version": version, "revision": revision, "go_version": goVersion},
	})
	build.Set(1)
	r.MustRegister(build)
	return r
}

// Handler serves the metrics, as OpenMetrics to those who ask for it: only that form
// has exemplars, which lead from a latency to a trace.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, EnableOpenMetrics: true})
}
