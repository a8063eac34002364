package debian

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sourcesDir is where apt keeps what it fetches from.
const sourcesDir = "/etc/apt"

const (
	defaultArchive  = "http://deb.debian.org/debian"
	defaultSecurity = "http://deb.debian.org/debian-security"
)

// sources returns the lines of an apt sources list for a suite, on the mirrors
// that the machine itself uses; where it uses none, on Debian's own.
func sources(dir, suite string) ([]string, error) {
	archive, security, err := mirrors(dir)
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("deb %s %s main", archive, suite)}
	if suite != Unstable { // which gets its fixes directly
		lines = append(lines, fmt.Sprintf("deb %s %s-security main", security, suite))
	}
	return lines, nil
}

// mirrors reads the machine's apt sources and returns its Debian archive and its
// archive of security updates.
func mirrors(dir string) (archive, security string, err error) {
	files := []string{filepath.Join(dir, "sources.list")}
	for _, pattern := range []string{"*.sources", "*.list"} {
		more, err := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		if err != nil {
			return "", "", fmt.Errorf("apt sources: %w", err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		entries, err := readSources(file)
		if err != nil {
			return "", "", err
		}
		for _, e := range entries {
			uri := strings.TrimSuffix(e.uri, "/")
			switch {
			case !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://"):
			case security == "" && strings.HasSuffix(uri, "/debian-security"):
				security = uri
			case archive == "" && strings.HasSuffix(uri, "/debian"):
				archive = uri
			}
		}
	}
	if archive == "" {
		archive = defaultArchive
	}
	if security == "" {
		security = defaultSecurity
	}
	return archive, security, nil
}

type source struct{ uri string }

// readSources reads a file of apt sources in either of its two forms. A file
// that is not there has none.
func readSources(file string) ([]source, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("apt sources: %w", err)
	}
	defer func() { _ = f.Close() }()

	var all []source
	deb822 := strings.HasSuffix(file, ".sources")
	var uris []string
	disabled := false
	flush := func() {
		if !disabled {
			for _, u := range uris {
				all = append(all, source{uri: u})
			}
		}
		uris, disabled = nil, false
	}
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		switch {
		case strings.HasPrefix(line, "#"):
		case deb822 && line == "":
			flush()
		case deb822:
			key, value, _ := strings.Cut(line, ":")
			switch strings.ToLower(key) {
			case "uris":
				uris = strings.Fields(value)
			case "enabled":
				disabled = slices.Contains([]string{"no", "false", "off", "0"}, strings.ToLower(strings.TrimSpace(value)))
			}
		default:
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != "deb" {
				continue
			}
			fields = fields[1:]
			if len(fields) > 0 && strings.HasPrefix(fields[0], "[") { // options, which may hold blanks
				for len(fields) > 0 && !strings.HasSuffix(fields[0], "]") {
					fields = fields[1:]
				}
				if len(fields) > 0 {
					fields = fields[1:]
				}
			}
			if len(fields) > 0 {
				all = append(all, source{uri: fields[0]})
			}
		}
	}
	flush()
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("apt sources: %s: %w", file, err)
	}
	return all, nil
}
