#!/bin/bash
# Starts Redis as the user redis, or Valkey, where it is there, as the user valkey.
# Arguments that begin with - or end in .conf are the server's, as in the official images.
set -e
name=redis
if command -v valkey-server >/dev/null; then
  name=valkey
fi
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- "$name-server" "$@"
fi
if [ "$1" = "$name-server" ] && [ "$(id -u)" = 0 ]; then
  find . \! -user "$name" -exec chown "$name" '{}' +
  exec setpriv --reuid="$name" --regid="$name" --init-groups "$0" "$@"
fi
# What the server writes is nobody else's to read, unless a mask says otherwise.
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
