package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLog returns a log of JSON lines with time, severity and message. Every line says
// that the market is simulated; those about a request have its trace_id and span_id.
func NewLog(w io.Writer, mode string, verbose bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.LevelKey {
			a.Key = "severity"
		}
		return a
	}}
	if verbose {
		o.Level = slog.LevelDebug
	}
	return slog.New(traced{slog.NewJSONHandler(w, o)}.WithAttrs(everyLine(mode)))
}

// everyLine has these.
func everyLine(mode string) []slog.Attr {
	return []slog.Attr{slog.String("mode", mode), slog.String("market", "simulated")}
}

// traced adds the trace that a line belongs to.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(a []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(a)} }
func (h traced) WithGroup(name string) slog.Handler   { return traced{h.Handler.WithGroup(name)} }

// Printf makes a log of a library's own lines, which are for who looks closer.
type Printf struct{ Log *slog.Logger }

// Printf writes a line.
func (p Printf) Printf(ctx context.Context, format string, v ...any) {
	p.Log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
