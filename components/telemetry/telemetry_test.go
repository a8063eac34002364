package telemetry_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/telemetry"
	"github.com/alphapulse/alphapulse-infra/components/telemetry/config"
)

// file is the part of a Collector's configuration that the tests look at.
type file struct {
	Exporters map[string]struct {
		Endpoint     string
		Endpoints    []string
		LogsEndpoint string `yaml:"logs_endpoint"`
		APIKey       string `yaml:"api_key"`
		Headers      map[string]string
		TLS          struct {
			CAFile string `yaml:"ca_file"`
		}
		Queue struct {
			Enabled bool
			Storage string
			Size    int64 `yaml:"queue_size"`
		} `yaml:"sending_queue"`
		Retry *struct {
			MaxElapsed string `yaml:"max_elapsed_time"`
		} `yaml:"retry_on_failure"`
		Tries *struct {
			Enabled bool
			Max     int   `yaml:"max_retries"`
			On      []int `yaml:"retry_on_status"`
		} `yaml:"retry"`
	}
	Processors map[string]struct {
		Attributes []struct{ Key, Value, Action string }
	}
	Service struct {
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

// on is a telemetry with everything that is not said by default.
func on(t *testing.T, a telemetry.Args) (*telemetry.Args, file) {
	t.Helper()
	a.Namespace = pulumi.String("any")
	d, err := a.Validated()
	require.NoError(t, err)
	raw, err := d.CollectorConfig("tell", "team")
	require.NoError(t, err)
	var f file
	require.NoError(t, yaml.Unmarshal([]byte(raw), &f))
	return d, f
}

// What was taken survives the gateway and a backend that is away for long.
func TestNothingWaitsInMemory(t *testing.T) {
	d, f := on(t, telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.Local}, Traces: telemetry.Signal{Backend: telemetry.Local}})
	var queues int64
	for _, name := range []string{"otlp_http/logs", "otlp_http/traces"} {
		e := f.Exporters[name]
		assert.True(t, e.Queue.Enabled, name)
		assert.Equal(t, "file_storage", e.Queue.Storage, name)
		assert.Equal(t, "0s", e.Retry.MaxElapsed, "%s: it would give up", name)
		queues += e.Queue.Size
	}
	assert.Less(t, queues, d.Collector.Storage.Value()*9/10, "the queues fill the volume")
	assert.Greater(t, queues, d.Collector.Storage.Value()/2)
	for name, p := range f.Service.Pipelines {
		require.NotEmpty(t, p.Processors, name)
		assert.Equal(t, "memory_limiter", p.Processors[0], "%s: it comes first", name)
		assert.NotContains(t, p.Processors, "batch", "%s: what it holds is on no disk", name)
	}
	assert.Equal(t, "http://tell-logs:9428/logs/insert/opentelemetry/v1/logs", f.Exporters["otlp_http/logs"].LogsEndpoint)
	assert.Equal(t, "http://tell-traces:4318", f.Exporters["otlp_http/traces"].Endpoint)
}

// Whole traces are decided about where some are dropped, and nothing waits where all are kept.
func TestTracesAreDecidedAbout(t *testing.T) {
	share := func(v float64) *float64 { return &v }
	local := telemetry.Signal{Backend: telemetry.Local}
	_, every := on(t, telemetry.Args{Traces: local})
	assert.NotContains(t, every.Service.Pipelines["traces"].Processors, "tail_sampling")
	_, some := on(t, telemetry.Args{Traces: local, Tail: telemetry.Tail{Share: share(0)}})
	kept := some.Service.Pipelines["traces"]
	assert.Equal(t, "tail_sampling", kept.Processors[len(kept.Processors)-1], "what is dropped waits on no volume")
	assert.NotContains(t, kept.Exporters, "span_metrics", "the metrics of spans are of all of them")
	assert.Equal(t, []string{"span_metrics"}, some.Service.Pipelines["traces/all"].Exporters)

	a := telemetry.Args{}
	a.Namespace = pulumi.String("any")
	for _, wrong := range []telemetry.Tail{{Share: share(1.1)}, {Share: share(-0.1)}, {SlowMilliseconds: -1}} {
		a.Tail = wrong
		_, err := a.Validated()
		require.ErrorContains(t, err, "Tail.", "%+v", wrong)
	}
}

// A credential is in no file that is not secret.
func TestBackendsOfOthers(t *testing.T) {
	token := pulumi.ToSecret(pulumi.String("Bearer s3cr3t")).(pulumi.StringOutput)
	_, f := on(t, telemetry.Args{
		Logs:   telemetry.Signal{Backend: telemetry.Elasticsearch, Remote: telemetry.Remote{URL: "https://es.example.com:9200", Credential: token, CA: "PEM"}},
		Traces: telemetry.Signal{Backend: telemetry.OTLP, Remote: telemetry.Remote{URL: "https://otlp.example.com", Credential: token}},
	})
	logs, traces := f.Exporters["elasticsearch/logs"], f.Exporters["otlp_http/traces"]
	assert.Equal(t, []string{"https://es.example.com:9200"}, logs.Endpoints)
	assert.Equal(t, "${file:/etc/otelcol-credentials/logs}", logs.APIKey)
	assert.Equal(t, "/etc/otelcol-certificates/logs.crt", logs.TLS.CAFile)
	require.NotNil(t, logs.Tries)
	assert.Nil(t, logs.Retry, "the exporter knows no such key, and the Collector does not start with one")
	assert.True(t, logs.Tries.Enabled && logs.Tries.Max > 100000, "it gives up: %+v", logs.Tries)
	assert.Contains(t, logs.Tries.On, 503)
	assert.Nil(t, traces.Tries)
	assert.Equal(t, []string{"memory_limiter", "resource", "resource/data_stream"}, f.Service.Pipelines["logs"].Processors)
	assert.NotContains(t, f.Service.Pipelines["traces"].Processors, "resource/data_stream")
	stream := f.Processors["resource/data_stream"].Attributes
	require.Len(t, stream, 1)
	assert.Equal(t, "data_stream.namespace team upsert", stream[0].Key+" "+stream[0].Value+" "+stream[0].Action)
	assert.Equal(t, "https://otlp.example.com", traces.Endpoint)
	assert.Equal(t, map[string]string{"Authorization": "${file:/etc/otelcol-credentials/traces}"}, traces.Headers)
	assert.Equal(t, []string{"elasticsearch/logs"}, f.Service.Pipelines["logs"].Exporters)
}

// A signal that is off takes along its server, its links, its alerts and its panels.
func TestASignalThatIsOff(t *testing.T) {
	assert.Equal(t, room.Facts{}, (&telemetry.Args{}).Facts("tell", room.Kubernetes))
	for name, c := range map[string]struct {
		args         telemetry.Args
		runs, absent []string
		mention      string
	}{
		"logs alone": {telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.Local}}, []string{"tell-collector", "tell-logs"}, []string{"tell-traces"}, "span"},
		"traces alone": {telemetry.Args{Traces: telemetry.Signal{Backend: telemetry.Local}},
			[]string{"tell-collector", "tell-traces"}, []string{"tell-logs"}, "log_records"},
		"logs sent away": {telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.OTLP, Remote: telemetry.Remote{URL: "https://otlp.example.com:4318"}}},
			[]string{"tell-collector"}, []string{"tell-traces", "tell-logs"}, "vl_"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.args.Facts("tell", room.Kubernetes)
			for _, w := range c.runs {
				_, found := f.Workload(w)
				assert.True(t, found, w)
				assert.Contains(t, f.Services, w)
			}
			for _, w := range c.absent {
				_, found := f.Workload(w)
				assert.False(t, found, w)
				for _, l := range f.Links {
					assert.False(t, l.To.Workload != nil && l.To.Workload.Name == w, "a link to %s", w)
				}
			}
			for _, g := range f.Rules {
				for _, r := range g.Rules {
					assert.NotContains(t, r.Expr, c.mention, "%s%s", r.Alert, r.Record)
				}
			}
			assert.Len(t, f.Claims, len(c.runs))
		})
	}
	away := telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.OTLP, Remote: telemetry.Remote{URL: "https://otlp.example.com:8443"}}}
	links := away.Facts("tell", room.Kubernetes).Links
	require.Len(t, links, 1)
	assert.Equal(t, []int{8443}, links[0].Ports)
}

func TestStores(t *testing.T) {
	d, _ := on(t, telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.Local}, Traces: telemetry.Signal{Backend: telemetry.Local}})
	logs := strings.Join(d.LogsArguments(), " ")
	assert.Contains(t, logs, "-retentionPeriod=168h")
	assert.Contains(t, logs, "-retention.maxDiskSpaceUsageBytes=8589934560", "four fifths of 10 GiB")
	traces, err := d.TracesConfig("team")
	require.NoError(t, err)
	assert.Contains(t, traces, "spans: 48h")
	assert.Contains(t, traces, "ephemeral: false", "Badger would keep its files in /tmp")
	assert.Contains(t, traces, "base_path: /jaeger")
}

// Spans that lie in an Elasticsearch have a Jaeger in front of them, which has no volume: it
// alone goes out, and has the key.
func TestSpansInAnElasticsearch(t *testing.T) {
	key := pulumi.ToSecret(pulumi.String("s3cr3t")).(pulumi.StringOutput)
	d, f := on(t, telemetry.Args{Traces: telemetry.Signal{
		Backend: telemetry.Elasticsearch, Remote: telemetry.Remote{URL: "https://es.example.com:9200", Credential: key, CA: "PEM"},
	}})
	require.True(t, d.RunsJaeger())
	assert.Equal(t, "http://tell-traces:4318", f.Exporters["otlp_http/traces"].Endpoint)
	assert.Empty(t, f.Exporters["otlp_http/traces"].Headers)
	assert.Empty(t, f.Exporters["otlp_http/traces"].TLS.CAFile)
	file, err := d.TracesConfig("team")
	require.NoError(t, err)
	for _, line := range []string{"- https://es.example.com:9200", "index_prefix: team", "file_path: /etc/jaeger-credentials/traces", "ca_file: /etc/jaeger-certificates/traces.crt", "max_span_age: 48h", "traces: elasticsearch"} {
		assert.Contains(t, file, line)
	}
	assert.NotContains(t, file, "badger")
	facts := d.Facts("tell", room.Kubernetes)
	require.Len(t, facts.Claims, 1, "the gateway's queue")
	assert.Equal(t, "tell-collector", facts.Claims[0].Name)
	var out []room.Link
	for _, l := range facts.Links {
		if l.Zone == room.Exit {
			out = append(out, l)
		}
	}
	assert.Equal(t, []room.Link{{From: room.Of(telemetry.TracesOf("tell")), To: room.Outside(room.Anywhere), Ports: []int{9200}, Zone: room.Exit}}, out)
	for _, g := range facts.Rules {
		for _, r := range g.Rules {
			assert.NotContains(t, r.Expr, "badger", "%s%s", r.Alert, r.Record)
			assert.NotContains(t, r.Expr, `persistentvolumeclaim="tell-traces"`, "%s%s", r.Alert, r.Record)
		}
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	_, err := (&telemetry.Args{
		Logs:   telemetry.Signal{Backend: telemetry.Local, Store: telemetry.Store{Retention: "90m"}},
		Traces: telemetry.Signal{Backend: telemetry.OTLP, Remote: telemetry.Remote{URL: "http://otlp.example.com"}},
	}).Validated()
	require.Error(t, err)
	for _, part := range []string{"Namespace is missing", `"90m" is no time of whole hours`, `"http://otlp.example.com" is not an https address`} {
		assert.ErrorContains(t, err, part)
	}
	_, err = (&telemetry.Args{Traces: telemetry.Signal{Backend: "zipkin"}}).Validated()
	require.ErrorContains(t, err, `Traces.Backend is "zipkin"`)
	_, err = (&telemetry.Args{Traces: telemetry.Signal{Backend: telemetry.Elasticsearch, Store: telemetry.Store{Retention: "90m"}}}).Validated()
	require.ErrorContains(t, err, `Traces.Remote.URL: "" is not an https address`)
	require.ErrorContains(t, err, `Traces.Store.Retention: "90m" is no time of whole hours`)
	for retention, says := range map[string]string{"23h": "less than the day", "101y": "more than 100 years", "0s": "no time of whole hours", "1d": "", "100y": ""} {
		_, err := (&telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.Local, Store: telemetry.Store{Retention: retention}}}).Validated()
		if says == "" {
			require.NotContains(t, err.Error(), "Retention")
		} else {
			require.ErrorContains(t, err, says, retention)
		}
	}
	for _, word := range []string{"Bearer abc.def-_==", "Basic dXNlcjpwYXNz", "ApiKey a:b", "0123", "1e400", "12345678901234567890123"} {
		require.NoError(t, telemetry.CheckCredential(word), word)
	}
	for _, word := range []string{"Bearer ${env:X}", "a$b", "key: value", "abc #def", "{x}", "[x]", "'x'", `"x"`, " x", "x ", "null", "true", "~", "", "*x", "!x", "- x", "@x", "2026-11-28"} {
		require.Error(t, telemetry.CheckCredential(word), "the collector reads %q as something else", word)
	}
	for _, url := range []string{"https://es.example.com/$x", "https://es.example.com:99999", "https://user:pw@es.example.com", "https://es.example.com/?token=x", "es.example.com"} {
		require.Error(t, telemetry.CheckURL(url), url)
	}
	require.NoError(t, telemetry.CheckURL("https://es.example.com/logs"))
}

// An agent on the nodes is let in where it is named, and where there are logs to take.
func TestAnAgentIsLetIn(t *testing.T) {
	let := func(a telemetry.Args) (in []room.Link) {
		for _, l := range a.Facts("tell", room.Kubernetes).Links {
			if l.From.Namespace != "" {
				in = append(in, l)
			}
		}
		return in
	}
	local := telemetry.Signal{Backend: telemetry.Local}
	assert.Empty(t, let(telemetry.Args{Logs: local}))
	assert.Empty(t, let(telemetry.Args{Traces: local, AgentNamespace: "log-agent"}), "it sends no traces")
	assert.Equal(t, []room.Link{{
		From: room.Within("log-agent"), To: room.Of(telemetry.CollectorOf("tell")), Ports: []int{telemetry.HTTPPort}, Zone: room.Entry,
	}}, let(telemetry.Args{Logs: local, AgentNamespace: "log-agent"}))
}

// On a Docker host nothing scrapes the reader: it tells the gateway of itself, as an agent on
// a node does, and LogAgentSilent hears it by that name.
func TestTheReaderTellsOfItself(t *testing.T) {
	raw, err := (&telemetry.Args{Logs: telemetry.Signal{Backend: telemetry.Local}}).ReaderConfig("tell", "prod")
	require.NoError(t, err)
	var f struct {
		Service struct {
			Telemetry struct {
				Resource struct {
					Attributes []struct{ Name, Value string }
				}
				Metrics struct {
					Level   string
					Readers []struct {
						Periodic struct {
							Exporter struct {
								OTLP struct{ Endpoint string }
							}
						}
					}
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(raw), &f))
	of := f.Service.Telemetry
	assert.Empty(t, of.Metrics.Level)
	require.Len(t, of.Metrics.Readers, 1)
	assert.Equal(t, "http://tell-collector:4318/v1/metrics", of.Metrics.Readers[0].Periodic.Exporter.OTLP.Endpoint)
	require.Len(t, of.Resource.Attributes, 2)
	assert.Equal(t, config.AgentService, of.Resource.Attributes[0].Value)
	assert.Equal(t, "prod", of.Resource.Attributes[1].Value)
}
