package config

import (
	"path"
	"regexp"
)

// Engine is what the configuration depends on of whoever reads the log files of a Docker
// engine.
type Engine struct {
	// Gateway takes the lines, by OTLP over HTTP.
	Gateway string
	// Prefix is what the names of containers begin with, before a dash, whose lines are
	// taken: each line says whose it is. Others' are dropped as they are read.
	Prefix string
	// Logs is the folder of the engine's containers, Positions where the reader remembers
	// how far it has read.
	Logs, Positions string
}

// Render gives the Collector's file. What waits for the gateway waits in the engine's files,
// for as long as the engine keeps them.
func (e Engine) Render() (string, error) {
	whose := `^` + regexp.QuoteMeta(e.Prefix) + `-(?P<workload>.+?)(?:-\d+)?$`
	operators := []section{
		{"type": "json_parser", "on_error": "drop_quiet", "timestamp": section{"parse_from": "attributes.time", "layout_type": "gotime", "layout": "2006-01-02T15:04:05.999999999Z"}},
		{"type": "filter", "expr": `attributes.attrs == nil or attributes.attrs.tag == nil or not (attributes.attrs.tag startsWith "` + e.Prefix + `-")`},
		// The engine divides what is longer than 16 KiB; the last part ends the line.
		{"type": "recombine", "combine_field": "attributes.log", "combine_with": "", "is_last_entry": `attributes.log endsWith "\n"`,
			"source_identifier": `attributes["log.file.path"]`, "force_flush_period": "5s", "max_log_size": "1MiB"},
		{"type": "move", "from": "attributes.attrs.tag", "to": `resource["container.name"]`},
		{"type": "move", "from": "attributes.stream", "to": `attributes["log.iostream"]`},
		{"type": "regex_parser", "parse_from": `resource["container.name"]`, "parse_to": "resource", "regex": whose},
		{"type": "add", "field": `resource["service.name"]`, "value": `EXPR("alphapulse-" + resource.workload)`},
		{"type": "remove", "field": "resource.workload"},
		{"type": "regex_parser", "parse_from": "attributes.log", "regex": `^(?P<line>(?s:.*?))\n?$`},
		{"type": "move", "from": "attributes.line", "to": "body"},
		{"type": "remove", "field": "attributes.log"},
		{"type": "remove", "field": "attributes.attrs"},
		{"type": "remove", "field": "attributes.time"},
	}
	return render(section{
		"extensions": section{"file_storage": positions(e.Positions)},
		"receivers":  section{"file_log": filesOf([]string{path.Join(e.Logs, "*", "*-json.log")}, nil, operators)},
		"processors": readerProcessors,
		"exporters":  section{"otlp_http": toGateway(e.Gateway)},
		"service": section{
			"extensions": []string{"file_storage"},
			// Its own lines would be read again, and make more. The gateway tells Prometheus of it,
			// as of the agents of a cluster.
			"telemetry": section{
				"resource": calledReader(e.Prefix),
				"logs":     section{"encoding": "json", "level": "error"},
				"metrics":  section{"readers": []section{tell(e.Gateway)}},
			},
			"pipelines": section{"logs": section{"receivers": []string{"file_log"}, "processors": []string{"memory_limiter"}, "exporters": []string{"otlp_http"}}},
		},
	})
}
