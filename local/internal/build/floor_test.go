package build

import (
	"testing"
	"time"
)

func TestFloor(t *testing.T) {
	got := floor(27, 21*time.Minute, 40*time.Minute, 2)
	if want := "27 programs were built: 21m0s in all; 40m0s of CPU on 2 cores take 20m0s at least, so the ratio is 1.05"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// It counts what this process and the commands that it ran have used.
func TestFloorIsToldOnlyOfBuilds(t *testing.T) {
	before := compiled.Load()
	compiled.Store(0)
	defer compiled.Store(before)
	if got := Floor(time.Second); got != "" {
		t.Errorf("nothing was built, and it tells %s", got)
	}
	root, table := module(t)
	r, _ := reporter(t)
	if _, err := ensure(t.Context(), r, table, root, t.TempDir(), []string{"one", "two"}); err != nil {
		t.Fatal(err)
	}
	if n := compiled.Load(); n != 2 || Floor(time.Second) == "" {
		t.Errorf("%d programs were built, and it tells %q", n, Floor(time.Second))
	}
}
