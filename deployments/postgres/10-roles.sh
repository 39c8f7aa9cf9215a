#!/bin/sh
# Run by the PostgreSQL image when its volume is empty, and never again: see docs/operations.md for changing passwords later.
set -eu
exec psql --username "$POSTGRES_USER" --dbname postgres \
  -v prefect_password="${PREFECT_DB_PASSWORD:?}" -v ledger_password="${LEDGER_DB_PASSWORD:?}" -f /roles.sql
