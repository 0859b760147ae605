-- Old entries of the audit log are thrown away by the sweep (AUDIT_RETENTION_DAYS). Whoever has got hold of the service
-- still cannot remove the traces of it: the table itself refuses to give up what is younger than ninety days, to
-- everybody, and to rewrite anything at all.
DROP TRIGGER append_only ON audit_log;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER kept BEFORE DELETE ON audit_log
    FOR EACH ROW WHEN (old.at > now() - interval '90 days') EXECUTE FUNCTION audit_log_is_append_only();

CREATE OR REPLACE FUNCTION grant_serve(serve name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', serve);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', serve);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %I', serve);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', serve);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I', serve);
    EXECUTE format('REVOKE UPDATE ON audit_log FROM %I', serve);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION grant_serve(name) FROM PUBLIC');
END $$;
