-- Accounts of user-management as registering, verifying and logging in would have left them, made in one go.
-- Settings: bench.users, bench.sessions (the first so many accounts have one), bench.password_hash.

INSERT INTO users (id, email, email_verified_at, password_hash, display_name, phone, locale)
SELECT ('01936f5e-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'user' || n || '@bench.example', now(),
       current_setting('bench.password_hash'), 'Bench User ' || n, '+4420794' || lpad(n::text, 6, '0'), 'en-GB'
FROM generate_series(1, current_setting('bench.users')::int) n;

INSERT INTO sessions (id, user_id, expires_at, ends_at, user_agent, address)
SELECT ('01936f5e-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01936f5e-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       now() + interval '14 days', now() + interval '30 days', 'wrk', '127.0.0.1'
FROM generate_series(1, current_setting('bench.sessions')::int) n;

-- What pgbench draws its session ids from; the service does not know it.
CREATE SCHEMA bench;
CREATE TABLE bench.drawn (n int PRIMARY KEY, session uuid NOT NULL);
INSERT INTO bench.drawn
SELECT n, ('01936f5e-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid
FROM generate_series(1, current_setting('bench.sessions')::int) n;

ANALYZE;
