package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Propagator continues traces that begin elsewhere (W3C trace context and baggage).
var Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

// NewTracing returns what records spans, as the standard OTEL_* variables say, and how
// to end it. Without an endpoint nothing is recorded, but traces that begin elsewhere
// still have their ID in the log.
//
// Read here: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER (otlp, none) and
// OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf); by the SDK: the endpoint, headers,
// certificate, sampler, batch and resource variables.
func NewTracing(ctx context.Context, mode, version string, log *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	off := func(context.Context) error { return nil }
	on, err := tracingWanted(os.Getenv)
	if err != nil || !on {
		return noop.NewTracerProvider(), off, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	provider, err := newProvider(ctx, mode, version, sdktrace.WithBatcher(exporter))
	if err != nil {
		return nil, nil, err
	}
	return provider, provider.Shutdown, nil
}

// tracingWanted reads the variables that the SDK leaves to the program.
func tracingWanted(env func(string) string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") || env("OTEL_EXPORTER_OTLP_ENDPOINT")+env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: use otlp or none", exporter)
	}
	for _, key := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := env(key); protocol {
		case "":
			continue
		case "http/protobuf":
			return true, nil
		default:
			return false, fmt.Errorf("%s is %q: use http/protobuf, which collectors take on port 4318", key, protocol)
		}
	}
	return true, nil
}

// newProvider describes the process: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
// win over what it knows itself.
func newProvider(ctx context.Context, mode, version string, o ...sdktrace.TracerProviderOption) (*sdktrace.TracerProvider, error) {
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "alphapulse-"+mode), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return sdktrace.NewTracerProvider(append(o, sdktrace.WithResource(about))...), nil
}

// ChildrenOnly records spans within others and begins no trace: what a library does
// for its own sake, such as looking after a connection, is no request.
func ChildrenOnly(p trace.TracerProvider) trace.TracerProvider { return childrenOnly{p} }

type childrenOnly struct{ trace.TracerProvider }

func (c childrenOnly) Tracer(name string, o ...trace.TracerOption) trace.Tracer {
	return childTracer{c.TracerProvider.Tracer(name, o...)}
}

type childTracer struct{ trace.Tracer }

func (t childTracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return noop.Tracer{}.Start(ctx, name, o...)
	}
	return t.Tracer.Start(ctx, name, o...)
}

// TraceID of a context's trace if it is recorded, else "".
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
		return sc.TraceID().String()
	}
	return ""
}
