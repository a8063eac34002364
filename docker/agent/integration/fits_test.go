//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheRealImageFits: what the image's own server says of itself is understood, and a
// volume of another major is refused before a server starts on it.
func TestTheRealImageFits(t *testing.T) {
	build := exec.Command("go", "build", "-o", filepath.Join(image, "agent"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := start(t)
	data := s.dir + "/data"
	fits := func(args ...string) (string, error) {
		out, err := inside("/agent", append([]string{"fits"}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := fits("-bin", filepath.Clean(bin), "-major", "17", "-data", data); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.WriteFile(image+data+"/PG_VERSION", []byte("16\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-bin", filepath.Clean(bin), "-major", "17", "-data", data}, "agent: the volume holds a database of PostgreSQL 16, which PostgreSQL 17."},
		{[]string{"-bin", filepath.Clean(bin), "-major", "18"}, "agent: the image has PostgreSQL 17."},
		{[]string{"-bin", "/usr/lib/postgresql/18/bin", "-major", "18"}, "and none in /usr/lib/postgresql/18/bin: name one of TimescaleDB's HA edition with PostgreSQL 18"},
	} {
		if out, err := fits(c.args...); err == nil || !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("fits %v: %v, %q, want one line with %q", c.args, err, out, c.want)
		}
	}
}
