package images

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

// otelcol is the OpenTelemetry Collector of stacks that keep logs or traces.
func otelcol() Image {
	const id = "10001"
	return Image{
		Optional: true,
		layers:   []debian.Recipe{certificates},
		tools:    map[string]string{"/otelcol-contrib": "otelcol-contrib"},
		tree:     accounts("otel", 10001, "/"),
		config: v1.Config{
			User: id + ":" + id, Env: []string{searchPath}, WorkingDir: "/",
			Entrypoint: []string{"/otelcol-contrib"}, Cmd: []string{"--config", "/etc/otelcol-contrib/config.yaml"},
			ExposedPorts: set("4317/tcp", "4318/tcp"),
		},
	}.row("otelcol", "local/modules/otelcol", "0.165.1",
		"only the components that the project configures, of upstream's 200 and more; the exporter for Elasticsearch is none of them, as it cannot be built here",
		"docker.io/otel/opentelemetry-collector-contrib:0.165.1")
}

// victoriaLogs keeps logs.
func victoriaLogs() Image {
	return Image{
		Optional: true,
		layers:   []debian.Recipe{certificates, busybox},
		tools:    map[string]string{"/victoria-logs-prod": "victoria-logs"},
		tree:     join(accounts("", 0, ""), shell()),
		config: v1.Config{
			Env: []string{searchPath}, WorkingDir: "/", Entrypoint: []string{"/victoria-logs-prod"}, ExposedPorts: set("9428/tcp"),
		},
	}.row("victoria-logs", "Go module github.com/VictoriaMetrics/VictoriaLogs", "1.52.1", "",
		"docker.io/victoriametrics/victoria-logs:v1.52.1")
}

// jaeger keeps traces.
func jaeger() Image {
	return Image{
		Optional: true,
		layers:   []debian.Recipe{certificates},
		tools:    map[string]string{"/cmd/jaeger/jaeger-linux": "jaeger"},
		tree:     join(accounts("jaeger", 10001, "/"), oci.Tree{"/data": dir(0o755, 10001)}),
		config: v1.Config{
			User: "10001", Env: []string{searchPath}, WorkingDir: "/cmd/jaeger", Entrypoint: []string{"/cmd/jaeger/jaeger-linux"},
			ExposedPorts: set("4317/tcp", "4318/tcp", "16686/tcp"),
		},
	}.row("jaeger", "Go module github.com/jaegertracing/jaeger", "2.13.0",
		"one plain page in place of its own, which its Go module lacks",
		"docker.io/jaegertracing/jaeger:2.13.0")
}
