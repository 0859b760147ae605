-- The peers' database: the same small catalogue, accounts and orders for all three, with as many accounts as ours.
-- Run by shop-bench with the settings `peers.users` (how many) and `peers.password_hash` (Argon2id, the service's parameters).

CREATE TABLE products (
    id uuid PRIMARY KEY, sku text UNIQUE NOT NULL, name text NOT NULL, description text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0), currency char(3) NOT NULL, stock int NOT NULL CHECK (stock >= 0)
);
CREATE TABLE users (
    id uuid PRIMARY KEY, email text UNIQUE NOT NULL, email_verified boolean NOT NULL, password_hash text NOT NULL,
    status text NOT NULL, roles text[] NOT NULL, display_name text NOT NULL, phone text, locale text NOT NULL,
    two_factor boolean NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY, user_id uuid NOT NULL, family uuid NOT NULL, expires_at timestamptz NOT NULL
);
CREATE TABLE orders (
    id uuid PRIMARY KEY, idem_key text UNIQUE NOT NULL, status text NOT NULL, total_minor bigint NOT NULL,
    currency char(3) NOT NULL, created_at timestamptz DEFAULT now()
);
CREATE TABLE order_lines (
    order_id uuid REFERENCES orders, product_id uuid REFERENCES products, quantity int NOT NULL, price_minor bigint NOT NULL
);
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text NOT NULL, payload jsonb NOT NULL, sent_at timestamptz);

INSERT INTO products
SELECT lpad(to_hex(n), 32, '0')::uuid, 'SKU-' || lpad(n::text, 5, '0'), 'Product ' || n,
       repeat('Description of product ' || n || '. ', 6), 1000 + n, 'USD', 1000000
FROM generate_series(1, 1000) n;

INSERT INTO users
SELECT lpad(to_hex(n), 32, '0')::uuid, 'user' || n || '@bench.example', true, current_setting('peers.password_hash'),
       'active', '{customer}', 'Bench User ' || n, '+4420794' || lpad(n::text, 6, '0'), 'en-GB', false, now(), now()
FROM generate_series(1, current_setting('peers.users')::int) n;

ANALYZE;
