package livetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LogQueries are what the runbooks in a folder ask of log lines, by the runbooks' names: one
// block of LogsQL each, of those that have any.
func LogQueries(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		_, rest, ok := strings.Cut(string(text), "\n```logsql\n")
		if !ok {
			continue
		}
		query, more, closed := strings.Cut(rest, "\n```\n")
		if !closed || strings.Contains(more, "```logsql") {
			return nil, fmt.Errorf("%s: want one block of LogsQL", file)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".md")] = query
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no runbook asks for log lines", folder)
	}
	return all, nil
}
