-- A link to set a new password goes on working when another one is asked for: anybody may ask, and would otherwise take
-- the owner's away. They end together: by use, by a new password or address, and each after its thirty minutes.
CREATE TABLE replaced_tokens (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX replaced_tokens_of_user ON replaced_tokens (user_id);
CREATE INDEX replaced_tokens_expired ON replaced_tokens (expires_at);
