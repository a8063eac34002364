package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// wanted reads the variables that the SDK leaves to the program, for a signal as they name
// it: TRACES or LOGS.
func wanted(env func(string) string, signal string) (bool, error) {
	endpoint := env("OTEL_EXPORTER_OTLP_ENDPOINT") + env("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT")
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") || endpoint == "" {
		return false, nil
	}
	switch exporter := env("OTEL_" + signal + "_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_%s_EXPORTER is %q: use otlp or none", signal, exporter)
	}
	for _, key := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
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

// describe says what the process is: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
// over what it knows itself.
func describe(ctx context.Context, mode, version string) (*resource.Resource, error) {
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "alphapulse-"+mode), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return about, nil
}

// reportLoss tells log of what could not be sent. It must not be one that is sent itself.
func reportLoss(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry is lost", "error", err) }))
}

// SendLog gives a log whose lines go to plain and, as the standard OTEL_* variables say, to
// a collector, each with its trace; and how to end it. Without an endpoint it is plain
// itself. Nobody who writes a line waits for the collector: what does not fit into the
// queue is dropped.
//
// Read here: OTEL_SDK_DISABLED, OTEL_LOGS_EXPORTER (otlp, none) and
// OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf); by the SDK: the endpoint, headers,
// certificate, batch and resource variables.
func SendLog(ctx context.Context, mode, version string, plain *slog.Logger) (*slog.Logger, func(context.Context) error, error) {
	off := func(context.Context) error { return nil }
	on, err := wanted(os.Getenv, "LOGS")
	if err != nil || !on {
		return plain, off, err
	}
	about, err := describe(ctx, mode, version)
	if err != nil {
		return nil, nil, err
	}
	exporter, err := otlploghttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_*: %w", err)
	}
	reportLoss(plain)
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	sent := otelslog.NewHandler("alphapulse", otelslog.WithLoggerProvider(provider))
	return slog.New(slog.NewMultiHandler(plain.Handler(), asPlain{sent.WithAttrs(everyLine(mode)), plain.Handler()})), provider.Shutdown, nil
}

// asPlain passes on what another handler is interested in.
type asPlain struct {
	slog.Handler
	plain slog.Handler
}

func (h asPlain) Enabled(ctx context.Context, l slog.Level) bool { return h.plain.Enabled(ctx, l) }

func (h asPlain) WithAttrs(a []slog.Attr) slog.Handler {
	return asPlain{h.Handler.WithAttrs(a), h.plain}
}

func (h asPlain) WithGroup(name string) slog.Handler {
	return asPlain{h.Handler.WithGroup(name), h.plain}
}
