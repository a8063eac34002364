package main

import (
	"slices"
	"time"
)

// prioritise returns the groups besides core in the order in which a limited time is
// spent on them: first those that prove what the commit changes, in the table's order,
// then the rest, which turns by one place with each commit. The order follows from the
// commit alone, so that anybody can run the same, and no group that fits stays out for
// more commits than there are groups.
func prioritise(table []group, changed []string, turn int) []group {
	rest := slices.DeleteFunc(slices.Clone(table), func(g group) bool { return g.name == core })
	var first []group
	if len(rest) > 0 {
		turn %= len(rest)
		for _, g := range rest {
			if g.touched(changed) {
				first = append(first, g)
			}
		}
		rest = slices.Concat(rest[turn:], rest[:turn])
		rest = slices.DeleteFunc(rest, func(g group) bool { return g.touched(changed) })
	}
	return append(first, rest...)
}

// next returns which of the waiting groups, given by priority, begin now: those that
// fit into what is left (one that needs nothing always does) are taken by priority. Of
// them those on the shared cluster go first while it runs, the one that spoils it at the
// end, and the others then; beside one of these run those that mostly wait. It returns
// none if nothing fits.
func next(waiting []group, left time.Duration, running bool) []group {
	var fit, shared []group
	spent := time.Duration(0)
	for _, g := range waiting {
		if g.need == 0 || spent+g.need <= left {
			fit = append(fit, g)
			spent += g.need
			if g.shares {
				shared = append(shared, g)
			}
		}
	}
	if len(fit) == 0 {
		return nil
	}
	if len(shared) > 0 && (running || fit[0].shares) {
		return shared[max(slices.IndexFunc(shared, func(g group) bool { return !g.last }), 0):][:1]
	}
	now := fit[:1:1]
	for _, g := range fit[1:] {
		alone := now[0].waits && len(now) == 1
		if !g.shares && (g.waits || alone) {
			now = append(now, g)
		}
	}
	return now
}

// without returns the groups of all that are not in some.
func without(all, some []group) []group {
	return slices.DeleteFunc(slices.Clone(all), func(g group) bool {
		return slices.ContainsFunc(some, func(s group) bool { return s.name == g.name })
	})
}
