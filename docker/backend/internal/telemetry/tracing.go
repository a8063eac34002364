package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
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
	on, err := wanted(os.Getenv, "TRACES")
	if err != nil || !on {
		return noop.NewTracerProvider(), off, err
	}
	reportLoss(log)
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

// newProvider makes what records spans.
func newProvider(ctx context.Context, mode, version string, o ...sdktrace.TracerProviderOption) (*sdktrace.TracerProvider, error) {
	about, err := describe(ctx, mode, version)
	if err != nil {
		return nil, err
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
