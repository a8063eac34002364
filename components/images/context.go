package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignoreFile says what of a build context stays out, in its root.
const ignoreFile = ".dockerignore"

// Files lists what of a build context reaches the builder below the given paths: the
// files and links that .dockerignore lets through, relative to the context, sorted.
// A path that does not exist is an error.
func Files(context string, below ...string) ([]string, error) {
	ignored, err := ignoring(context)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, start := range below {
		err := filepath.WalkDir(filepath.Join(context, start), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(context, name)
			if err != nil {
				return err
			}
			if rel == "." {
				return nil
			}
			rel = filepath.ToSlash(rel)
			out, err := ignored.MatchesOrParentMatches(rel)
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				if out && !exceptionBelow(ignored, rel) {
					return fs.SkipDir
				}
			case !out && (entry.Type().IsRegular() || entry.Type() == fs.ModeSymlink):
				files = append(files, rel)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("build context %s: %w", context, err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// ignoring reads the context's .dockerignore; without one nothing is ignored.
func ignoring(context string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(filepath.Join(context, ignoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	return matcher, nil
}

// exceptionBelow tells whether a pattern like !folder/file takes something below an
// ignored folder in again.
func exceptionBelow(m *patternmatcher.PatternMatcher, folder string) bool {
	return slices.ContainsFunc(m.Patterns(), func(p *patternmatcher.Pattern) bool {
		return p.Exclusion() && strings.HasPrefix(p.String()+"/", folder+"/")
	})
}

// Digest names what an image is made of: its Dockerfile and the files below the
// sources, by path, content and right to execute. Times and owners do not count: a
// fresh clone of the same commit has the same digest.
func Digest(context, dockerfile string, sources ...string) (string, error) {
	files, err := Files(context, sources...)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("build context %s: %s lets nothing of %s through", context, ignoreFile, strings.Join(sources, ", "))
	}
	// The Dockerfile goes to the builder whatever .dockerignore says.
	files = append([]string{path.Clean(filepath.ToSlash(dockerfile))}, files...)
	sum := sha256.New()
	for _, f := range files {
		kind, content, err := read(filepath.Join(context, filepath.FromSlash(f)))
		if err != nil {
			return "", fmt.Errorf("build context %s: %w", context, err)
		}
		_, _ = fmt.Fprintf(sum, "%s %q %x\n", kind, f, sha256.Sum256(content))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func read(name string) (kind string, content []byte, err error) {
	info, err := os.Lstat(name)
	if err != nil {
		return "", nil, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(name)
		return "link", []byte(target), err
	}
	kind = "file"
	if info.Mode().Perm()&0o100 != 0 {
		kind = "program"
	}
	content, err = os.ReadFile(name)
	return kind, content, err
}
