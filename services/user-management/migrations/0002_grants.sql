-- What the serving role may do: read and write rows, never alter the schema or rewrite the audit log.
-- `migrate` calls it for the user that serves, after every run.

-- The default of PostgreSQL 15; older servers let everybody make tables here.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE FUNCTION grant_serve(serve name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', serve);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', serve);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %I', serve);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', serve);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I', serve);
    EXECUTE format('REVOKE UPDATE, DELETE ON audit_log FROM %I', serve);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION grant_serve(name) FROM PUBLIC');
END $$;
