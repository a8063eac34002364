package ui

import (
	"io/fs"
	"testing"
)

// Everything of this module that serves pages needs the built ones.
func TestBuilt(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"index.html.br", "index.html.gz", "assets/main-*.js", "assets/main-*.js.br", "assets/styles-*.css.gz", "assets/chart-*.js", "licenses.txt"} {
		found, err := fs.Glob(files, pattern)
		if err != nil || len(found) != 1 {
			t.Errorf("%s: found %v, %v; want one file", pattern, found, err)
		}
	}
}
