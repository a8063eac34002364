// Package ownbuild puts somebody else's application into the backend's place as
// docs/your-own-build.md says, and runs it: the real podinfo behind the real nginx and
// under Prometheus' own test tool, each with what the page's settings render.
package ownbuild
