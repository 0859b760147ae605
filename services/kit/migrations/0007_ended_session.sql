-- Sessions of the issuer whose access tokens are refused before their end. Written by whoever follows the issuer's
-- events, one at a time (the row of kit.consumer is the lock), so a later entry is never committed before an earlier
-- one: every replica reads on after the last entry it has seen.
CREATE TABLE kit.ended_session (
    entry      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session    uuid        NOT NULL,
    -- Tokens made until then are refused; all of them when it is null.
    made_until timestamptz,
    -- By then the last of these tokens has expired.
    forget_at  timestamptz NOT NULL
);
CREATE INDEX ended_session_age ON kit.ended_session (forget_at);
