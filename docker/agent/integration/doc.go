// Package integration holds the tests that need a real PostgreSQL with TimescaleDB.
// They start it from the image that the local cluster runs, as an unprivileged user in
// namespaces of its own, and fail if they cannot:
//
//	go test -tags integration -count=1 ./integration
//
// They need root, and the image timescaledb-ha in the cache of the program in the folder
// local, which `local images timescaledb-ha` puts there. TIMESCALEDB_HA_ARCHIVE names
// another archive, in the form that `docker save` writes.
package integration
