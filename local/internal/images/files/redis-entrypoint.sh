#!/bin/bash
# Starts Redis as the user redis. Arguments that begin with - or end in .conf are
# those of redis-server, as in the official image.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis '{}' +
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
# What Redis writes is nobody else's to read, unless a mask says otherwise.
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
