// Package stacks composes the rooms of a stack. Data flows one way:
//
//	Pulumi.<stack>.yaml → settings → Stack → plan → components → outputs
//
// settings/ declares a setting once, in its room's file (database.go, edge.go, …),
// straight into the component's arguments. Parse reads all of them and reports every
// problem at once; arrange lets one room follow from another. look (owner.go) asks the
// cluster what is there already. rooms.go says what a stack consists of and links.go who
// talks to whom: the only list, for both targets. plan.go folds the rooms' facts into
// quota, policies or networks, scraping, rules, dashboards and taken names, before the
// first resource exists. kubernetes.go and docker.go are the targets.
//
// What differs from the first sketch of this house, and why:
//
//   - Alerts and panels of a room stand in its own package observe, not in the component:
//     they are plain Go, and a test of rules links no Pulumi SDK.
//   - A room takes its target as an argument (Facts, processes): what the two targets have
//     in common is one function, and what differs stands beside it as a condition.
//   - The order in which rooms are created is code in the targets, since outputs flow
//     there; the order of rooms.go is that of scraping, alerts and panels.
package stacks
