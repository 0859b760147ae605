-- One page of accounts; an absent filter is NULL. Its plans are tested at 100,000 accounts.
SELECT id, COALESCE(email, '') AS "email!", email_verified_at IS NOT NULL AS "email_verified!", status, roles,
       display_name, created_at
FROM users
WHERE ($1::text IS NULL OR email LIKE $1 OR lower(display_name) LIKE lower($6))
  AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR $3 = ANY (roles))
  AND ($4::uuid IS NULL OR id > $4)
ORDER BY id LIMIT $5
