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
// fit into what is left (one that needs nothing always does) are taken by priority, and of them one that shares the running
// cluster goes first, since it needs no other. Beside one without a cluster also those
// run that mostly wait. It returns none if nothing fits.
func next(waiting []group, left time.Duration, running string) []group {
	var fit []group
	spent := time.Duration(0)
	for _, g := range waiting {
		if g.need == 0 || spent+g.need <= left {
			fit = append(fit, g)
			spent += g.need
		}
	}
	if len(fit) == 0 {
		return nil
	}
	i := slices.IndexFunc(fit, func(g group) bool { return running != "" && g.cluster == running })
	now := []group{fit[max(i, 0)]}
	if now[0].cluster != "" {
		return now
	}
	for _, g := range fit {
		alone := now[0].waits && len(now) == 1
		if g.name != now[0].name && g.cluster == "" && (g.waits || alone) {
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
