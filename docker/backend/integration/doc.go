// Package integration holds the tests that need a real PostgreSQL with TimescaleDB,
// a real PgBouncer and a real Redis. They start them from the images that the local
// cluster runs, as unprivileged users in namespaces of their own, and fail if they
// cannot:
//
//	go test -race -tags integration -count=1 ./integration
//
// They need root, and the images in the cache of the program in the folder local,
// which `local images` puts there. TIMESCALEDB_ARCHIVE, PGBOUNCER_ARCHIVE and
// REDIS_ARCHIVE name other archives, in the form that `docker save` writes.
package integration
