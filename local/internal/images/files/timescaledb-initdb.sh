#!/bin/bash
# Every database of this server has TimescaleDB, also those that are made later.
set -e
for db in postgres template1 "$POSTGRES_DB"; do
  psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$db" \
    --command 'CREATE EXTENSION IF NOT EXISTS timescaledb CASCADE'
done
