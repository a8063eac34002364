// Package e2e proves the dev stack on the local cluster, through the commands that
// a user would type. Its tests need the build tag e2e, because they take a cluster
// and many minutes: `make e2e` runs them, `make test` does not.
//
//	make e2e GROUP=core          a cluster from nothing, and nothing left at the end
//	make e2e GROUP=core KEEP=1   a running cluster and stack are used and left running
//
// Each group is one function, Test<Group>, and one line in tests/groups. The groups
// share a cluster and the stack dev on it: each leaves both as it found them.
package e2e
