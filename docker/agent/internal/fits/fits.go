// Package fits tells whether an image's PostgreSQL is the one that is needed, and whether
// it opens a volume, before anything of the volume is touched. The tag of an image that
// somebody has made or mirrored need not tell.
package fits

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Check is what an image has to be good for.
type Check struct {
	// Bin is the folder of PostgreSQL's programs, as the server's configuration names it.
	Bin string
	// Major is the one version of PostgreSQL that will do, e.g. 17.
	Major string
	// Programs are further ones that the image must have on its PATH.
	Programs []string
	// Data is the folder of a database, which need not be there; "" for none.
	Data string
}

// version is that of PostgreSQL's programs: "postgres (PostgreSQL) 17.5 (Debian …)".
var version = regexp.MustCompile(`\) (\d+)(\S*)`)

// Run reports, in one line with the remedy, why the image will not do.
func (c Check) Run(ctx context.Context) error {
	major, full, err := c.installed(ctx, filepath.Join(c.Bin, "postgres"))
	if err != nil {
		return err
	}
	if major != c.Major {
		return fmt.Errorf("the image has PostgreSQL %s: name one with PostgreSQL %s; the database was left as it is", full, c.Major)
	}
	for _, program := range c.Programs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the image has no %s: name one of TimescaleDB's HA edition with PostgreSQL %s; the database was left as it is", program, c.Major)
		}
	}
	if c.Data == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(c.Data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if made := strings.TrimSpace(string(raw)); made != major {
		return fmt.Errorf("the volume holds a database of PostgreSQL %s, which PostgreSQL %s of the image cannot open: "+
			"dump it with an image of PostgreSQL %[1]s and load it into a new one; it was left as it is", made, full)
	}
	return nil
}

// installed asks a server's program for its version; where it is missing, another one of
// the image says what there is instead.
func (c Check) installed(ctx context.Context, program string) (major, full string, err error) {
	if _, err := os.Stat(program); err != nil {
		// Debian and its like have a folder for each major.
		others, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(c.Bin)), "*", "bin", "postgres"))
		if err != nil {
			return "", "", err
		}
		if found, err := exec.LookPath("postgres"); err == nil {
			others = append(others, found)
		}
		if len(others) == 0 {
			return "", "", fmt.Errorf("the image has no PostgreSQL in %s: name one of TimescaleDB's HA edition with PostgreSQL %s; the database was left as it is", c.Bin, c.Major)
		}
		program = others[len(others)-1]
		if _, full, err = c.installed(ctx, program); err != nil {
			return "", "", err
		}
		return "", "", fmt.Errorf("the image has PostgreSQL %s in %s and none in %s: name one of TimescaleDB's HA edition with PostgreSQL %s; the database was left as it is",
			full, filepath.Dir(program), c.Bin, c.Major)
	}
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s --version: %w: %s", program, err, out)
	}
	m := version.FindSubmatch(out)
	if m == nil {
		return "", "", fmt.Errorf("%s --version says %q: no version of PostgreSQL", program, out)
	}
	return string(m[1]), string(m[1]) + string(m[2]), nil
}
