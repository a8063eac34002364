//go:build integration

package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span as a collector gets it.
type span struct {
	service, name, trace string
	attributes           map[string]string
}

// collect is a collector that keeps what it is sent.
func collect(t *testing.T) func() []span {
	t.Helper()
	var mu sync.Mutex
	var spans []span
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" {
			return // lines of the log come, too
		}
		raw, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := errors.Join(err, proto.Unmarshal(raw, &request)); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, process := range request.ResourceSpans {
			service := ""
			for _, a := range process.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range process.ScopeSpans {
				for _, s := range scope.Spans {
					attributes := map[string]string{}
					for _, a := range s.Attributes {
						attributes[a.Key] = a.Value.String()
					}
					spans = append(spans, span{service, s.Name, trace.TraceID(s.TraceId).String(), attributes})
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	return func() []span {
		mu.Lock()
		defer mu.Unlock()
		return append([]span(nil), spans...)
	}
}

// A request is followed from the edge to its SQL, and a batch from the engine to the
// pages. No span and no log line tells a credential or what was asked with.
func TestRequestIsFollowed(t *testing.T) {
	spans := collect(t)
	s := newStack(t, "DEBUG", "true", "JWT_SECRET_KEY", strings.Repeat("k", 32))
	api, engine := s.start("api"), s.start("engine")
	s.ready(api)
	const id = "0af7651916cd43dd8448eb211c80319c"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.url+"/api/symbols?query=SIM0007", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+id+"-b7ad6b7169203331-01")
	r.Header.Set("Authorization", "Bearer secret-token")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()

	has := func(what string, wanted func(span) bool) {
		t.Helper()
		eventually(t, what, func() error {
			var names []string
			for _, sp := range spans() {
				if wanted(sp) {
					return nil
				}
				if sp.trace == id {
					names = append(names, fmt.Sprint(sp.name, sp.attributes))
				}
			}
			return fmt.Errorf("of the request: %q", names)
		})
	}
	has("the request", func(sp span) bool {
		return sp.trace == id && sp.name == "GET /api/symbols" && sp.service == "alphapulse-api"
	})
	has("its SQL", func(sp span) bool {
		return sp.trace == id && strings.Contains(sp.attributes["db.query.text"], "strpos(name, $1)")
	})
	has("its commands to Redis", func(sp span) bool { return sp.trace == id && strings.EqualFold(sp.name, "mget") })
	has("a cycle of the engine and what it sent", func(sp span) bool {
		if sp.service != "alphapulse-api" || sp.name != "stream broadcast" {
			return false
		}
		for _, other := range spans() {
			if other.service == "alphapulse-engine" && other.name == "engine cycle" && other.trace == sp.trace {
				return true
			}
		}
		return false
	})
	has("the cycle's SQL", func(sp span) bool {
		return sp.service == "alphapulse-engine" && strings.Contains(sp.attributes["db.query.text"], "INSERT INTO quotes")
	})
	for _, sp := range spans() {
		if sp.name == "ping" || strings.Contains(fmt.Sprint(sp.attributes), "SIM0007") || strings.Contains(fmt.Sprint(sp.attributes), password) {
			t.Errorf("%+v", sp)
		}
	}
	if !strings.Contains(api.log.String(), `"trace_id":"`+id+`"`) {
		t.Error("the log does not name the trace")
	}
	for _, p := range []*process{api, engine} {
		for _, secret := range []string{password, "p%2Fw", "secret-token", "SIM0007", strings.Repeat("k", 32)} {
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	}
}
