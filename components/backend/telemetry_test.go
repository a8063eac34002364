package backend

import "testing"

// A process sends what somebody takes, and where: metrics to another one than the rest.
func TestTelemetryIsSentWhereItIsTaken(t *testing.T) {
	const metrics = "http://prometheus:9090/prometheus/api/v1/otlp/v1/metrics"
	for name, c := range map[string]struct {
		telemetry Telemetry
		want      map[string]string
	}{
		"nobody": {Telemetry{}, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_SERVICE_NAME": ""}},
		"logs alone": {Telemetry{Endpoint: "http://collector:4318", Logs: true}, map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "",
		}},
		"metrics alone": {Telemetry{Metrics: metrics}, map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_LOGS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics,
		}},
		"all of it": {Telemetry{Endpoint: "http://collector:4318", Logs: true, Traces: true, Metrics: metrics}, map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics,
		}},
	} {
		got := c.telemetry.Environment("api")
		for variable, want := range c.want {
			if got[variable] != want {
				t.Errorf("%s: %s is %q, want %q", name, variable, got[variable], want)
			}
		}
		// An attribute that refers to a variable which is not there would be told as it stands.
		if (len(got) > 0) != (len(c.telemetry.fields()) > 0) {
			t.Errorf("%s: %v refers to %v", name, got, c.telemetry.fields())
		}
	}
}
