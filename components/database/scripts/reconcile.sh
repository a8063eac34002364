#!/bin/sh
# Brings roles, database and extension to what the program declares, at every
# start of the database: on a new volume, after a changed password, after an image with
# a newer extension. It runs beside the server, in a container of its own, so a
# long crash recovery is simply waited for and every failure has its own log.
#
# Argument: the file to create when everything is as declared.
set -eu
trap 'exit 0' TERM INT

export PGHOST="$SOCKET_PATH" PGUSER=postgres PGAPPNAME=reconcile PGCONNECT_TIMEOUT=10
# The superuser looks at nothing that an application's role put into a schema.
plain='-c search_path=pg_catalog,pg_temp -c client_min_messages=warning'

# in_database NAME OPTIONS... runs psql there. The name is given by environment:
# as an argument it could be read as a connection string.
in_database() {
	database=$1
	shift
	PGDATABASE="$database" PGOPTIONS="$plain" psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" </dev/null
}

# While the image sets a new volume up, its temporary server has a socket but no
# port: only the real one answers here. Whatever else it answers is waited for.
until pg_isready -q -h "$SERVER_HOST" -U "$APPLICATION_ROLE" -d "$DATABASE"; do
	sleep 1 &
	wait $!
done

in_database postgres -v application="$APPLICATION_ROLE" -v monitoring="$MONITORING_ROLE" \
	-v database="$DATABASE" -f "$SCRIPTS_PATH/roles.sql"

# An update must be the first command of its session: any other loads the version
# that is installed, whose library a new image may no longer have. disable_load
# lets the question be asked without it.
databases=$(in_database postgres -c 'SELECT datname FROM pg_database WHERE datallowconn')
printf '%s\n' "$databases" | while IFS= read -r each; do
	installed=$(PGDATABASE="$each" PGOPTIONS="$plain -c timescaledb.disable_load=on" \
		psql -X -q -A -t -c "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'" </dev/null)
	if [ -n "$installed" ]; then
		in_database "$each" -c 'ALTER EXTENSION timescaledb UPDATE'
	fi
done
in_database "$DATABASE" -c 'CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public'

: >"$1"
echo "roles, database $DATABASE and extension timescaledb are as declared"
while :; do
	sleep 3600 &
	wait $!
done
