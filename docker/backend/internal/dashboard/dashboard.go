// Package dashboard is the real-time page: rendered by the server with what is
// there, kept up to date by a WebSocket. It needs no build step and asks no other host.
package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/api"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

//go:embed page.html.tmpl static
var files embed.FS

const (
	// shownQuotes and shownSignals are how many rows the lists have.
	shownQuotes, shownSignals = 24, 20
	// chartPoints are the past that the chart begins with, one for each chartStep.
	chartPoints = 120
	chartStep   = time.Minute
	maxStale    = 10 * time.Second
)

// headers let the page load its own files and open its own WebSocket, nothing else, and
// keep it apart from other pages.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy": "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), " +
		"gyroscope=(), hid=(), idle-detection=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
		"publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
	"Referrer-Policy":        "no-referrer",
	"X-Content-Type-Options": "nosniff",
}

// secured adds the headers to every answer, errors included.
func secured(next httpx.Handler) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		return next(w, r)
	}
}

// Reader reads what the page shows; [store.Store] is one.
type Reader interface {
	MarketStatus(ctx context.Context, fresh time.Duration) (store.Status, error)
	Symbols(ctx context.Context, contains, order string, limit, offset int) (store.Page[store.Quote], error)
	Signals(ctx context.Context, f store.SignalFilter, limit, offset int) (store.Page[store.Signal], error)
	Positions(ctx context.Context) (store.Page[store.Position], error)
	PnLHistory(ctx context.Context, bucket time.Duration, limit int) (store.Page[store.EquityPoint], error)
}

// Dashboard serves the page.
type Dashboard struct {
	reader Reader
	cache  *cache.Cache
	fresh  time.Duration
	page   *template.Template
	static map[string][]byte
	// path of the static files; it changes with their content.
	path string
}

// New returns a dashboard. fresh is the age up to which a quote counts as current.
func New(r Reader, c *cache.Cache, fresh time.Duration) (*Dashboard, error) {
	d := &Dashboard{reader: r, cache: c, fresh: fresh, static: map[string][]byte{}}
	var err error
	if d.page, err = template.New("page.html.tmpl").Funcs(functions).ParseFS(files, "page.html.tmpl"); err != nil {
		return nil, fmt.Errorf("dashboard page: %w", err)
	}
	sum := sha256.New()
	err = fs.WalkDir(files, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		d.static[path.Base(name)] = raw
		_, err = sum.Write(raw)
		return err
	})
	d.path = "/static/" + hex.EncodeToString(sum.Sum(nil))[:12]
	return d, err
}

// Routes take a handler for a pattern of http.ServeMux; [httpx.Router] does.
type Routes interface {
	Handle(pattern string, h httpx.Handler)
}

// Register adds the routes.
func (d *Dashboard) Register(t Routes) {
	t.Handle("GET /{$}", secured(d.index))
	t.Handle("GET /data", secured(d.current))
	t.Handle("GET /static/{version}/{file}", secured(d.file))
}

func (d *Dashboard) file(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	raw, ok := d.static[name]
	if !ok {
		return store.ErrNotFound
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	// A page of another version of this process may ask for its own files.
	if strings.HasPrefix(r.URL.Path, d.path+"/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-store")
	}
	_, _ = w.Write(raw) // fails only if the client has gone
	return nil
}

// data is what the page shows.
type data struct {
	Status    store.Status     `json:"status"`
	Quotes    []store.Quote    `json:"quotes"`
	Signals   []store.Signal   `json:"signals"`
	Positions []store.Position `json:"positions"`
	// Points are pairs of Unix seconds and equity, as JSON.
	Points string `json:"points"`
	// Step is the time between two points, in seconds: where they are further apart,
	// there was no data in between.
	Step float64 `json:"step"`
}

// request is how the cache knows what the page shows.
var request = cache.Request{Kind: "dashboard", Scope: api.MarketScope, MaxStale: maxStale}

// current answers what the page shows as JSON, for what the stream does not tell.
func (d *Dashboard) current(w http.ResponseWriter, r *http.Request) error {
	raw, _, err := d.cache.Fetch(r.Context(), request, d.load)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}

func (d *Dashboard) index(w http.ResponseWriter, r *http.Request) error {
	view := struct {
		Static, Problem string
		Data            data
	}{Static: d.path}
	status := http.StatusOK
	raw, _, err := d.cache.Fetch(r.Context(), request, d.load)
	if err == nil {
		err = json.Unmarshal(raw, &view.Data)
	}
	if err != nil {
		var lost *store.Unavailable
		if !errors.As(err, &lost) {
			return err
		}
		view.Problem, status = strings.ToUpper(lost.Error()[:1])+lost.Error()[1:], http.StatusServiceUnavailable
	}
	var page bytes.Buffer
	if err := d.page.Execute(&page, view); err != nil {
		return fmt.Errorf("render the dashboard: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // fails only if the client has gone
	return nil
}

func (d *Dashboard) load(ctx context.Context) ([]byte, error) {
	var v data
	var err error
	if v.Status, err = d.reader.MarketStatus(ctx, d.fresh); err != nil {
		return nil, err
	}
	quotes, err := d.reader.Symbols(ctx, "", "volume", shownQuotes, 0)
	if err != nil {
		return nil, err
	}
	signals, err := d.reader.Signals(ctx, store.SignalFilter{}, shownSignals, 0)
	if err != nil {
		return nil, err
	}
	positions, err := d.reader.Positions(ctx)
	if err != nil {
		return nil, err
	}
	history, err := d.reader.PnLHistory(ctx, chartStep, chartPoints)
	if err != nil {
		return nil, err
	}
	v.Quotes, v.Signals, v.Positions = quotes.Items, signals.Items, positions.Items
	start := v.Status.PnL.Equity - v.Status.PnL.Total
	points := make([][2]float64, 0, len(history.Items))
	for _, p := range history.Items {
		points = append(points, [2]float64{float64(p.TS.Unix()), math.Round((start+p.Realized+p.Unrealized)*100) / 100})
	}
	raw, err := json.Marshal(points)
	if err != nil {
		return nil, err
	}
	v.Points, v.Step = string(raw), chartStep.Seconds()
	return json.Marshal(v)
}

// functions write numbers as app.js does.
var functions = template.FuncMap{
	"price":   price,
	"money":   func(v float64) string { return plus(v, group(v, 2)) },
	"percent": func(v float64) string { return plus(v, group(v, 2)) + " %" },
	"amount":  func(v float64) string { return group(v, 2) },
	"share":   func(v float64) string { return group(v*100, 2) + " %" },
	"compact": compact,
	"sign":    sign,
	"now":     func() int64 { return time.Now().Unix() },
	"label":   label,
	"side": func(quantity float64) string {
		if quantity < 0 {
			return "short"
		}
		return "long"
	},
	"accuracy": func(v *float64) string {
		if v == nil {
			return "–"
		}
		return group(*v*100, 0) + " %"
	},
	"trading": func(mode string) string {
		switch mode {
		case "paper":
			return "trading on paper, USDT"
		case "refused":
			return "no exchange to trade at"
		}
		return "trading is off"
	},
}

func price(v float64) string {
	switch {
	case v >= 100:
		return group(v, 2)
	case v >= 1:
		return group(v, 4)
	}
	return group(v, 6)
}

func sign(v float64) int {
	switch r := math.Round(v * 100); {
	case r > 0:
		return 1
	case r < 0:
		return -1
	}
	return 0
}

func plus(v float64, text string) string {
	if sign(v) > 0 {
		return "+" + text
	}
	return text
}

// group writes a number with separated thousands.
func group(v float64, digits int) string {
	scale := math.Pow(10, float64(digits))
	v = math.Round(v*scale) / scale
	text := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if v < 0 {
		return "-" + whole
	}
	return whole
}

func compact(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if v >= unit.size {
			return strconv.FormatFloat(math.Round(v/unit.size*100)/100, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

func label(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		switch w {
		case "rsi", "ema", "macd":
			words[i] = strings.ToUpper(w)
		}
	}
	text := strings.Join(words, " ")
	return strings.ToUpper(text[:1]) + text[1:]
}
