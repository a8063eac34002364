package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/httpx"
	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/session"
)

// sessionCookie holds a browser's session token.
const sessionCookie = "alphapulse_session"

// token of a request: the bearer's, or else the cookie's.
func token(r *http.Request, cookie string) string {
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(value)
	}
	if c, err := r.Cookie(cookie); err == nil {
		return c.Value
	}
	return ""
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value, path string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(age.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// beginSession gives a new visitor a token: POST /api/session.
func (a *API) beginSession(w http.ResponseWriter, r *http.Request) error {
	return a.giveSession(w, r, session.NewSubject(), http.StatusCreated)
}

// giveSession answers with a new token for a visitor.
func (a *API) giveSession(w http.ResponseWriter, r *http.Request, subject string, status int) error {
	token, s, err := a.Sessions.Issue(subject)
	if err != nil {
		return err
	}
	setCookie(w, r, sessionCookie, token, "/api", time.Until(s.ExpiresAt))
	raw, err := json.Marshal(struct {
		Token     string    `json:"token"`
		Subject   string    `json:"subject"`
		ExpiresAt time.Time `json:"expires_at"`
	}{token, s.Subject, s.ExpiresAt})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	httpx.WriteJSON(w, status, raw)
	return nil
}

// readSession says whom a token names and until when, and gives a new one when that
// is due: GET /api/session.
func (a *API) readSession(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Authorization, Cookie")
	s, err := a.Sessions.Verify(token(r, sessionCookie))
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return &httpx.StatusError{Status: http.StatusUnauthorized, Message: err.Error()}
	}
	if s.Renew {
		return a.giveSession(w, r, s.Subject, http.StatusOK)
	}
	raw, err := json.Marshal(struct {
		Subject   string    `json:"subject"`
		ExpiresAt time.Time `json:"expires_at"`
	}{s.Subject, s.ExpiresAt})
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusOK, raw)
	return nil
}
