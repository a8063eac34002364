package ingress

import (
	"bytes"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The forwarder takes nginx' log from the pod's loopback address and passes it on. nginx
// sends datagrams and never waits: a forwarder that is slow or gone costs lines, and no
// request.

// Forwarding is where the edge's log goes.
type Forwarding struct {
	// To is the address that takes OTLP over HTTP, e.g. "http://collector:4318"; "" for
	// none, and no forwarder runs.
	To string
	// Image of the OpenTelemetry Collector, contrib distribution.
	Image pulumi.StringInput
	// Resources of the forwarder.
	Resources room.Resources
}

// On tells whether there is a forwarder.
func (f Forwarding) On() bool { return f.To != "" }

// validate tells problem what is wrong.
func (f Forwarding) validate(problem func(format string, v ...any)) {
	if !f.On() {
		return
	}
	if room.Address(f.To, "http", "https") == nil {
		problem("Logs.To is %q: write e.g. http://collector:4318", room.Shown(f.To))
	}
	if f.Image == nil {
		problem("Logs.Image is missing: pass one of the OpenTelemetry Collector")
	}
	if err := f.Resources.Validate(); err != nil {
		problem("Logs.Resources: %w", err)
	}
}

const (
	forwarderAddress    = "127.0.0.1:5514"
	forwarderHealthPort = 13133
	forwarderDir        = "/etc/edge-forwarder"
	forwarderFile       = "forwarder.yaml"
	// forwarderUser is the uid of the Collector's images.
	forwarderUser = 10001
)

// section is a part of the forwarder's file.
type section map[string]any

// forwarderConfig is the forwarder's file. A line keeps its fields as attributes; its text
// is what a person wants to see of it. It belongs to the request's trace.
func (a *Args) forwarderConfig() (string, error) {
	file := section{
		"extensions": section{"health_check": section{"endpoint": fmt.Sprintf(":%d", forwarderHealthPort)}},
		"receivers": section{"syslog": section{
			"udp":      section{"listen_address": forwarderAddress},
			"protocol": "rfc3164",
			"resource": section{"service.name": "alphapulse-edge", "k8s.pod.name": "${env:POD_NAME}", "k8s.namespace.name": "${env:POD_NAMESPACE}"},
			"operators": []section{
				{"type": "json_parser", "parse_from": "attributes.message", "parse_to": "attributes.line"},
				{"type": "retain", "fields": []string{"attributes.line"}},
				{"type": "time_parser", "parse_from": "attributes.line.time", "layout_type": "gotime", "layout": "2006-01-02T15:04:05Z07:00"},
				{"type": "trace_parser",
					"trace_id":    section{"parse_from": "attributes.line.trace_id"},
					"span_id":     section{"parse_from": "attributes.line.span_id"},
					"trace_flags": section{"parse_from": "attributes.line.trace_flags"}},
				{"type": "severity_parser", "parse_from": "attributes.line.status", "overwrite_text": true, "mapping": section{"error": "5xx", "warn": "4xx", "info": []any{section{"min": 100, "max": 199}, "2xx", "3xx"}}},
				{"type": "add", "field": "body", "value": `EXPR(attributes.line.method + " " + attributes.line.host + attributes.line.path + " " + string(attributes.line.status))`},
				{"type": "flatten", "field": "attributes.line"},
				{"type": "remove", "field": "attributes.time"},
				{"type": "remove", "field": "attributes.trace_id"},
				{"type": "remove", "field": "attributes.span_id"},
				{"type": "remove", "field": "attributes.trace_flags"},
			},
		}},
		"processors": section{"memory_limiter": section{"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}},
		"exporters": section{"otlp_http": section{
			"endpoint":         a.Logs.To,
			"retry_on_failure": section{"enabled": true, "initial_interval": "1s", "max_interval": "5s", "max_elapsed_time": "0s"},
			"sending_queue": section{
				"enabled": true, "sizer": "items", "queue_size": 20000, "num_consumers": 2,
				"batch": section{"sizer": "items", "flush_timeout": "1s", "min_size": 512, "max_size": 2048},
			},
		}},
		"service": section{
			"extensions": []string{"health_check"},
			// Nobody scrapes it: it tells the gateway what it lost.
			"telemetry": section{
				"resource": section{"attributes": []section{
					{"name": "service.name", "value": "alphapulse-edge-forwarder"}, {"name": "service.instance.id", "value": "${env:POD_NAME}"},
				}},
				"logs": section{"encoding": "json", "level": "warn"},
				"metrics": section{"readers": []section{{"periodic": section{"interval": 15000, "exporter": section{"otlp": section{
					"protocol": "http/protobuf", "endpoint": a.Logs.To + "/v1/metrics",
				}}}}}},
			},
			"pipelines": section{"logs": section{
				"receivers": []string{"syslog"}, "processors": []string{"memory_limiter"}, "exporters": []string{"otlp_http"},
			}},
		},
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(file); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// forwarder passes the log on. It has no readiness: without it the edge serves.
func (a *Args) forwarder(name string) (workload.Process, workload.Volume, error) {
	file, err := a.forwarderConfig()
	if err != nil {
		return workload.Process{}, workload.Volume{}, err
	}
	volume := workload.Folder(workload.Plain("forwarder", map[string]string{forwarderFile: file}))
	return workload.Process{
		Name: "forwarder", Identity: Edge(name), Image: a.Logs.Image, User: forwarderUser,
		Args:           pulumi.ToStringArray([]string{"--config=" + forwarderDir + "/" + forwarderFile}),
		Env:            pulumi.StringMap{"GOMEMLIMIT": pulumi.String(fmt.Sprintf("%dMiB", a.Logs.Resources.Limits.Memory.Value()/5*4>>20))},
		Fields:         map[string]string{"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"},
		Resources:      a.Logs.Resources,
		Ports:          []workload.Port{{Name: "forwarder", Number: forwarderHealthPort}},
		Mounts:         []workload.Mount{{Volume: volume.Name, Path: forwarderDir, ReadOnly: true}},
		Alive:          &workload.Probe{Path: "/", Port: "forwarder", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3},
		StartupSeconds: startupSeconds, GraceSeconds: 10,
	}, volume, nil
}
