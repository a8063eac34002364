package config

// Jaeger is what the configuration of Jaeger v2 depends on.
type Jaeger struct {
	// Directory is where the spans are kept; not read with Elasticsearch.
	Directory string
	// Elasticsearch keeps the spans instead; without a URL there is none.
	Elasticsearch Sink
	// IndexPrefix begins the names of the indices there, and Jaeger puts a hyphen behind it;
	// not read without an Elasticsearch.
	IndexPrefix string
	// Retention is how long spans are kept in Directory, e.g. "48h"; with Elasticsearch, how
	// far back Jaeger looks.
	Retention string
	// BasePath is the path that its pages and its API are served below.
	BasePath string
	// Ports to listen on.
	OTLPPort, QueryPort, QueryGRPCPort, HealthPort, MetricsPort int
}

// The names of the backend, by which its metrics tell what they are about.
const (
	badger        = "badger"
	elasticsearch = "elasticsearch"
)

// indexPriority is that of the templates of Jaeger's indices: above those that come with
// Elasticsearch, which take every logs-*-* for a data stream.
const indexPriority = 500

// Render gives Jaeger's file.
func (j Jaeger) Render() (string, error) {
	store, kept := badger, j.badger()
	if j.Elasticsearch.URL != "" {
		store, kept = elasticsearch, j.elasticsearch()
	}
	return render(section{
		"extensions": section{
			"healthcheckv2":  section{"use_v2": true, "http": section{"endpoint": port(j.HealthPort)}},
			"jaeger_storage": section{"backends": section{store: section{store: kept}}},
			"jaeger_query": section{
				"storage": section{"traces": store}, "base_path": j.BasePath,
				// It would send its own spans to where nobody listens, and warn of it for ever.
				"enable_tracing": false,
				"http":           section{"endpoint": port(j.QueryPort)}, "grpc": section{"endpoint": port(j.QueryGRPCPort)},
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

func (j Jaeger) badger() section {
	return section{
		"directories": section{"keys": j.Directory + "/keys", "values": j.Directory + "/values"},
		"ephemeral":   false, "consistency": false,
		"ttl":                  section{"spans": j.Retention},
		"maintenance_interval": "5m", "metrics_update_interval": "10s",
	}
}

func (j Jaeger) elasticsearch() section {
	// An index a day; Jaeger's own five shards are for far more spans.
	index := section{"shards": 1, "priority": indexPriority}
	s := section{
		"server_urls": []string{j.Elasticsearch.URL},
		// Its default waits for ever.
		"query_timeout": "30s",
		"max_span_age":  j.Retention,
		"indices":       section{"index_prefix": j.IndexPrefix, "spans": index, "services": index},
	}
	if j.Elasticsearch.CredentialFile != "" {
		s["auth"] = section{"api_key": section{"file_path": j.Elasticsearch.CredentialFile}}
	}
	if j.Elasticsearch.CAFile != "" {
		s["tls"] = section{"ca_file": j.Elasticsearch.CAFile}
	}
	return s
}
