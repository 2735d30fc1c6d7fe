#!/bin/bash
# Run once by the PostgreSQL image, when it makes the database. The coordinator creates its tables
# itself; this makes the role of Grafana, which may read the views of the schema grafana only.
set -euo pipefail
: "${CAMBRIAN_GRAFANA_DATABASE_PASSWORD:?}"
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  -v owner="$POSTGRES_USER" -v password="$CAMBRIAN_GRAFANA_DATABASE_PASSWORD" <<'SQL'
CREATE ROLE cambrian_grafana LOGIN PASSWORD :'password' CONNECTION LIMIT 10;
ALTER ROLE cambrian_grafana SET statement_timeout = '5s';
ALTER ROLE cambrian_grafana SET default_transaction_read_only = on;
CREATE SCHEMA grafana AUTHORIZATION :"owner";
GRANT USAGE ON SCHEMA grafana TO cambrian_grafana;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA grafana
  GRANT SELECT ON TABLES TO cambrian_grafana;
SQL
