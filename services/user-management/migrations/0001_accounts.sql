-- Accounts, their sessions and secrets, and the audit log.
-- Secrets are never stored: passwords as Argon2id strings, tokens and codes as SHA-256 of a random value,
-- second-factor seeds encrypted under a key that is mounted beside the service and never in this database.

CREATE TABLE users (
    id                  uuid        PRIMARY KEY,
    email               text        UNIQUE CHECK (email = lower(email) AND length(email) <= 254),
    email_verified_at   timestamptz,
    -- The address asked for, until the mail sent there is answered: here, not in the mail queue, so that it is
    -- exported and erased with the account.
    pending_email       text        CHECK (pending_email = lower(pending_email) AND length(pending_email) <= 254),
    password_hash       text,
    password_changed_at timestamptz NOT NULL DEFAULT now(),
    status              text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'deleted')),
    disabled_reason     text,
    roles               text[]      NOT NULL DEFAULT '{customer}'
                                    CHECK (roles <@ '{customer,support,admin}'::text[] AND cardinality(roles) > 0),
    display_name        text        NOT NULL DEFAULT '' CHECK (length(display_name) <= 100),
    phone               text        CHECK (length(phone) <= 32),
    locale              text        NOT NULL DEFAULT 'en' CHECK (length(locale) <= 35),
    version             bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    deleted_at          timestamptz,
    -- A deleted account keeps its id (orders point to it) and nothing about the person.
    CHECK (status = 'deleted' OR (email IS NOT NULL AND password_hash IS NOT NULL)),
    CHECK (status <> 'deleted' OR (email IS NULL AND pending_email IS NULL AND password_hash IS NULL AND phone IS NULL
                                   AND display_name = ''))
);
CREATE INDEX users_email_prefix ON users (email text_pattern_ops);
CREATE INDEX users_name_prefix ON users (lower(display_name) text_pattern_ops);
-- A search by prefix matches few of very many: with the default hundred buckets the planner takes 0.4 % for 1 % and walks
-- the primary key through a quarter of the table instead of these two.
ALTER TABLE users ALTER COLUMN email SET STATISTICS 1000;
ALTER INDEX users_name_prefix ALTER COLUMN 1 SET STATISTICS 1000;
-- Few are not active and few are more than customers: what administrators list stays short at any number of users.
CREATE INDEX users_not_active ON users (status, id) WHERE status <> 'active';
CREATE INDEX users_support ON users (id) WHERE 'support' = ANY (roles);
CREATE INDEX users_admin ON users (id) WHERE 'admin' = ANY (roles);

CREATE TABLE sessions (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz NOT NULL DEFAULT now(),
    -- Moves with every refresh (idle end), never past `ends_at` (absolute end).
    expires_at    timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    revoked_at    timestamptz,
    revoke_reason text CHECK (revoke_reason IN ('logout', 'revoked', 'refresh_reuse', 'password_changed',
                                                'password_reset', 'disabled', 'deleted')),
    user_agent    text        NOT NULL DEFAULT '' CHECK (length(user_agent) <= 256),
    address       text        NOT NULL DEFAULT '' CHECK (length(address) <= 64),
    CHECK (expires_at <= ends_at),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);
CREATE INDEX sessions_of_user ON sessions (user_id, id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_ended ON sessions (expires_at);

-- One family a session: each row is used once and names nothing but hashes. `successor` is the next token,
-- encrypted under a key derived from this one, for the ten seconds in which a lost answer is given again.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    next_hash  bytea       CHECK (length(next_hash) = 32),
    successor  bytea,
    CHECK ((used_at IS NULL) = (next_hash IS NULL))
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

-- Tokens sent by mail: single use, 30 minutes, a new one of the same purpose replaces the old one.
CREATE TABLE mail_tokens (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose    text        NOT NULL CHECK (purpose IN ('verify', 'reset', 'email_change')),
    new_email  text        CHECK (new_email = lower(new_email) AND length(new_email) <= 254),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    UNIQUE (user_id, purpose),
    CHECK ((purpose = 'email_change') = (new_email IS NOT NULL))
);

CREATE TABLE totp (
    user_id      uuid        PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    sealed_seed  bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    -- The last 30-second step whose code was accepted: a code works once.
    last_step    bigint      NOT NULL DEFAULT 0
);

CREATE TABLE recovery_codes (
    user_id uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    hash    bytea       NOT NULL CHECK (length(hash) = 32),
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);

-- Failures of log-in. The key is a hash of (e-mail, address prefix) or of the e-mail alone, so that accounts
-- that do not exist are throttled exactly like those that do, and the table holds no e-mail.
CREATE TABLE login_backoff (
    key             bytea       PRIMARY KEY CHECK (length(key) = 32),
    failures        integer     NOT NULL,
    window_start    timestamptz NOT NULL DEFAULT now(),
    last_failure_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_backoff_age ON login_backoff (last_failure_at);

-- Places from which an account signed in: the account-wide budget never shuts these out.
CREATE TABLE known_places (
    key          bytea       PRIMARY KEY CHECK (length(key) = 32),
    user_id      uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    last_seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX known_places_of_user ON known_places (user_id);

CREATE TABLE addresses (
    id          uuid        PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    label       text        NOT NULL DEFAULT '' CHECK (length(label) <= 50),
    recipient   text        NOT NULL CHECK (length(recipient) BETWEEN 1 AND 100),
    line1       text        NOT NULL CHECK (length(line1) BETWEEN 1 AND 200),
    line2       text        NOT NULL DEFAULT '' CHECK (length(line2) <= 200),
    city        text        NOT NULL CHECK (length(city) BETWEEN 1 AND 100),
    region      text        NOT NULL DEFAULT '' CHECK (length(region) <= 100),
    postal_code text        NOT NULL DEFAULT '' CHECK (length(postal_code) <= 20),
    country     text        NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    phone       text        CHECK (length(phone) <= 32),
    is_default  boolean     NOT NULL DEFAULT false,
    version     bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_of_user ON addresses (user_id, id);
CREATE UNIQUE INDEX addresses_one_default ON addresses (user_id) WHERE is_default;

CREATE TABLE service_clients (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9-]{1,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- At most two live secrets a client: the old one works on while its users change over.
CREATE TABLE service_client_secrets (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    client_id  uuid        NOT NULL REFERENCES service_clients ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX service_client_secrets_of ON service_client_secrets (client_id);

-- Who did what to whom. Ids only: an erased account leaves nothing personal here but a network prefix.
CREATE TABLE audit_log (
    id         uuid        PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    action     text        NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    actor_kind text        NOT NULL CHECK (actor_kind IN ('user', 'service', 'operator', 'system')),
    actor      uuid,
    subject    uuid,
    request_id text        NOT NULL DEFAULT '',
    place      text        NOT NULL DEFAULT '',
    data       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_of_subject ON audit_log (subject, id);
CREATE INDEX audit_log_of_actor ON audit_log (actor, id);
CREATE INDEX audit_log_of_action ON audit_log (action, id);

CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
