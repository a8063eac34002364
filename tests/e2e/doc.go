// Package e2e proves the dev stack on the local cluster, through the commands that
// a user would type. Its tests need the build tag e2e, because they take a cluster
// and many minutes: `make e2e` runs them, `make test` does not.
//
//	make e2e          a cluster from nothing, and nothing left at the end
//	make e2e KEEP=1   a running cluster and stack are used and left running
package e2e
