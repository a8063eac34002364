#!/bin/sh
# Arguments that begin with - are the server's, as in the official image.
case "$1" in
-*) set -- traefik "$@" ;;
esac
exec "$@"
