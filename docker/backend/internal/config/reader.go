package config

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

type reader struct {
	env      Environment
	problems []error
}

func (r *reader) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf(format, args...))
}

// text returns a variable or what the file in its _FILE twin holds. An empty
// variable counts as not set: that is how a template leaves one out.
func (r *reader) text(key, fallback string) string {
	if v, ok := r.env(key); ok && v != "" {
		return v
	}
	path, ok := r.env(key + "_FILE")
	if !ok || path == "" {
		return fallback
	}
	content, err := os.ReadFile(path)
	if err != nil {
		r.problem("%s_FILE: %w", key, err)
		return fallback
	}
	return strings.TrimRight(string(content), "\r\n")
}

func (r *reader) number(key string, fallback, least, most int) int {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.problem("%s is %q: use a number from %d to %d", key, text, least, most)
		return fallback
	}
	return n
}

func (r *reader) port(key string, fallback int) string {
	return strconv.Itoa(r.number(key, fallback, 1, 65535))
}

func (r *reader) flag(key string, fallback bool) bool {
	text := r.text(key, "")
	switch strings.ToLower(text) {
	case "":
		return fallback
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	r.problem("%s is %q: use true or false", key, text)
	return fallback
}

func (r *reader) fraction(key string, fallback float64) float64 {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		r.problem("%s is %q: use a number from 0 to 1", key, text)
		return fallback
	}
	return f
}

func (r *reader) duration(key string, fallback, least, most time.Duration) time.Duration {
	text := r.text(key, "")
	if text == "" {
		return fallback
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		r.problem("%s is %q: use a duration from %s to %s, e.g. %s", key, text, least, most, fallback)
		return fallback
	}
	return d
}

// beside is the address of a further port that a variable names, "" for none.
func (r *reader) beside(key string) string {
	if port := r.number(key, 0, 0, 65535); port != 0 {
		return net.JoinHostPort("0.0.0.0", strconv.Itoa(port))
	}
	return ""
}

// shortestKey is what HMAC-SHA-256 needs to be as strong as its digest (RFC 7518, 3.2).
const shortestKey = 32

// secret is a key to sign with; it is never quoted.
func (r *reader) secret(key string) string {
	text := r.text(key, "")
	if text != "" && len(text) < shortestKey {
		r.problem("%s has %d bytes: use at least %d random ones", key, len(text), shortestKey)
	}
	return text
}
