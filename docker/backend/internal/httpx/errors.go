package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// BadInput is a request that cannot be answered, and what is wrong with it.
type BadInput struct {
	// Field of the request.
	Field string
	// Problem with it, and what would be right.
	Problem string
}

func (b *BadInput) Error() string { return b.Field + ": " + b.Problem }

// StatusError is an error with a status of its own.
type StatusError struct {
	Status  int
	Message string
}

func (e *StatusError) Error() string { return e.Message }

// fail answers with an error.
func (t *Router) fail(w http.ResponseWriter, r *http.Request, err error) {
	var (
		bad     *BadInput
		status  *StatusError
		lost    *store.Unavailable
		tooLong *http.MaxBytesError
	)
	switch {
	case errors.As(err, &bad):
		writeError(w, http.StatusBadRequest, bad.Error(), bad.Field)
	case errors.As(err, &tooLong):
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLong.Limit), "")
	case errors.As(err, &status):
		writeError(w, status.Status, status.Message, "")
	case errors.Is(err, store.ErrNotFound):
		writeError(w, http.StatusNotFound, "not found", "")
	case errors.As(err, &lost):
		w.Header().Set("Retry-After", "2")
		writeError(w, http.StatusServiceUnavailable, lost.Error(), "")
	case errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusGatewayTimeout, fmt.Sprintf("no answer within %s", t.timeout), "")
	case errors.Is(err, context.Canceled):
		// The client has gone; the status is for the metrics.
		writeError(w, statusClientClosed, "the client closed the request", "")
	default:
		t.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "request_id", r.Header.Get("X-Request-ID"), "error", err)
		writeError(w, http.StatusInternalServerError, "internal error", "")
	}
}

// statusClientClosed is nginx' status for a client that did not wait.
const statusClientClosed = 499

func writeError(w http.ResponseWriter, status int, message, field string) {
	body := struct {
		Error string `json:"error"`
		Field string `json:"field,omitempty"`
	}{message, field}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings only
	}
	WriteJSON(w, status, raw)
}

// WriteJSON writes an encoded answer. Caches between ask before they serve it again,
// unless Cache-Control is set already.
func WriteJSON(w http.ResponseWriter, status int, raw []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // fails only if the client has gone
}
