-- Two databases on one server, each with an owner of its own who can see nothing else. Run once, as the superuser, by psql 14 or
-- later, the passwords in the environment, where the process list does not show them (leave the space before them: no shell history):
--    PREFECT_DB_PASSWORD=… LEDGER_DB_PASSWORD=… psql -f roles.sql
-- cleanplate needs no more than this: its role owns the ledger's database, makes its tables by itself, and is not allowed to make
-- databases or roles. `ledger_reader` is for dashboards: it reads, and cannot write.
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_DB_PASSWORD
\getenv ledger_password LEDGER_DB_PASSWORD

CREATE ROLE prefect LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'prefect_password';
CREATE ROLE cleanplate LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'ledger_password';
CREATE ROLE ledger_reader NOLOGIN;

CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE ledger OWNER cleanplate;
REVOKE ALL ON DATABASE prefect FROM PUBLIC;
REVOKE ALL ON DATABASE ledger FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE ledger TO ledger_reader;

\connect ledger
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE cleanplate GRANT USAGE ON SCHEMAS TO ledger_reader; -- cleanplate makes a schema of its own name
ALTER DEFAULT PRIVILEGES FOR ROLE cleanplate GRANT SELECT ON TABLES TO ledger_reader;
