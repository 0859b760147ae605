-- What the administrators' search stands on: the beginning of an e-mail address has its index in 0001.
CREATE INDEX users_name_prefix ON users (lower(display_name) text_pattern_ops);
-- Few are not active and few are more than customers: these lists stay short at any number of users.
CREATE INDEX users_not_active ON users (status, id) WHERE status <> 'active';
CREATE INDEX users_support ON users (id) WHERE 'support' = ANY (roles);
CREATE INDEX users_admin ON users (id) WHERE 'admin' = ANY (roles);
-- Two administrators must not retire each other: whoever takes the role away locks the rows of this index first.
DROP INDEX users_admins;
