// Package room is the contract between a part of a stack (a room: the database, the
// cache, …) and whoever composes parts: what a room says about itself before its first
// resource exists. Plain Go without Pulumi types: quota, network policies or networks,
// scraping, volumes, rules and dashboards follow from these values, and a test can add
// them up.
package room
