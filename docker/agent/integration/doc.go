// Package integration holds the tests that need a real PostgreSQL with TimescaleDB, or a real
// PgBouncer. They start them from the images that the local cluster runs, as unprivileged
// users in namespaces of their own, and fail if they cannot:
//
//	go test -tags integration -count=1 ./integration
//
// They need root, and the images timescaledb-ha and pgbouncer in the cache of the program in
// the folder local, which `local images timescaledb-ha pgbouncer` puts there.
// TIMESCALEDB_HA_ARCHIVE and PGBOUNCER_ARCHIVE name other archives, in the form that `docker
// save` writes.
package integration
