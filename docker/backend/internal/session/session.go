// Package session issues and verifies the tokens that name a visitor: JSON Web Tokens
// (RFC 7519) signed with HMAC-SHA-256. Two keys make a rotation that nobody notices:
// the new one signs, the one before is still accepted for what it has signed.
package session

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer = "alphapulse"
	// leeway is how far the clocks of two processes may differ.
	leeway = 30 * time.Second
	// renewAfter is how old a token is when its holder gets a new one.
	renewAfter = 24 * time.Hour
)

// ErrInvalid says that a token is none of ours, or no longer valid.
var ErrInvalid = errors.New("the session is not valid: begin a new one")

// Keys of tokens.
type Keys struct {
	current, previous []byte
	lifetime          time.Duration
}

// NewKeys returns keys whose tokens live for a time; nil without a current key.
// previous may be empty.
func NewKeys(current, previous string, lifetime time.Duration) *Keys {
	if current == "" {
		return nil
	}
	return &Keys{[]byte(current), []byte(previous), lifetime}
}

// Session is what a token says.
type Session struct {
	// Subject is the random name of the visitor.
	Subject string
	// ExpiresAt is when the token ends.
	ExpiresAt time.Time
	// Renew says that the holder is to get a new token: this one is old, or its key
	// will soon be accepted no more.
	Renew bool
}

// NewSubject returns the name of a new visitor.
func NewSubject() string { return rand.Text() }

// Issue returns a token for a visitor.
func (k *Keys) Issue(subject string) (string, Session, error) {
	now := time.Now()
	s := Session{Subject: subject, ExpiresAt: now.Add(k.lifetime).UTC().Truncate(time.Second)}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: issuer, Subject: subject, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(s.ExpiresAt),
	}).SignedString(k.current)
	if err != nil {
		return "", Session{}, fmt.Errorf("sign a session: %w", err)
	}
	return token, s, nil
}

// Verify returns what a token says, or ErrInvalid.
func (k *Keys) Verify(token string) (Session, error) {
	s, err := verify(token, k.current)
	if err != nil && len(k.previous) > 0 {
		if s, err = verify(token, k.previous); err == nil {
			s.Renew = true
		}
	}
	if err != nil {
		return Session{}, ErrInvalid
	}
	return s, nil
}

func verify(token string, key []byte) (Session, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key, nil },
		// A token must not choose how it is verified.
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	if err != nil {
		return Session{}, err
	}
	if claims.Subject == "" || claims.IssuedAt == nil {
		return Session{}, ErrInvalid
	}
	return Session{
		Subject: claims.Subject, ExpiresAt: claims.ExpiresAt.UTC(), Renew: time.Since(claims.IssuedAt.Time) > renewAfter,
	}, nil
}
