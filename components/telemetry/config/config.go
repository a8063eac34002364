// Package config renders the configuration files of the OpenTelemetry Collector and of
// Jaeger. Plain Go without Pulumi types.
package config

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// section is a part of a configuration file, whose keys are rendered in order.
type section map[string]any

func render(file section) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(file); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// metrics lets a program of the Collector's kind serve metrics about itself on port. Their
// names have no units in them and no end that tells the type, as those of upstream's own
// default.
func metrics(port int) section {
	return section{"readers": []section{{"pull": section{"exporter": section{"prometheus": section{
		"host": "", "port": port, "without_scope_info": true, "without_type_suffix": true, "without_units": true,
	}}}}}}
}

// jsonLog is the log of a program of the Collector's kind.
var jsonLog = section{"encoding": "json", "level": "info"}
