#!/bin/sh
# Run by the PostgreSQL image when its volume is empty, and never again: see docs/operations.md for changing passwords later.
set -eu
: "${PREFECT_DB_PASSWORD:?}" "${LEDGER_DB_PASSWORD:?}"
exec psql --username "$POSTGRES_USER" --dbname postgres -f /roles.sql
