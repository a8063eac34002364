#!/bin/sh
exec /usr/bin/pgbouncer /etc/pgbouncer/pgbouncer.ini
