package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
)

var files = fstest.MapFS{
	".gitkeep":                 {},
	"index.html":               {Data: []byte("<!doctype html>the page")},
	"index.html.br":            {Data: []byte("page as br")},
	"robots.txt":               {Data: []byte("robots")},
	"assets/main-ABC123.js":    {Data: []byte("the script")},
	"assets/main-ABC123.js.br": {Data: []byte("script as br")},
	"assets/main-ABC123.js.gz": {Data: []byte("script as gz")},
	"assets/icon-ABC123.svg":   {Data: []byte("<svg/>")},
}

func get(t *testing.T, h http.Handler, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newSite(t *testing.T, runtime settings.Runtime) http.Handler {
	t.Helper()
	h, err := New(files, runtime)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestResources(t *testing.T) {
	const forever, revalidate = "public, max-age=31536000, immutable", "no-cache"
	const html = "text/html,application/xhtml+xml,*/*;q=0.8"
	h := newSite(t, settings.Runtime{})
	for _, c := range []struct {
		name, path, accept       string
		code                     int
		body, contentType, cache string
	}{
		{name: "root", path: "/", code: 200, body: "<!doctype html>the page", contentType: "text/html; charset=utf-8", cache: revalidate},
		{name: "a route of the page", path: "/symbols/BTC.B", accept: html, code: 200, body: "<!doctype html>the page", contentType: "text/html; charset=utf-8", cache: revalidate},
		{name: "not a navigation", path: "/symbols/BTC", accept: "*/*", code: 404},
		{name: "a file at the root", path: "/robots.txt", code: 200, body: "robots", contentType: "text/plain; charset=utf-8", cache: revalidate},
		{name: "a hashed file", path: "/assets/main-ABC123.js", code: 200, body: "the script", contentType: "text/javascript; charset=utf-8", cache: forever},
		{name: "a picture", path: "/assets/icon-ABC123.svg", code: 200, body: "<svg/>", contentType: "image/svg+xml", cache: forever},
		{name: "a file of an older build", path: "/assets/main-OLD.js", accept: html, code: 404, cache: "no-store"},
		{name: "the compressed form by name", path: "/assets/main-ABC123.js.br", code: 404, cache: "no-store"},
		{name: "the placeholder", path: "/.gitkeep", code: 404},
		{name: "a path upwards", path: "/assets/../index.html", code: 307},
		{name: "the API", path: "/api/symbols", accept: html, code: 404, contentType: "application/json", cache: "no-store"},
		{name: "the stream", path: "/ws", accept: html, code: 404, contentType: "application/json", cache: "no-store"},
		{name: "the stream below", path: "/ws/streaming", code: 404, contentType: "application/json", cache: "no-store"},
		{name: "health", path: "/healthz", code: 200, body: "ok\n", cache: "no-store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get(t, h, c.path, "Accept", c.accept)
			if r.StatusCode != c.code {
				t.Fatalf("status %d, want %d", r.StatusCode, c.code)
			}
			if got := text(t, r); c.body != "" && got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
			if got := r.Header.Get("Content-Type"); c.contentType != "" && got != c.contentType {
				t.Errorf("Content-Type %q, want %q", got, c.contentType)
			}
			if got := r.Header.Get("Cache-Control"); c.cache != "" && got != c.cache {
				t.Errorf("Cache-Control %q, want %q", got, c.cache)
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'", "Permissions-Policy": "camera=()", "Cross-Origin-Opener-Policy": "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if got := r.Header.Get(name); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
					t.Errorf("%s is %q, want %s in it and nothing unsafe", name, got, want)
				}
			}
			if r.Header.Get("Set-Cookie") != "" {
				t.Error("it sets a cookie")
			}
		})
	}
}

func TestCompression(t *testing.T) {
	h := newSite(t, settings.Runtime{})
	const path = "/assets/main-ABC123.js"
	for accept, want := range map[string]string{
		"":                         "the script",
		"gzip":                     "script as gz",
		"gzip, deflate, br, zstd":  "script as br",
		"BR":                       "script as br",
		"br;q=0, gzip;q=0.5":       "script as gz",
		"gzip;q=0":                 "the script",
		"*":                        "script as br",
		"br;q=0, *":                "script as gz",
		"identity":                 "the script",
		"br;q=nonsense, gzip;q=no": "the script",
	} {
		r := get(t, h, path, "Accept-Encoding", accept)
		if got := text(t, r); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, got, want)
		}
		if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary %q", accept, got)
		}
		if compressed := r.Header.Get("Content-Encoding") != ""; compressed != (want != "the script") {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q", accept, r.Header.Get("Content-Encoding"))
		}
	}
	if got := get(t, h, "/assets/icon-ABC123.svg", "Accept-Encoding", "br").Header.Get("Vary"); got != "" {
		t.Errorf("a file with one form varies by %q", got)
	}
}

func TestRevalidation(t *testing.T) {
	h := newSite(t, settings.Runtime{})
	plain := get(t, h, "/").Header.Get("ETag")
	br := get(t, h, "/", "Accept-Encoding", "br").Header.Get("ETag")
	if plain == "" || plain == br {
		t.Errorf("ETags %q and %q must be there and differ, for the bytes do", plain, br)
	}
	if r := get(t, h, "/", "Accept-Encoding", "br", "If-None-Match", br); r.StatusCode != http.StatusNotModified {
		t.Errorf("the same page again: status %d, want 304", r.StatusCode)
	}
	if r := get(t, h, "/", "Accept-Encoding", "br", "If-None-Match", plain); r.StatusCode != http.StatusOK {
		t.Errorf("another form of the page: status %d, want 200", r.StatusCode)
	}
}

func TestOnlyReading(t *testing.T) {
	h := newSite(t, settings.Runtime{})
	for _, path := range []string{"/", "/robots.txt", "/assets/main-ABC123.js", "/config.json"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: status %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestConfig(t *testing.T) {
	want := settings.Runtime{APIBaseURL: "https://api.example.com", WSPath: "/ws/streaming", DashboardURL: "https://d", GrafanaURL: "https://g", Environment: "dev"}
	r := get(t, newSite(t, want), "/config.json")
	var got map[string]string
	if err := json.Unmarshal([]byte(text(t, r)), &got); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"apiBaseUrl": "https://api.example.com", "wsPath": "/ws/streaming", "dashboardUrl": "https://d", "grafanaUrl": "https://g", "environment": "dev",
	} {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Error("settings may be cached beyond a change of theirs")
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	policy := func(runtime settings.Runtime) map[string]string {
		directives := map[string]string{}
		for d := range strings.SplitSeq(get(t, newSite(t, runtime), "/").Header.Get("Content-Security-Policy"), "; ") {
			name, value, _ := strings.Cut(d, " ")
			directives[name] = value
		}
		return directives
	}
	own := policy(settings.Runtime{})
	for name, value := range map[string]string{
		"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'",
		"frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'none'",
		"require-trusted-types-for": "'script'", "trusted-types": "'none'",
	} {
		if own[name] != value {
			t.Errorf("%s is %q, want %q", name, own[name], value)
		}
	}
	other := policy(settings.Runtime{APIBaseURL: "https://api.example.com:8443/v1"})
	if want := "'self' https://api.example.com:8443 wss://api.example.com:8443"; other["connect-src"] != want {
		t.Errorf("connect-src is %q, want %q", other["connect-src"], want)
	}
}

func TestMetricsCountByKind(t *testing.T) {
	h := newSite(t, settings.Runtime{})
	for _, path := range []string{"/", "/a/b/c", "/assets/main-ABC123.js", "/api/symbols"} {
		get(t, h, path, "Accept", "text/html")
	}
	metrics := text(t, get(t, h, "/metrics"))
	for _, want := range []string{
		`http_requests_total{code="200",handler="page",method="get"} 2`,
		`http_requests_total{code="200",handler="asset",method="get"} 1`,
		`http_requests_total{code="404",handler="misrouted",method="get"} 1`,
		`http_request_duration_seconds_count{handler="page"} 2`,
		"go_goroutines ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	if strings.Contains(metrics, "/a/b/c") {
		t.Error("a path became a label")
	}
}

func TestWithoutAPage(t *testing.T) {
	if _, err := New(fstest.MapFS{"robots.txt": {}}, settings.Runtime{}); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("got %v, want an error on the missing index.html", err)
	}
}
