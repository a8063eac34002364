// Package telemetry holds what a process tells about itself: its log and its metrics.
package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewLog returns a log of JSON lines. Every line says that the market is simulated.
func NewLog(w io.Writer, mode string, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})).With("mode", mode, "market", "simulated")
}

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

// Handler serves the metrics.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})
}
