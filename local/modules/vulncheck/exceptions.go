package main

import (
	"fmt"
	"regexp"
	"strings"
)

// An exception is a known vulnerability that is accepted for a reason.
type exception struct {
	id     string
	module string // that is vulnerable; stdlib for Go itself
	reason string
}

// stdlib is what the database calls Go's standard library.
const stdlib = "stdlib"

var exceptionID = regexp.MustCompile(`^GO-\d{4}-\d+$`)

// readExceptions reads one exception a line: the id, the module, the reason. Empty lines
// and those that begin with # say nothing.
func readExceptions(text string) ([]exception, error) {
	var all []exception
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, rest, _ := strings.Cut(line, " ")
		module, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		e := exception{id: id, module: module, reason: strings.TrimSpace(reason)}
		switch {
		case !exceptionID.MatchString(e.id):
			return nil, fmt.Errorf("exceptions.txt:%d: %q is no id of the Go vulnerability database, like GO-2026-1234", n, e.id)
		case e.module == "" || e.reason == "":
			return nil, fmt.Errorf("exceptions.txt:%d: %s: the module and the reason are missing: ID MODULE REASON", n, e.id)
		case seen[e.id+" "+e.module]:
			return nil, fmt.Errorf("exceptions.txt:%d: %s of %s is there twice", n, e.id, e.module)
		}
		seen[e.id+" "+e.module] = true
		all = append(all, e)
	}
	return all, nil
}
