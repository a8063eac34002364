#!/bin/bash
# Starts PostgreSQL and makes its data directory first if it is empty. Settings
# and their meaning are those of the official image:
#   PGDATA, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS
#   (each also as NAME_FILE, a path to read it from), POSTGRES_HOST_AUTH_METHOD,
#   POSTGRES_INITDB_WALDIR, and the files in /docker-entrypoint-initdb.d.
set -Eeo pipefail

fail() { echo "$*" >&2; exit 1; }

# from_file NAME [DEFAULT]: sets NAME from the file that NAME_FILE names.
from_file() {
  local name=$1 file=${1}_FILE
  [ -z "${!name-}" ] || [ -z "${!file-}" ] || fail "$name and $file are both set: set one"
  if [ -n "${!file-}" ]; then
    [ -r "${!file}" ] || fail "$file: ${!file} cannot be read"
    printf -v "$name" %s "$(<"${!file}")"
  elif [ -z "${!name-}" ]; then
    printf -v "$name" %s "${2-}"
  fi
  export "${name?}"
  unset "$file"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "$@"; }

# quoted ARGUMENTS: one text that a shell splits into them again.
quoted() { printf '%q ' "$@"; }

make_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  # A mounted volume's root may not be ours to change.
  chmod 00700 "$PGDATA" || :
  chmod 03775 /var/run/postgresql || :
  [ -z "${POSTGRES_INITDB_WALDIR-}" ] || mkdir -p "$POSTGRES_INITDB_WALDIR"
}

initialise() {
  if [ "${POSTGRES_HOST_AUTH_METHOD-}" = trust ]; then
    echo "warning: POSTGRES_HOST_AUTH_METHOD is trust: anyone who can connect is let in without a password" >&2
  elif [ -z "$POSTGRES_PASSWORD" ]; then
    fail "the database has no data yet and POSTGRES_PASSWORD is empty: set it, or POSTGRES_PASSWORD_FILE"
  fi
  [ -z "${POSTGRES_INITDB_WALDIR-}" ] || set -- --waldir "$POSTGRES_INITDB_WALDIR"
  # The arguments are a shell text, so that one of them can hold a blank. The
  # password goes through a pipe: arguments are readable by others.
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") $POSTGRES_INITDB_ARGS \"\$@\""

  local method=${POSTGRES_HOST_AUTH_METHOD-}
  [ -n "$method" ] || method=$(postgres -C password_encryption)
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

run_scripts() {
  local f
  for f in /docker-entrypoint-initdb.d/*; do
    case $f in
      *.sh)
        if [ -x "$f" ]; then
          echo "$0: running $f"
          "$f"
        else
          echo "$0: sourcing $f"
          # shellcheck source=/dev/null
          . "$f"
        fi
        ;;
      *.sql) echo "$0: running $f"; sql --dbname "$POSTGRES_DB" --file "$f" ;;
      *.sql.gz) echo "$0: running $f"; gunzip --stdout "$f" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.xz) echo "$0: running $f"; xzcat "$f" | sql --dbname "$POSTGRES_DB" ;;
      *.sql.zst) echo "$0: running $f"; zstd --decompress --stdout "$f" | sql --dbname "$POSTGRES_DB" ;;
      */\*) ;; # the folder is empty
      *) echo "$0: ignoring $f" ;;
    esac
  done
}

main() {
  [ "${1:0:1}" != - ] || set -- postgres "$@"
  if [ "$1" != postgres ] || wants_help "$@"; then
    exec "$@"
  fi
  make_folders
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
  fi
  if [ -s "$PGDATA/PG_VERSION" ]; then
    echo "PostgreSQL Database directory appears to contain a database; Skipping initialization"
    exec "$@"
  fi
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS
  initialise
  # Only on the socket: nobody meets a database that is half made.
  shift
  PGHOST='' PGPORT=${PGPORT:-5432} pg_ctl -D "$PGDATA" -w start \
    -o "$(quoted "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
  set -- postgres "$@"
  export PGHOST='' PGPASSWORD=$POSTGRES_PASSWORD
  if [ "$POSTGRES_DB" != postgres ]; then
    sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  run_scripts
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD PGHOST
  echo "PostgreSQL init process complete; ready for start up."
  exec "$@"
}

wants_help() {
  local a
  for a; do
    case $a in -'?' | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

main "$@"
