package config

// Jaeger is what the configuration of Jaeger v2 depends on.
type Jaeger struct {
	// Directory is where the spans are kept, Retention for how long, e.g. "48h".
	Directory, Retention string
	// BasePath is the path that its pages and its API are served below.
	BasePath string
	// Ports to listen on.
	OTLPPort, QueryPort, QueryGRPCPort, HealthPort, MetricsPort int
}

// Render gives Jaeger's file.
func (j Jaeger) Render() (string, error) {
	const store = "badger"
	return render(section{
		"extensions": section{
			"healthcheckv2": section{"use_v2": true, "http": section{"endpoint": port(j.HealthPort)}},
			"jaeger_storage": section{"backends": section{store: section{"badger": section{
				"directories": section{"keys": j.Directory + "/keys", "values": j.Directory + "/values"},
				"ephemeral":   false, "consistency": false,
				"ttl":                  section{"spans": j.Retention},
				"maintenance_interval": "5m", "metrics_update_interval": "10s",
			}}}},
			"jaeger_query": section{
				"storage": section{"traces": store}, "base_path": j.BasePath,
				"http": section{"endpoint": port(j.QueryPort)}, "grpc": section{"endpoint": port(j.QueryGRPCPort)},
			},
		},
		"receivers": section{"otlp": section{"protocols": section{"http": section{"endpoint": port(j.OTLPPort)}}}},
		"exporters": section{"jaeger_storage_exporter": section{"trace_storage": store}},
		"service": section{
			"extensions": []string{"healthcheckv2", "jaeger_storage", "jaeger_query"},
			"telemetry":  section{"metrics": metrics(j.MetricsPort), "logs": jsonLog},
			// What comes is batched already.
			"pipelines": section{"traces": section{"receivers": []string{"otlp"}, "exporters": []string{"jaeger_storage_exporter"}}},
		},
	})
}
