#!/bin/bash
# Runs the scripts in /docker-entrypoint.d before nginx, as the official image
# does: *.envsh are sourced, executable *.sh are run, in the order of their names.
# NGINX_ENTRYPOINT_QUIET_LOGS, if set, silences it.
set -e
say() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS-}" ] || echo "$0: $*"; }

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
  for f in /docker-entrypoint.d/*; do
    case $f in
      *.envsh)
        if [ -x "$f" ]; then
          say "sourcing $f"
          # shellcheck source=/dev/null
          . "$f"
        else
          say "ignoring $f: it is not executable"
        fi
        ;;
      *.sh)
        if [ -x "$f" ]; then
          say "running $f"
          "$f"
        else
          say "ignoring $f: it is not executable"
        fi
        ;;
      */\*) ;; # the folder is empty
      *) say "ignoring $f" ;;
    esac
  done
  say "configuration complete; ready for start up"
fi
exec "$@"
