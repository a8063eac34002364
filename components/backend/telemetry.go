package backend

import (
	"cmp"
	"strconv"
)

// Telemetry is where the processes send logs and traces: the standard variables of
// OpenTelemetry's SDKs, which a build without one ignores.
type Telemetry struct {
	// Endpoint takes OTLP over HTTP, e.g. "http://collector:4318"; "" for none, and no
	// variable is set.
	Endpoint string
	// Logs and Traces tell what it takes.
	Logs, Traces bool
	// Metrics takes metrics by OTLP over HTTP: the whole address; "" where they are only
	// scraped. On a cluster only.
	Metrics string
	// Sampling is the share of the traces that begin in a process itself and are kept, from
	// 0 to 1. Those that come with a request are kept as the request says.
	Sampling float64
	// Attributes of the resource, as OTEL_RESOURCE_ATTRIBUTES has them; "" for the pod's
	// name, which a Docker host has none of.
	Attributes string
}

// Environment gives the variables of one of the processes, by its role. A user's own of
// the same name win.
func (t Telemetry) Environment(role string) map[string]string {
	if t.Endpoint == "" && t.Metrics == "" {
		return nil
	}
	exporter := func(on bool) string {
		if on {
			return "otlp"
		}
		return "none"
	}
	variables := map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		"OTEL_SERVICE_NAME":           "alphapulse-" + role,
		"OTEL_RESOURCE_ATTRIBUTES":    cmp.Or(t.Attributes, "k8s.pod.name=$("+podName+")"),
		"OTEL_LOGS_EXPORTER":          exporter(t.Logs),
		"OTEL_TRACES_EXPORTER":        exporter(t.Traces),
		"OTEL_METRICS_EXPORTER":       exporter(t.Metrics != ""), // they are scraped, too
		"OTEL_TRACES_SAMPLER":         "parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG":     strconv.FormatFloat(t.Sampling, 'f', -1, 64),
	}
	for name, address := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": t.Endpoint, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": t.Metrics} {
		if address != "" {
			variables[name] = address
		}
	}
	return variables
}

// podName is the variable that a pod tells its name in.
const podName = "ALPHAPULSE_POD_NAME"

// fields are the values of the pod itself that Environment refers to.
func (t Telemetry) fields() map[string]string {
	if t.Endpoint == "" && t.Metrics == "" || t.Attributes != "" {
		return nil
	}
	return map[string]string{podName: "metadata.name"}
}
