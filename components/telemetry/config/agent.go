package config

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Agent is what the configuration of the agent on a node depends on, which reads what the
// kubelet writes of containers.
type Agent struct {
	// Gateways take the lines of a namespace, by its name: the addresses of OTLP over HTTP.
	Gateways map[string]string
	// Exclude are containers that are not read, as PODS/CONTAINERS with * for any
	// characters, e.g. "edge-*/nginx".
	Exclude []string
	// Logs is the folder that the kubelet writes to, Positions where the agent remembers
	// how far it has read.
	Logs, Positions string
	// HealthPort is the TCP port on which it tells that it runs.
	HealthPort int
}

// AgentService is what the agent calls itself among the metrics that it sends.
const AgentService = "alphapulse-log-agent"

// Render gives the Collector's file. What waits for a gateway waits in the kubelet's files:
// the agent reads on when what it has read is taken.
func (a Agent) Render() (string, error) {
	receivers, exporters, pipelines := section{}, section{}, section{}
	var tells []section
	for _, namespace := range slices.Sorted(maps.Keys(a.Gateways)) {
		gateway := a.Gateways[namespace]
		of := func(pods string) string { return path.Join(a.Logs, namespace+"_"+pods, "*.log") }
		excluded := make([]string, len(a.Exclude))
		for i, e := range a.Exclude {
			pods, containers, _ := strings.Cut(e, "/")
			excluded[i] = of(pods + "_*/" + containers)
		}
		read := filesOf(of("*_*/*"), ofKubelet)
		read["exclude"] = excluded
		receivers["file_log/"+namespace] = read
		exporters["otlp_http/"+namespace] = toGateway(gateway)
		pipelines["logs/"+namespace] = section{
			"receivers": []string{"file_log/" + namespace}, "processors": []string{"memory_limiter"}, "exporters": []string{"otlp_http/" + namespace},
		}
		tells = append(tells, section{"periodic": section{"interval": 15000, "exporter": section{"otlp": section{
			"protocol": "http/protobuf", "endpoint": gateway + "/v1/metrics",
		}}}})
	}
	return render(section{
		"extensions": section{
			"health_check": section{"endpoint": port(a.HealthPort)},
			"file_storage": positions(a.Positions),
		},
		"receivers":  receivers,
		"processors": readerProcessors,
		"exporters":  exporters,
		"service": section{
			"extensions": []string{"health_check", "file_storage"},
			// No Prometheus reaches into its namespace: it tells each gateway.
			"telemetry": section{
				"resource": section{"attributes": []section{
					{"name": "service.name", "value": AgentService}, {"name": "service.instance.id", "value": "${env:NODE_NAME}"},
				}},
				"logs":    section{"encoding": "json", "level": "warn"},
				"metrics": section{"readers": tells},
			},
			"pipelines": pipelines,
		},
	})
}

// TakenFirst is a flag of each Collector that reads files: where it has got to is noted once
// what it has read is taken. Without it a kill loses what is on its way
// (opentelemetry-collector-contrib, issue 35456).
const TakenFirst = "--feature-gates=+stanza.synchronousLogEmitter"

// filesOf reads lines of files, each of which is first taken for what whoever writes the
// files makes of it.
func filesOf(include string, first []section) section {
	return section{
		"include": []string{include}, "include_file_path": true, "include_file_name": false,
		"start_at": "beginning", "storage": "file_storage", "poll_interval": "500ms", "max_concurrent_files": 128,
		// As long as it takes: what is read and not taken is offered again.
		"retry_on_failure": section{"enabled": true, "max_elapsed_time": "0s"},
		"operators":        slices.Concat(first, ofLines),
	}
}

// toGateway sends lines on; those that are not taken wait in their files.
func toGateway(address string) section {
	return section{
		"endpoint":         address,
		"retry_on_failure": section{"enabled": true, "initial_interval": "1s", "max_interval": "15s", "max_elapsed_time": "0s"},
		"sending_queue":    section{"enabled": false},
	}
}

// positions remember how far files are read.
func positions(folder string) section {
	return section{"directory": folder, "create_directory": true, "timeout": "10s"}
}

// readerProcessors bound the memory of whoever reads files.
var readerProcessors = section{"memory_limiter": section{"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}}

// The ways in which programs name a severity.
const (
	logfmt   = `\b(?:level|lvl)=(?P<level>[A-Za-z]+)`
	klog     = `^(?P<level>[IWEF])\d{4} \d\d:`
	redis    = `^\d+:[XCSM] \d+ \w+ \d+ [\d:.]+ (?P<level>[.*#-]) `
	brackets = `\[(?P<level>debug|info|notice|warn|error|crit|alert|emerg)\] `
	// The backups' server writes the status of each request.
	requests = `^[\d:]+ \| vgw \| (?P<level>[2-5]\d\d) \| `
	// PostgreSQL, PgBouncer, Patroni and pgBackRest write one in capitals after time and
	// process.
	capitals = `^.{0,160}?\b(?P<level>DEBUG[1-5]?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|INFO|LOG|NOTICE|WARN|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b:? `
)

// traceback are the lines of one in Python, of which none names a severity: Patroni's own
// log ends where a thread of its HTTP server does.
const traceback = `^(?:Traceback \(most recent call last\):|Exception in thread |Exception occurred | {2}File "| {4}\S|[\w.]+(?:Error|Exception)(?:: |$))`

// ofKubelet are what a line is in a file of the kubelet's: time, pod and container.
var ofKubelet = []section{
	{"type": "container"},
	// A Deployment's, a CronJob's, a StatefulSet's and a Job's pods are called after them.
	{"type": "regex_parser", "parse_from": `resource["k8s.pod.name"]`, "parse_to": "resource",
		"regex": `^(?P<workload>.+?)(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}|-\d{8}-[a-z0-9]{5}|-\d+|-[bcdfghjklmnpqrstvwxz2456789]{5})?$`},
	{"type": "add", "field": `resource["service.name"]`, "value": `EXPR("alphapulse-" + resource.workload)`},
	{"type": "remove", "field": "resource.workload"},
}

// ofLines make a log record of a line: severity and trace by what the program wrote, as
// JSON or as text.
var ofLines = func() []section {
	when := func(condition string, of section) section {
		of["if"] = condition
		if _, said := of["on_error"]; !said {
			of["on_error"] = "send_quiet"
		}
		return of
	}
	is := func(field string) string { return field + " != nil" }
	no := func(field string) string { return field + " == nil" }
	all := []section{
		when(`body startsWith "{"`, section{"type": "json_parser"}),
	}
	for _, name := range []string{"severity", "lvl"} {
		all = append(all, when(is("attributes."+name)+" and "+no("attributes.level"), section{"type": "move", "from": "attributes." + name, "to": "attributes.level"}))
	}
	for _, name := range []string{"msg", "message"} {
		all = append(all, when(is("attributes."+name), section{"type": "move", "from": "attributes." + name, "to": "body"}))
	}
	for _, pattern := range []string{logfmt, klog, redis, brackets, requests, capitals} {
		all = append(all, when(no("attributes.level"), section{"type": "regex_parser", "regex": pattern}))
	}
	return append(all,
		when(no("attributes.level")+" and body matches "+strconv.Quote(traceback), section{"type": "add", "field": "attributes.level", "value": "error"}),
		when(is("attributes.level"), section{"type": "severity_parser", "parse_from": "attributes.level", "overwrite_text": true, "mapping": section{
			"debug": []string{"debug1", "debug5", "dbug", "-", "."}, "info": []string{"log", "notice", "detail", "hint", "statement", "context", "query", "i", "*", "2xx", "3xx"}, "warn": []string{"w", "#", "4xx"},
			"error": []string{"e", "eror", "crit", "critical", "5xx"}, "fatal": []string{"f", "panic", "alert", "emerg"},
		}}),
		when(is("attributes.level"), section{"type": "remove", "field": "attributes.level"}),
		when(is("attributes.trace_id"), section{"type": "trace_parser",
			"trace_id": section{"parse_from": "attributes.trace_id"}, "span_id": section{"parse_from": "attributes.span_id"}}),
		when(is("attributes.trace_id"), section{"type": "remove", "field": "attributes.trace_id"}),
		when(is("attributes.span_id"), section{"type": "remove", "field": "attributes.span_id"}),
		section{"type": "remove", "field": "attributes.logtag", "on_error": "send_quiet"},
		section{"type": "remove", "field": `attributes["log.file.path"]`, "on_error": "send_quiet"},
	)
}()
