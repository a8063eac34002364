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
		"extensions": section{"file_storage": section{"directory": e.Positions, "create_directory": true, "timeout": "10s"}},
		"receivers": section{"file_log": section{
			"include": []string{path.Join(e.Logs, "*", "*-json.log")}, "include_file_path": true, "include_file_name": false,
			"start_at": "beginning", "storage": "file_storage", "poll_interval": "500ms", "max_concurrent_files": 128,
			"retry_on_failure": section{"enabled": true, "max_elapsed_time": "0s"},
			"operators":        append(operators, ofLines...),
		}},
		"processors": section{"memory_limiter": section{"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 20}},
		"exporters": section{"otlp_http": section{
			"endpoint":         e.Gateway,
			"retry_on_failure": section{"enabled": true, "initial_interval": "1s", "max_interval": "15s", "max_elapsed_time": "0s"},
			"sending_queue":    section{"enabled": false},
		}},
		"service": section{
			"extensions": []string{"file_storage"},
			// Its own lines would be read again, and make more.
			"telemetry": section{"logs": section{"encoding": "json", "level": "error"}, "metrics": section{"level": "none"}},
			"pipelines": section{"logs": section{"receivers": []string{"file_log"}, "processors": []string{"memory_limiter"}, "exporters": []string{"otlp_http"}}},
		},
	})
}
