// Package single proves the stack on one Docker host, on a real engine, through the
// commands that a user would type. Its tests need the build tag e2e, because they
// take an engine and many minutes: `make e2e` runs them, `make test` does not.
//
//	make e2e          an engine from nothing, and nothing left at the end
//	make e2e KEEP=1   leaves this out: a machine has one cluster or one engine
package single
