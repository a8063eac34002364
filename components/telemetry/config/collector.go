package config

import (
	"fmt"
	"slices"
)

// Sink is where the Collector sends one signal.
type Sink struct {
	// Protocol of the backend; "" sends the signal nowhere.
	Protocol Protocol
	// URL of the backend. For OTLP it is what the signal's path is put after, but with
	// Exact it is taken as it is.
	URL   string
	Exact bool
	// Header is the name of the one that carries the credential. CredentialFile holds that
	// alone; "" for none.
	Header, CredentialFile string
	// CAFile holds the certificates that the backend's is trusted by; "" for those of the
	// image.
	CAFile string
}

// Protocol is what a backend speaks.
type Protocol string

// The protocols.
const (
	// OTLP is OpenTelemetry's own, over HTTP with protobuf.
	OTLP Protocol = "otlp"
	// Elasticsearch is its bulk API, into data streams; for logs.
	Elasticsearch Protocol = "elasticsearch"
)

// Collector is what the configuration of the gateway depends on.
type Collector struct {
	// Logs and Traces are where the signals go.
	Logs, Traces Sink
	// Tail decides about whole traces; nil keeps each.
	Tail *Tail
	// Namespace is the value of the resource attribute k8s.namespace.name of what brings
	// none itself.
	Namespace string
	// QueueDirectory is where what could not be sent yet waits.
	QueueDirectory string
	// QueueBytes is the most that waits there of one signal, in bytes.
	QueueBytes int64
	// Ports to listen on; on ForwardedPort it serves the metrics that it is sent, and those
	// of spans.
	GRPCPort, HTTPPort, HealthPort, MetricsPort, ForwardedPort int
}

// Tail is what is decided about a trace once it is whole: those with an error, and slow
// ones, are kept.
type Tail struct {
	// Share of the others that is kept, from 0 to 1.
	Share float64
	// SlowMilliseconds is how long a trace takes that is slow.
	SlowMilliseconds int
	// Traces is how many may wait in memory to be decided about. With one more the oldest is
	// given up, and counted.
	Traces int64
}

// TailWait is how long after its first span a trace is taken for whole. Spans that come
// later follow what was decided.
const TailWait = "10s"

// processor is upstream's tail_sampling: a trace is kept that any of the policies keeps.
func (s Tail) processor() section {
	policy := func(name string, how section) section {
		return section{"name": name, "type": name, name: how}
	}
	return section{
		"decision_wait": TailWait, "num_traces": s.Traces,
		"decision_cache": section{"sampled_cache_size": 4 * s.Traces, "non_sampled_cache_size": 4 * s.Traces},
		"policies": []section{
			policy("status_code", section{"status_codes": []string{"ERROR"}}),
			policy("latency", section{"threshold_ms": s.SlowMilliseconds}),
			policy("probabilistic", section{"sampling_percentage": s.Share * 100}),
		},
	}
}

// The names of exporters, by which their metrics tell what they are about.
const (
	LogsExporter   = "logs"
	TracesExporter = "traces"
)

// latencyBuckets are the bounds of the span metrics' histogram.
var latencyBuckets = []string{"5ms", "10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s"}

// called are the attributes of a client's span that tell whom it calls: OpenTelemetry's
// conventions, and those of before 2025 for databases.
var called = []section{{"name": "server.address"}, {"name": "db.system.name"}, {"name": "db.system"}}

// Render gives the Collector's file. What it takes is on disk before it is answered for,
// and stays there until the backend has it: a backend that is away costs nobody a line
// until the queue is full.
func (c Collector) Render() (string, error) {
	exporters := section{"prometheus": section{"endpoint": port(c.ForwardedPort), "enable_open_metrics": true, "metric_expiration": "15m"}}
	connectors, pipelines, metricsFrom := section{}, section{}, []string{"otlp"}
	processors := []string{"memory_limiter", "resource"}
	if c.Logs.Protocol != "" {
		name := c.Logs.exporter(LogsExporter)
		exporters[name] = c.export(c.Logs, "logs")
		of := processors
		if c.Logs.Protocol == Elasticsearch {
			of = append(of[:len(of):len(of)], dataStream)
		}
		pipelines["logs"] = section{"receivers": []string{"otlp"}, "processors": of, "exporters": []string{name}}
	}
	if c.Traces.Protocol != "" {
		name := c.Traces.exporter(TracesExporter)
		exporters[name] = c.export(c.Traces, "traces")
		connectors["span_metrics"] = section{
			"namespace": "span", "histogram": section{"unit": "s", "explicit": section{"buckets": latencyBuckets}},
			"exemplars": section{"enabled": true}, "metrics_flush_interval": "15s",
			// A client could make any number of names up.
			"aggregation_cardinality_limit":   2000,
			"exclude_dimensions":              []string{"collector.instance.id"},
			"resource_metrics_key_attributes": []string{"service.name"},
			"dimensions":                      called,
		}
		pipelines["traces"] = section{"receivers": []string{"otlp"}, "processors": processors, "exporters": []string{name, "span_metrics"}}
		if c.Tail != nil {
			// The metrics of spans are those of all of them.
			pipelines["traces"] = section{"receivers": []string{"otlp"}, "processors": append(slices.Clone(processors), "tail_sampling"), "exporters": []string{name}}
			pipelines["traces/all"] = section{"receivers": []string{"otlp"}, "processors": processors, "exporters": []string{"span_metrics"}}
		}
		metricsFrom = append(metricsFrom, "span_metrics")
	}
	// Who cannot be scraped sends metrics, too.
	pipelines["metrics"] = section{"receivers": metricsFrom, "processors": processors, "exporters": []string{"prometheus"}}
	file := section{
		"extensions": section{
			"health_check": section{"endpoint": port(c.HealthPort)},
			"file_storage": section{
				"directory": c.QueueDirectory, "create_directory": true, "timeout": "10s",
				"compaction": section{"directory": c.QueueDirectory, "on_start": true, "on_rebound": true,
					"rebound_needed_threshold_mib": 64, "rebound_trigger_threshold_mib": 8},
			},
		},
		"receivers": section{"otlp": section{"protocols": section{
			"grpc": section{"endpoint": port(c.GRPCPort)}, "http": section{"endpoint": port(c.HTTPPort)},
		}}},
		"processors": c.processors(),
		"exporters":  exporters,
		"service": section{
			"extensions": []string{"health_check", "file_storage"},
			"telemetry":  section{"metrics": metrics(c.MetricsPort), "logs": jsonLog},
			"pipelines":  pipelines,
		},
	}
	if len(connectors) > 0 {
		file["connectors"] = connectors
	}
	if c.Traces.Protocol != "" && c.Tail != nil {
		file["processors"].(section)["tail_sampling"] = c.Tail.processor()
	}
	return render(file)
}

// dataStream is the processor that makes Elasticsearch's data streams the stack's own.
const dataStream = "resource/data_stream"

func (c Collector) processors() section {
	all := section{
		// Above it clients are asked to wait, and are not answered for.
		"memory_limiter": section{"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20},
		"resource": section{"attributes": []section{
			{"key": "k8s.namespace.name", "value": c.Namespace, "action": "insert"},
		}},
	}
	if c.Logs.Protocol == Elasticsearch {
		// The exporter writes to logs-*.otel-NAMESPACE then.
		all[dataStream] = section{"attributes": []section{{"key": "data_stream.namespace", "value": c.Namespace, "action": "upsert"}}}
	}
	return all
}

// exporter is the name of the sink's exporter.
func (s Sink) exporter(signal string) string {
	if s.Protocol == Elasticsearch {
		return "elasticsearch/" + signal
	}
	return "otlp_http/" + signal
}

// elasticsearchRetries at 15 s each are half a year.
const elasticsearchRetries = 1_000_000

// export is the exporter of one signal.
func (c Collector) export(to Sink, signal string) section {
	e := section{
		"timeout": "30s",
		"sending_queue": section{
			"enabled": true, "storage": "file_storage", "sizer": "bytes", "queue_size": c.QueueBytes, "num_consumers": 4,
			"batch": section{"sizer": "items", "flush_timeout": "1s", "min_size": 1024, "max_size": 4096},
		},
	}
	if to.CAFile != "" {
		e["tls"] = section{"ca_file": to.CAFile}
	}
	if to.Protocol == Elasticsearch {
		e["endpoints"] = []string{to.URL}
		// This exporter has a way of its own to try again, and knows no other. By default it
		// gives up after two tries, and on what a proxy answers at once.
		e["retry"] = section{"enabled": true, "initial_interval": "1s", "max_interval": "15s", "max_retries": elasticsearchRetries, "retry_on_status": []int{429, 502, 503, 504}}
		if to.CredentialFile != "" {
			e["api_key"] = fmt.Sprintf("${file:%s}", to.CredentialFile)
		}
		return e
	}
	// There is no time after which it gives up: what cannot be kept any longer is refused at
	// the queue's other end, and counted.
	e["retry_on_failure"] = section{"enabled": true, "initial_interval": "1s", "max_interval": "15s", "max_elapsed_time": "0s"}
	if to.Exact {
		e[signal+"_endpoint"] = to.URL
	} else {
		e["endpoint"] = to.URL
	}
	if to.CredentialFile != "" {
		e["headers"] = section{to.Header: fmt.Sprintf("${file:%s}", to.CredentialFile)}
	}
	return e
}

// port is an address of every family.
func port(number int) string { return fmt.Sprintf(":%d", number) }
