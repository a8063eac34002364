-- Statements below carry password verifiers: neither a slow nor a failed one may
-- put them into a log.
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET log_statement = 'none';
\set VERBOSITY terse

\set superuser_verifier `cat "$VERIFIERS_PATH/superuser"`
\set application_verifier `cat "$VERIFIERS_PATH/application"`
\set monitoring_verifier `cat "$VERIFIERS_PATH/monitoring"`

ALTER ROLE postgres PASSWORD :'superuser_verifier';

SELECT format('CREATE ROLE %I', r) FROM unnest(ARRAY[:'application', :'monitoring']) AS r
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec

ALTER ROLE :"application" LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
	PASSWORD :'application_verifier';

ALTER ROLE :"monitoring" LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
	CONNECTION LIMIT 5 PASSWORD :'monitoring_verifier';
GRANT pg_monitor, pg_use_reserved_connections TO :"monitoring";

-- template0: template1 may be in use by the extension's scheduler.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'database', :'application')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"application";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"monitoring";
