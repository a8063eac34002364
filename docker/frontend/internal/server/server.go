// Package server serves the user interface over HTTP.
package server

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
)

// New returns the handler of the whole site: the user interface in files at every
// path that a browser navigates to, and
//
//	/assets/…     content-hashed files, cached for ever
//	/config.json  the runtime settings
//	/healthz      200 while the process serves
//	/metrics      Prometheus metrics of this process
//
// It fails if files holds no index.html.
func New(files fs.FS, runtime settings.Runtime) (http.Handler, error) {
	assets, err := loadAssets(files)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(runtime)
	if err != nil {
		return nil, fmt.Errorf("encode the runtime settings: %w", err)
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	measure := newInstrument(registry)

	mux := http.NewServeMux()
	mux.Handle("/", measure("page", pages(assets)))
	mux.Handle("GET /assets/", measure("asset", hashed(assets)))
	mux.Handle("GET /config.json", measure("config", body("application/json", config)))
	// The edge sends these to the backend. Answering them with the page, as any
	// other path, would hide a missing route behind a 200.
	for _, path := range []string{"/api/", "/ws", "/ws/"} {
		mux.Handle(path, measure("misrouted", http.HandlerFunc(misrouted)))
	}
	mux.Handle("GET /healthz", body("text/plain; charset=utf-8", []byte("ok\n")))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return secured(mux, runtime), nil
}

// newInstrument returns a wrapper that counts and times requests. The label
// "handler" is one of the few names given here and never a path, so its number of
// values is bounded.
func newInstrument(registry *prometheus.Registry) func(string, http.Handler) http.Handler {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "HTTP requests answered, by kind of resource, method and status code.",
	}, []string{"handler", "method", "code"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time to answer an HTTP request, by kind of resource.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"handler"})
	registry.MustRegister(requests, durations)
	return func(name string, next http.Handler) http.Handler {
		label := prometheus.Labels{"handler": name}
		return promhttp.InstrumentHandlerCounter(requests.MustCurryWith(label),
			promhttp.InstrumentHandlerDuration(durations.MustCurryWith(label), next))
	}
}

// pages serves the files at the site's root and, to a browser that navigates to
// any other path, index.html, whose script knows the routes.
func pages(assets map[string]*asset) http.Handler {
	index := assets["/index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this address can only be read", http.StatusMethodNotAllowed)
			return
		}
		if a, ok := assets[r.URL.Path]; ok {
			a.ServeHTTP(w, r)
			return
		}
		if r.URL.Path != "/" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.NotFound(w, r)
			return
		}
		index.ServeHTTP(w, r)
	})
}

func hashed(assets map[string]*asset) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			// A page from before a rollout may ask for a file of the last build: the
			// answer must not be cached, or it would outlive the rollout.
			w.Header().Set("Cache-Control", "no-store")
			http.NotFound(w, r)
			return
		}
		a.ServeHTTP(w, r)
	})
}

func body(contentType string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(content) // fails only if the client has gone
	})
}

func misrouted(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"error":"the frontend serves only the user interface: route /api and /ws to the backend, or set API_BASE_URL","misrouted":true}`+"\n")
}

// secured adds the security headers to every answer.
func secured(next http.Handler, runtime settings.Runtime) http.Handler {
	headers := map[string]string{
		"Content-Security-Policy":      contentSecurityPolicy(runtime),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           permissionsPolicy,
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// permissionsPolicy switches off what the page does not use, whatever is in it.
const permissionsPolicy = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), " +
	"gyroscope=(), hid=(), idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
	"publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"

// contentSecurityPolicy allows what the page needs and nothing else: its own
// scripts, styles and pictures, and connections to the API. No inline script or
// style, no eval, no frame.
func contentSecurityPolicy(runtime settings.Runtime) string {
	connect := "'self'"
	if u, err := url.Parse(runtime.APIBaseURL); err == nil && u.Host != "" {
		ws := map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
		connect += fmt.Sprintf(" %s://%s %s://%s", u.Scheme, u.Host, ws, u.Host)
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"manifest-src 'self'",
		"connect-src " + connect,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}
