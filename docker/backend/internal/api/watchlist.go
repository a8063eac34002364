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
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
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

// signedPrefix keeps lists of visitors with a token apart from those of a build
// without a key: who has read the name in a token must not read the list with it.
const signedPrefix = "s:"

// visitor is whose list a request is about.
type visitor struct {
	// owner under which the list is stored; "" for a browser that has none yet.
	owner string
	// subject of the token, "" for a browser that names its list without one.
	subject string
	// renew says that the token is to be replaced.
	renew bool
}

// visitor of a request: by its token if sessions are signed, or by the plain random
// name that builds without a key give.
func (a *API) visitor(r *http.Request) visitor {
	value := token(r, ownerCookie)
	if a.Sessions != nil {
		if s, err := a.Sessions.Verify(value); err == nil {
			return visitor{signedPrefix + s.Subject, s.Subject, s.Renew}
		}
	}
	// What is not of our making would only fill the cache with keys.
	if len(value) != len(rand.Text()) || !isName(value) {
		return visitor{}
	}
	return visitor{owner: value}
}

// remember gives the browser the cookie that names its list.
func (a *API) remember(w http.ResponseWriter, r *http.Request, v visitor) error {
	value := v.owner
	if v.subject != "" {
		var err error
		if value, _, err = a.Sessions.Issue(v.subject); err != nil {
			return err
		}
	}
	setCookie(w, r, ownerCookie, value, "/api/watchlist", ownerAge)
	return nil
}

// newVisitor is one without a list.
func (a *API) newVisitor() visitor {
	if a.Sessions == nil {
		return visitor{owner: rand.Text()}
	}
	subject := session.NewSubject()
	return visitor{owner: signedPrefix + subject, subject: subject}
}

func (a *API) watchlist(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Cookie")
	v := a.visitor(r)
	if v.owner == "" {
		httpx.WriteJSON(w, http.StatusOK, []byte(`{"symbols":[]}`))
		return nil
	}
	if v.renew {
		if err := a.remember(w, r, v); err != nil {
			return err
		}
	}
	return answer(w, r, a.Cache, watchlistRequest(v.owner), func(ctx context.Context) (watchlist, error) {
		symbols, err := a.Store.Watchlist(ctx, v.owner)
		return watchlist{symbols}, err
	})
}

// saveWatchlist replaces the list by {"symbols": [...]}, or adds {"symbol": "..."} to it.
func (a *API) saveWatchlist(w http.ResponseWriter, r *http.Request) error {
	body, err := readList(w, r)
	if err != nil {
		return err
	}
	v := a.visitor(r)
	symbols := body.Symbols
	if body.Symbol != "" {
		if v.owner != "" {
			old, err := a.Store.Watchlist(r.Context(), v.owner)
			if err != nil {
				return err
			}
			symbols = old
		}
		symbols = append(symbols, body.Symbol)
	}
	if symbols, err = a.checkSymbols(r.Context(), symbols); err != nil {
		return err
	}
	if v.owner == "" {
		v = a.newVisitor()
	}
	if err := a.Store.SetWatchlist(r.Context(), v.owner, symbols); err != nil {
		return err
	}
	request := watchlistRequest(v.owner)
	a.Cache.Forget(request)
	// The write is done, whether or not the client still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	a.Cache.Invalidate(ctx, request.Scope)
	if err := a.remember(w, r, v); err != nil {
		return err
	}
	raw, err := json.Marshal(watchlist{symbols})
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}

// listChange is what a client may send.
type listChange struct {
	// Symbols replace the list.
	Symbols []string `json:"symbols"`
	// Symbol is added to it.
	Symbol string `json:"symbol"`
}

func readList(w http.ResponseWriter, r *http.Request) (body listChange, err error) {
	// A page of another site can send a form without asking first, but no JSON.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return body, &httpx.StatusError{Status: http.StatusUnsupportedMediaType, Message: "send the list with Content-Type: application/json"}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return body, err
		}
		return body, &httpx.BadInput{Field: "body", Problem: `it is not of the form {"symbols": ["SIM0001USDT"]}`}
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return body, &httpx.BadInput{Field: "body", Problem: "there is more after the list"}
	}
	if (body.Symbols == nil) == (body.Symbol == "") {
		return body, &httpx.BadInput{Field: "symbols", Problem: "give symbols to replace the list, or symbol to add one to it"}
	}
	return body, nil
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
