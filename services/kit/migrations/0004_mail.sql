-- Mail to be made and sent. It holds no address and no secret: the text is rendered when it is sent.
CREATE TABLE kit.mail_queue (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    subject    uuid        NOT NULL,
    data       jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer     NOT NULL DEFAULT 0,
    last_error text,
    dead_at    timestamptz
);
CREATE INDEX mail_queue_due ON kit.mail_queue (due_at) WHERE dead_at IS NULL;
