-- Answers kept for repeated requests. The row is written in the transaction of the effect: a second request with the
-- same key waits on the primary key until that transaction ends.
CREATE TABLE kit.idempotency (
    scope        bytea       NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea       NOT NULL,
    status       smallint,
    headers      jsonb,
    body         bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_age ON kit.idempotency (created_at);
