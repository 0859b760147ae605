CREATE TABLE notes (
    id         uuid        PRIMARY KEY,
    text       text        NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

-- What the serving role may do here; `migrate` calls it after every run.
CREATE FUNCTION grant_serve(serve name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', serve);
    EXECUTE format('GRANT SELECT, INSERT ON notes TO %I', serve);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION grant_serve(name) FROM PUBLIC');
END $$;
