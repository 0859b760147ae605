//! Queries of accounts as they sign in: registration, credentials, password, verified address. The profile is
//! `db::profile`.

use shop_api::Roles;
use shop_api::ids::UserId;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::email::Email;

/// What a registration met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    pub id: UserId,
    /// The address already has an account that was verified (or disabled): nothing was changed.
    pub taken: bool,
}

/// Stands in the place of a hash where two registrations of an unverified address gave two passwords: it is none,
/// so nothing compares equal with it. Who reads the mailbox sets one.
pub const CONTESTED: &str = "!";

/// Makes an account, or takes the password from one that was never verified: of two registrations nobody knows which
/// is the owner's. The work is the same in every case, so that its time tells nothing.
pub async fn register(
    tx: &mut PgConnection,
    email: &Email,
    password_hash: &str,
    display_name: &str,
) -> sqlx::Result<Registered> {
    let row = sqlx::query!(
        r#"INSERT INTO users AS u (id, email, password_hash, display_name) VALUES ($1, $2, $3, $4)
           ON CONFLICT (email) DO UPDATE SET
               password_hash = CASE WHEN u.email_verified_at IS NULL AND u.status = 'active'
                                    THEN $5 ELSE u.password_hash END,
               display_name  = CASE WHEN u.email_verified_at IS NULL AND u.status = 'active'
                                    THEN excluded.display_name ELSE u.display_name END,
               created_at    = CASE WHEN u.email_verified_at IS NULL AND u.status = 'active'
                                    THEN now() ELSE u.created_at END,
               updated_at    = CASE WHEN u.email_verified_at IS NULL AND u.status = 'active'
                                    THEN now() ELSE u.updated_at END,
               version       = u.version + CASE WHEN u.email_verified_at IS NULL AND u.status = 'active'
                                                THEN 1 ELSE 0 END
           RETURNING id, email_verified_at IS NOT NULL OR status <> 'active' AS "taken!""#,
        UserId::new().uuid(),
        email.as_str(),
        password_hash,
        display_name,
        CONTESTED
    )
    .fetch_one(tx)
    .await?;
    Ok(Registered { id: row.id.into(), taken: row.taken })
}

/// The account of this address, whatever its state; a fresh id when there is none, so that callers go on alike.
pub async fn id_or_fresh(db: impl PgExecutor<'_>, email: &Email) -> sqlx::Result<UserId> {
    let id = sqlx::query_scalar!("SELECT id FROM users WHERE email = $1", email.as_str())
        .fetch_optional(db)
        .await?;
    Ok(id.map_or_else(UserId::new, UserId::from))
}

/// What signing in compares with.
pub struct Credentials {
    pub id: UserId,
    pub email: String,
    pub password_hash: String,
    pub verified: bool,
    pub active: bool,
    pub roles: Roles,
    /// A confirmed second factor exists.
    pub two_factor: bool,
}

struct Row {
    id: Uuid,
    email: String,
    password_hash: String,
    verified: bool,
    active: bool,
    roles: Vec<String>,
    two_factor: bool,
}

impl From<Row> for Credentials {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            password_hash: row.password_hash,
            verified: row.verified,
            active: row.active,
            roles: Roles::from_names(row.roles.iter().map(String::as_str)),
            two_factor: row.two_factor,
        }
    }
}

/// By e-mail address. A deleted account has none.
pub async fn credentials_by_email(
    db: impl PgExecutor<'_>,
    email: &Email,
) -> sqlx::Result<Option<Credentials>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.email AS "email!", u.password_hash AS "password_hash!",
                  u.email_verified_at IS NOT NULL AS "verified!", u.status = 'active' AS "active!", u.roles,
                  t.confirmed_at IS NOT NULL AS "two_factor!"
           FROM users u LEFT JOIN totp t ON t.user_id = u.id WHERE u.email = $1"#,
        email.as_str()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Credentials::from))
}

/// By id; none for a deleted account.
pub async fn credentials(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<Credentials>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.email AS "email!", u.password_hash AS "password_hash!",
                  u.email_verified_at IS NOT NULL AS "verified!", u.status = 'active' AS "active!", u.roles,
                  t.confirmed_at IS NOT NULL AS "two_factor!"
           FROM users u LEFT JOIN totp t ON t.user_id = u.id WHERE u.id = $1 AND u.status <> 'deleted'"#,
        user.uuid()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Credentials::from))
}

/// Sets a new password; false when the account is not active.
pub async fn set_password(tx: &mut PgConnection, user: UserId, password_hash: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users SET password_hash = $2, password_changed_at = now(), updated_at = now(), version = version + 1
         WHERE id = $1 AND status = 'active'",
        user.uuid(),
        password_hash
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts the same password under newer parameters, unless it was changed meanwhile.
pub async fn upgrade_hash(db: impl PgExecutor<'_>, user: UserId, old: &str, new: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        user.uuid(),
        old,
        new
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts the address as proved. True when it was not before.
pub async fn verify(tx: &mut PgConnection, user: UserId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users SET email_verified_at = now(), updated_at = now(), version = version + 1
         WHERE id = $1 AND email_verified_at IS NULL AND status = 'active'",
        user.uuid()
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves an account to the address its owner proved; false when the address belongs to somebody else. A registration
/// of that address which nobody ever verified gives way.
///
/// One account moves at a time, so that the second of two that move to one address finds it taken. It is rare and short:
/// the order of all costs nobody anything.
pub async fn change_email(tx: &mut PgConnection, user: UserId, email: &str) -> sqlx::Result<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('change_email'))").execute(&mut *tx).await?;
    sqlx::query!(
        "DELETE FROM users WHERE email = $1 AND id <> $2 AND email_verified_at IS NULL AND status = 'active'",
        email,
        user.uuid()
    )
    .execute(&mut *tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE users SET email = $2, pending_email = NULL, email_verified_at = now(), updated_at = now(),
                version = version + 1
         WHERE id = $1 AND status = 'active' AND NOT EXISTS (SELECT FROM users WHERE email = $2 AND id <> $1)",
        user.uuid(),
        email
    )
    .execute(tx)
    .await;
    match done {
        Ok(done) => Ok(done.rows_affected() == 1),
        // Somebody registered it at this very moment. Asked for first, all the same: PostgreSQL writes a violation into its
        // log, with the address.
        Err(error) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whom a letter goes to.
pub struct Recipient {
    pub email: String,
    /// The address that waits to be proved.
    pub pending_email: Option<String>,
    pub display_name: String,
    pub verified: bool,
    /// Registered more than once and never verified.
    pub contested: bool,
}

/// The recipient behind an account; none when it is not active. The row is locked until the transaction ends: a
/// registration that comes meanwhile waits and finds the token that is mailed now.
pub async fn recipient(tx: &mut PgConnection, user: UserId) -> sqlx::Result<Option<Recipient>> {
    sqlx::query_as!(
        Recipient,
        r#"SELECT email AS "email!", pending_email, display_name, email_verified_at IS NOT NULL AS "verified!",
                  password_hash = $2 AS "contested!"
           FROM users WHERE id = $1 AND status = 'active' FOR SHARE"#,
        user.uuid(),
        CONTESTED
    )
    .fetch_optional(tx)
    .await
}

/// Throws away registrations that nobody verified since `older_than`, at most a thousand at a time. One that somebody
/// holds just now is being verified, or asked for again.
pub async fn purge_unverified(db: impl PgExecutor<'_>, older_than: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM users WHERE id IN (SELECT id FROM users WHERE email_verified_at IS NULL AND status = 'active'
                                        AND created_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        older_than
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Counts a change of what the account shows that is kept in another table.
pub async fn touch(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET version = version + 1, updated_at = now() WHERE id = $1", user.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Makes a verified account, or gives the one that is there this password; its id, and true when it was made.
/// For people that are invented: nobody proved the address.
pub async fn put_verified(
    tx: &mut PgConnection,
    email: &str,
    display_name: &str,
    password_hash: &str,
) -> sqlx::Result<(UserId, bool)> {
    let row = sqlx::query!(
        r#"INSERT INTO users (id, email, email_verified_at, password_hash, display_name)
           VALUES ($1, $2, now(), $3, $4)
           ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash
           RETURNING id, xmax = 0 AS "new!""#,
        UserId::new().uuid(),
        email,
        password_hash,
        display_name
    )
    .fetch_one(tx)
    .await?;
    Ok((row.id.into(), row.new))
}
