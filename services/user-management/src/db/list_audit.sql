-- One page of the audit log; an absent filter is NULL. Each branch walks one index from its end.
SELECT id AS "id!", at AS "at!", action AS "action!", actor, subject, request_id AS "request_id!",
       place AS "place!", data AS "data!"
FROM (
  (SELECT * FROM audit_log WHERE $1::uuid IS NULL AND id < $3 AND ($2::text IS NULL OR action = $2)
   ORDER BY id DESC LIMIT $4)
  UNION
  (SELECT * FROM audit_log WHERE subject = $1 AND id < $3 AND ($2::text IS NULL OR action = $2)
   ORDER BY id DESC LIMIT $4)
  UNION
  (SELECT * FROM audit_log WHERE actor = $1 AND id < $3 AND ($2::text IS NULL OR action = $2)
   ORDER BY id DESC LIMIT $4)
) AS found
ORDER BY id DESC LIMIT $4
