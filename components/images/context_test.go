package images

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// context makes a build context of the given files.
func context(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
}

func shop() map[string]string {
	return map[string]string{
		"Dockerfile": "FROM scratch", ".dockerignore": "*\n!shop\nshop/out\n!shop/out/keep\n**/*_test.go\n",
		"shop/main.go": "package main", "shop/main_test.go": "package main", "shop/pages/index.html": "<p>",
		"shop/out/made": "x", "shop/out/keep": "", "bank/main.go": "package main",
	}
}

func TestFiles(t *testing.T) {
	dir := context(t, shop())
	require.NoError(t, os.Symlink("main.go", filepath.Join(dir, "shop/link.go")))

	files, err := Files(dir, ".")
	require.NoError(t, err)
	assert.Equal(t, []string{"shop/link.go", "shop/main.go", "shop/out/keep", "shop/pages/index.html"}, files)

	files, err = Files(dir, "shop/pages", "shop/main.go", "shop/pages/index.html", "bank")
	require.NoError(t, err)
	assert.Equal(t, []string{"shop/main.go", "shop/pages/index.html"}, files, "each once, and only what is let through")

	_, err = Files(dir, "shop", "café")
	assert.ErrorContains(t, err, "café")

	require.NoError(t, os.Remove(filepath.Join(dir, ".dockerignore")))
	files, err = Files(dir, "bank", "shop/out")
	require.NoError(t, err)
	assert.Equal(t, []string{"bank/main.go", "shop/out/keep", "shop/out/made"}, files, "without .dockerignore everything is sent")

	write(t, filepath.Join(dir, ".dockerignore"), "[")
	_, err = Files(dir, ".")
	assert.ErrorContains(t, err, ".dockerignore")
}

// TestDigest: what the image is made of changes it; nothing else does.
func TestDigest(t *testing.T) {
	digest := func(t *testing.T, dir string) string {
		d, err := Digest(dir, "Dockerfile", "shop")
		require.NoError(t, err)
		return d
	}
	base := digest(t, context(t, shop()))
	assert.Regexp(t, "^[0-9a-f]{64}$", base)

	for name, edit := range map[string]func(t *testing.T, dir string){
		"a source":       func(t *testing.T, dir string) { write(t, filepath.Join(dir, "shop/main.go"), "package  main") },
		"the Dockerfile": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\n") },
		"a new file":     func(t *testing.T, dir string) { write(t, filepath.Join(dir, "shop/new.go"), "") },
		"a removed file": func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "shop/main.go"))) },
		"a right": func(t *testing.T, dir string) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "shop/main.go"), 0o755))
		},
		"the .dockerignore": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".dockerignore"), "*\n!shop\n")
		},
		"a renamed file": func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "shop/main.go"), filepath.Join(dir, "shop/other.go")))
		},
		"a link instead of the file": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "shop/main.go")))
			require.NoError(t, os.Symlink("package main", filepath.Join(dir, "shop/main.go")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := context(t, shop())
			edit(t, dir)
			assert.NotEqual(t, base, digest(t, dir))
		})
	}
	for name, edit := range map[string]func(t *testing.T, dir string){
		"another clone": func(*testing.T, string) {},
		"another image": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "bank/main.go"), "package bank") },
		"a test":        func(t *testing.T, dir string) { write(t, filepath.Join(dir, "shop/main_test.go"), "package shop") },
		"a built file":  func(t *testing.T, dir string) { write(t, filepath.Join(dir, "shop/out/more"), "y") },
		"another umask": func(t *testing.T, dir string) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "shop/main.go"), 0o600))
		},
		"a comment on what is ignored": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".dockerignore"), "# shop\n"+shop()[".dockerignore"])
		},
		"a time": func(t *testing.T, dir string) {
			require.NoError(t, os.Chtimes(filepath.Join(dir, "shop/main.go"), time.Time{}, time.Unix(1, 0)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := context(t, shop())
			edit(t, dir)
			assert.Equal(t, base, digest(t, dir))
		})
	}

	dir := context(t, shop())
	_, err := Digest(dir, "Dockerfile", "bank")
	assert.ErrorContains(t, err, "lets nothing of bank through")
	_, err = Digest(dir, "Dockerfile.prod", "shop")
	assert.ErrorContains(t, err, "Dockerfile.prod")
}
