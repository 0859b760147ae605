-- How far this service has read the events of another one. Moved in the transaction of the effect, so that an event
-- takes effect once although it is delivered at least once.
CREATE TABLE kit.consumer (
    source     text        PRIMARY KEY,
    after      bigint      NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);
