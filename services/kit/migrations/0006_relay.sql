-- How far the events have been given to RabbitMQ. Its row is the relay's lock: one replica gives at a time.
CREATE TABLE kit.relay (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    upto    bigint      NOT NULL DEFAULT 0,
    given_at timestamptz
);
INSERT INTO kit.relay DEFAULT VALUES;
