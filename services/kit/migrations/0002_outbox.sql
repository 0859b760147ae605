-- Domain events, written in the transaction of the change they tell of.
-- `entry` is taken at the insert, so it says who wrote first but not who committed first. `seq` is given afterwards,
-- by one sequencer at a time, to what has been committed: readers go by `seq`, and nothing can appear behind them.
CREATE TABLE kit.outbox (
    entry       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq         bigint      UNIQUE,
    id          uuid        NOT NULL UNIQUE,
    type        text        NOT NULL CHECK (type <> ''),
    aggregate   uuid        NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    data        jsonb       NOT NULL
);
CREATE INDEX outbox_unsequenced ON kit.outbox (entry) WHERE seq IS NULL;

-- The last `seq` given and the last one thrown away. Its row is the sequencer's lock.
CREATE TABLE kit.outbox_head (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    last    bigint  NOT NULL DEFAULT 0,
    pruned  bigint  NOT NULL DEFAULT 0 CHECK (pruned <= last)
);
INSERT INTO kit.outbox_head DEFAULT VALUES;
