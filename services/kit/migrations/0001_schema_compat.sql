-- How old a program may be and still live on this schema. One row for shop-kit's own tables, one for the service's.
CREATE TABLE kit.schema_compat (
    component         text        PRIMARY KEY CHECK (component IN ('kit', 'service')),
    version           bigint      NOT NULL,
    oldest_compatible bigint      NOT NULL CHECK (oldest_compatible <= version),
    changed_at        timestamptz NOT NULL DEFAULT now()
);

-- What the serving role may do in this schema: read and write rows of the working tables, and nothing to the rest.
CREATE FUNCTION kit.grant_serve(serve name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA kit TO %I', serve);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kit TO %I', serve);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA kit TO %I', serve);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON kit.schema_compat, kit.migrations, kit.service_migrations FROM %I', serve);
END $$;
REVOKE EXECUTE ON FUNCTION kit.grant_serve(name) FROM PUBLIC;
