package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/cache"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
)

const (
	// ownerCookie holds the random name under which a browser's list is stored.
	ownerCookie = "alphapulse_watchlist"
	ownerAge    = 90 * 24 * time.Hour
	// longestList bounds what one browser can store.
	longestList = 100
	largestBody = 16 << 10
)

// watchlist is what a user has stored: {"symbols": [...]}.
type watchlist struct {
	Symbols []string `json:"symbols"`
}

func watchlistRequest(owner string) cache.Request {
	return cache.Request{Kind: "watchlist", Key: owner, Scope: "watchlist:" + owner}
}

// owner of the request's list, "" for a browser that has none yet.
func owner(r *http.Request) string {
	c, err := r.Cookie(ownerCookie)
	// What is not of our making would only fill the cache with keys.
	if err != nil || len(c.Value) != len(rand.Text()) || !isName(c.Value) {
		return ""
	}
	return c.Value
}

func (a *API) watchlist(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Cookie")
	o := owner(r)
	if o == "" {
		httpx.WriteJSON(w, http.StatusOK, []byte(`{"symbols":[]}`))
		return nil
	}
	return answer(w, r, a.Cache, watchlistRequest(o), func(ctx context.Context) (watchlist, error) {
		symbols, err := a.Store.Watchlist(ctx, o)
		return watchlist{symbols}, err
	})
}

// saveWatchlist replaces the list by {"symbols": [...]}, or adds {"symbol": "..."} to it.
func (a *API) saveWatchlist(w http.ResponseWriter, r *http.Request) error {
	// A page of another site can send a form without asking first, but no JSON.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &httpx.StatusError{Status: http.StatusUnsupportedMediaType, Message: "send the list with Content-Type: application/json"}
	}
	var body struct {
		Symbols []string `json:"symbols"`
		Symbol  string   `json:"symbol"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &httpx.BadInput{Field: "body", Problem: `it is not of the form {"symbols": ["SIM0001USDT"]}`}
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return &httpx.BadInput{Field: "body", Problem: "there is more after the list"}
	}
	if (body.Symbols == nil) == (body.Symbol == "") {
		return &httpx.BadInput{Field: "symbols", Problem: "give symbols to replace the list, or symbol to add one to it"}
	}
	o := owner(r)
	symbols := body.Symbols
	if body.Symbol != "" {
		if o != "" {
			old, err := a.Store.Watchlist(r.Context(), o)
			if err != nil {
				return err
			}
			symbols = old
		}
		symbols = append(symbols, body.Symbol)
	}
	symbols, err := a.checkSymbols(r.Context(), symbols)
	if err != nil {
		return err
	}
	if o == "" {
		o = rand.Text()
	}
	if err := a.Store.SetWatchlist(r.Context(), o, symbols); err != nil {
		return err
	}
	request := watchlistRequest(o)
	a.Cache.Forget(request)
	// The write is done, whether or not the client still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	a.Cache.Invalidate(ctx, request.Scope)

	http.SetCookie(w, &http.Cookie{
		Name: ownerCookie, Value: o, Path: "/api/watchlist", MaxAge: int(ownerAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.Header.Get("X-Forwarded-Proto") == "https",
	})
	raw, err := json.Marshal(watchlist{symbols})
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}

// checkSymbols returns the list in capitals without repetitions, or what is wrong with it.
func (a *API) checkSymbols(ctx context.Context, symbols []string) ([]string, error) {
	list := make([]string, 0, len(symbols))
	for _, s := range symbols {
		if s = strings.ToUpper(s); !slices.Contains(list, s) {
			list = append(list, s)
		}
		if len(list) > longestList {
			return nil, &httpx.BadInput{Field: "symbols", Problem: fmt.Sprintf("a watchlist holds up to %d symbols", longestList)}
		}
	}
	unknown, err := a.Store.UnknownSymbols(ctx, list)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		return nil, &httpx.BadInput{Field: "symbols", Problem: fmt.Sprintf("%q is not known", unknown[0])}
	}
	return list, nil
}
