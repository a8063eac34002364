#!/bin/bash
# Starts Valkey as the user valkey. Arguments that begin with - or end in .conf are
# those of valkey-server, as in the official image.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- valkey-server "$@"
fi
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user valkey -exec chown valkey '{}' +
  exec setpriv --reuid=valkey --regid=valkey --init-groups "$0" "$@"
fi
# What Valkey writes is nobody else's to read, unless a mask says otherwise.
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
