package main

import (
	"slices"
	"testing"
)

// An image is started without arguments by a platform that knows no mode, and by one that
// names it in the environment.
func TestModeComesFromArgumentsElseTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		args        []string
		environment string
		want        []string
	}{
		{nil, "", []string{"api"}},
		{nil, "engine", []string{"engine"}},
		{[]string{"dashboard"}, "engine", []string{"dashboard"}},
		{[]string{"healthcheck", "api"}, "engine", []string{"healthcheck", "api"}},
	} {
		if got := withMode(c.args, c.environment); !slices.Equal(got, c.want) {
			t.Errorf("%q with ALPHAPULSE_MODE=%q: %q, want %q", c.args, c.environment, got, c.want)
		}
	}
	if err := run(withMode(nil, "trade")); err == nil {
		t.Error("a mode that there is not is started")
	}
}
