package session

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	first  = strings.Repeat("1", 32)
	second = strings.Repeat("2", 32)
	third  = strings.Repeat("3", 32)
)

func issue(t *testing.T, k *Keys) string {
	t.Helper()
	token, s, err := k.Issue("visitor")
	if err != nil || s.Subject != "visitor" {
		t.Fatal(s, err)
	}
	return token
}

func TestRotation(t *testing.T) {
	token := issue(t, NewKeys(first, "", time.Hour))
	for name, c := range map[string]struct {
		keys         *Keys
		valid, renew bool
	}{
		"before":               {NewKeys(first, "", time.Hour), true, false},
		"after the first":      {NewKeys(second, first, time.Hour), true, true},
		"its key is forgotten": {NewKeys(second, "", time.Hour), false, false},
		"after the second":     {NewKeys(third, second, time.Hour), false, false},
	} {
		s, err := c.keys.Verify(token)
		if (err == nil) != c.valid || s.Renew != c.renew {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if err == nil && s.Subject != "visitor" {
			t.Errorf("%s: it names %q", name, s.Subject)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the new key signs, the old one's holder cannot have signed.
	if _, err := NewKeys(first, "", time.Hour).Verify(issue(t, NewKeys(second, first, time.Hour))); err == nil {
		t.Error("the old key signs still")
	}
	if NewKeys("", first, time.Hour) != nil {
		t.Error("there are sessions without a key")
	}
}

func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeys(first, "", 48*time.Hour)
		token := issue(t, k)
		time.Sleep(24 * time.Hour)
		if s, err := k.Verify(token); err != nil || s.Renew || time.Until(s.ExpiresAt) != 24*time.Hour {
			t.Errorf("after a day: %+v, %v", s, err)
		}
		time.Sleep(time.Second)
		if s, err := k.Verify(token); err != nil || !s.Renew {
			t.Errorf("after more than a day: %+v, %v", s, err)
		}
		time.Sleep(24*time.Hour + leeway)
		if _, err := k.Verify(token); err == nil {
			t.Error("a token outlives its time")
		}
	})
}

func TestForgeriesAreRefused(t *testing.T) {
	k := NewKeys(first, second, time.Hour)
	sign := func(method jwt.SigningMethod, key any, claims jwt.Claims) string {
		t.Helper()
		token, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	now := jwt.NewNumericDate(time.Now())
	later := jwt.NewNumericDate(time.Now().Add(time.Hour))
	right := jwt.RegisteredClaims{Issuer: "alphapulse", Subject: "v", IssuedAt: now, ExpiresAt: later}
	with := func(change func(*jwt.RegisteredClaims)) jwt.RegisteredClaims {
		c := right
		change(&c)
		return c
	}
	good := sign(jwt.SigningMethodHS256, []byte(first), right)
	if _, err := k.Verify(good); err != nil {
		t.Fatalf("this proves nothing: %v", err)
	}
	parts := strings.Split(good, ".")
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"alphapulse","sub":"somebody else","iat":1,"exp":99999999999}`))
	for name, token := range map[string]string{
		"empty":             "",
		"no token":          "x",
		"unsigned":          sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, right),
		"another method":    sign(jwt.SigningMethodHS512, []byte(first), right),
		"another key":       sign(jwt.SigningMethodHS256, []byte(third), right),
		"an empty key":      sign(jwt.SigningMethodHS256, []byte{}, right),
		"other claims":      parts[0] + "." + other + "." + parts[2],
		"another issuer":    sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.Issuer = "x" })),
		"nobody":            sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.Subject = "" })),
		"without an end":    sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil })),
		"without a start":   sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.IssuedAt = nil })),
		"from the future":   sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.IssuedAt = later })),
		"ended an hour ago": sign(jwt.SigningMethodHS256, []byte(first), with(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) })),
	} {
		if s, err := k.Verify(token); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	// Without a previous key, none is accepted that was signed with nothing.
	if _, err := NewKeys(first, "", time.Hour).Verify(sign(jwt.SigningMethodHS256, []byte{}, right)); err == nil {
		t.Error("a token that was signed with an empty key is accepted")
	}
}
