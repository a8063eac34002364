package observe

import (
	"fmt"
	"math/rand"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// matches anchors a regular expression as Prometheus does.
func matches(t *testing.T, expr, value string) bool {
	t.Helper()
	return regexp.MustCompile("^(?:" + expr + ")$").MatchString(value)
}

// A path without a word in it would match a label that is not there.
func TestPathsWithoutWordsExcludeNothing(t *testing.T) {
	for _, path := range []string{"", "/", "/-", "//", "/é"} {
		if got := (HTTP{Routes: []string{"path"}, Excluded: []string{path}}).users(); got != "$job" {
			t.Errorf("%q excludes %s", path, got)
		}
	}
}

func TestFrom(t *testing.T) {
	for _, c := range []struct {
		n         float64
		from, not []string
	}{
		{0.2, []string{"0.2", "0.20", "0.25", "0.3", "0.512", "1", "1.0", "10", "2.5", "30.0", "120"}, []string{"0.1", "0.1999", "0.05", "0", "+Inf", "5e-05", "0.02"}},
		{1, []string{"1", "1.0", "1.5", "2", "10"}, []string{"0.9", "0.1", "+Inf"}},
		{2.5, []string{"2.5", "2.50", "2.6", "3", "10", "25"}, []string{"2.4", "1.9", "2", "2.05", "0.25"}},
		{0.09, []string{"0.09", "0.091", "0.1", "1"}, []string{"0.08", "0.05", "0.009"}},
		{19, []string{"19", "19.0", "20", "29", "100"}, []string{"18.9", "9", "11"}},
	} {
		expr := from(c.n)
		for _, v := range c.from {
			if !matches(t, expr, v) {
				t.Errorf("%s is not from %g on: %s", v, c.n, expr)
			}
		}
		for _, v := range c.not {
			if matches(t, expr, v) {
				t.Errorf("%s is from %g on: %s", v, c.n, expr)
			}
		}
	}
}

func TestFromAgreesWithArithmetic(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	draw := func() float64 {
		n, err := strconv.ParseFloat(fmt.Sprintf("%.*f", random.Intn(4), random.Float64()*[]float64{1, 12, 130}[random.Intn(3)]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 20000 {
		n, v := draw(), draw()
		if n == 0 {
			continue
		}
		if got, want := matches(t, from(n), strconv.FormatFloat(v, 'f', -1, 64)), v >= n; got != want {
			t.Fatalf("%g from %g on: %v, want %v by %s", v, n, got, want, from(n))
		}
	}
}

func TestUsers(t *testing.T) {
	h := HTTP{Excluded: []string{"/health", "/ready", "", "/metrics", "/health", "/api/live-z"}}.withDefaults()
	selector := h.users()
	for _, label := range []string{"route", "path", "handler"} {
		if !strings.Contains(selector, ","+label+`!~"`) {
			t.Errorf("%s does not look at %s", selector, label)
		}
	}
	expr := regexp.MustCompile(`route!~"([^"]*)"`).FindStringSubmatch(selector)[1]
	for path, excluded := range map[string]bool{
		"/health": true, "health": true, "/metrics": true, "/api/live-z": true, "api_live_z": true,
		"/api/health": false, "/healthy": false, "/": false, "": false, "/api/live": false,
	} {
		if got := matches(t, expr, path); got != excluded {
			t.Errorf("%q is left out: %v, want %v by %s", path, got, excluded, expr)
		}
	}
	for name, h := range map[string]HTTP{"no path": {}, "empty paths": {Excluded: []string{"", "/"}}, "no label": {Routes: []string{}, Excluded: []string{"/health"}}} {
		if got := h.withDefaults().users(); got != "$job" {
			t.Errorf("%s: %s, want every request", name, got)
		}
	}
}
