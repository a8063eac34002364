// Package database puts the database's cluster alone onto the local cluster, from the
// configuration that the components render, and breaks it: a quick laboratory beside
// the whole stack's tests.
//
//	.local/bin/local up && .local/bin/local images timescaledb-ha pgbouncer versitygw agent
//	go test -tags cluster -count=1 -v ./tests/e2e/database
//
// With KEEP=1 the namespace stays, and the next run uses it again.
package database
