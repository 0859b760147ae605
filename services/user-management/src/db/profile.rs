//! Every query of a user's own account: the hot read behind each signed-in call, profile edits, closing, export.

use shop_api::ids::UserId;
use shop_api::users::AccountRole;
use shop_api::users::profile::{Account, KnownPlace, Security, UpdateProfile, UserStatus};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{backoff, tokens};
use crate::domain::email::Email;

/// The live session and its whole account in one statement: what each signed-in call asks, and all that
/// `GET /users/me` shows. No row when the session has ended or the account is not active.
pub const BY_SESSION: &str = "SELECT u.id, u.email, u.email_verified_at IS NOT NULL, u.roles, u.display_name, u.phone, u.locale, \
    t.confirmed_at IS NOT NULL, u.created_at, u.updated_at, u.version \
    FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN totp t ON t.user_id = u.id \
    WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.status = 'active'";

/// Reads a row of [`BY_SESSION`]: the account and its version.
pub fn from_hot_row(row: &tokio_postgres::Row) -> Result<(Account, i64), tokio_postgres::Error> {
    let roles: Vec<&str> = row.try_get(3)?;
    let account = Account {
        id: row.try_get::<_, Uuid>(0)?.into(),
        email: row.try_get(1)?,
        email_verified: row.try_get(2)?,
        status: UserStatus::Active,
        roles: known_roles(roles),
        display_name: row.try_get(4)?,
        phone: row.try_get(5)?,
        locale: row.try_get(6)?,
        two_factor: row.try_get(7)?,
        created_at: row.try_get(8)?,
        updated_at: row.try_get(9)?,
    };
    Ok((account, row.try_get(10)?))
}

/// A role that only a newer version knows grants nothing here.
pub(super) fn known_roles<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<AccountRole> {
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

/// A status that only a newer version knows is not one that may act.
pub(super) fn known_status(name: &str) -> UserStatus {
    name.parse().unwrap_or(UserStatus::Disabled)
}

struct Row {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    status: String,
    roles: Vec<String>,
    display_name: String,
    phone: Option<String>,
    locale: String,
    two_factor: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    version: i64,
}

impl Row {
    fn account(self) -> (Account, i64) {
        let account = Account {
            id: self.id.into(),
            email: self.email.unwrap_or_default(),
            email_verified: self.email_verified,
            status: known_status(&self.status),
            roles: known_roles(self.roles.iter().map(String::as_str)),
            display_name: self.display_name,
            phone: self.phone,
            locale: self.locale,
            two_factor: self.two_factor,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        (account, self.version)
    }
}

/// The account and its version, whatever its status.
pub async fn get(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<(Account, i64)>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.email, u.email_verified_at IS NOT NULL AS "email_verified!", u.status, u.roles, u.display_name,
                  u.phone, u.locale, t.confirmed_at IS NOT NULL AS "two_factor!", u.created_at, u.updated_at, u.version
           FROM users u LEFT JOIN totp t ON t.user_id = u.id WHERE u.id = $1"#,
        user.uuid()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Row::account))
}

/// Changes what is given.
pub async fn update(tx: &mut PgConnection, user: UserId, change: &UpdateProfile) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET display_name = COALESCE($2, display_name),
                phone = CASE WHEN $3 THEN $4 ELSE phone END, locale = COALESCE($5, locale),
                version = version + 1, updated_at = now()
         WHERE id = $1",
        user.uuid(),
        change.display_name.as_deref(),
        change.phone.is_some(),
        change.phone.as_ref().and_then(Option::as_deref),
        change.locale.as_deref()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes everything about the person out of the database. The row keeps its id, because orders point to it.
/// True when there was an account to close.
pub async fn anonymise(tx: &mut PgConnection, user: UserId) -> sqlx::Result<bool> {
    let id = user.uuid();
    let done = sqlx::query!(
        "UPDATE users SET status = 'deleted', email = NULL, pending_email = NULL, email_verified_at = NULL, password_hash = NULL,
                disabled_reason = NULL, roles = '{customer}', display_name = '', phone = NULL, locale = 'en',
                deleted_at = now(), updated_at = now(), version = version + 1
         WHERE id = $1 AND status <> 'deleted'",
        id
    )
    .execute(&mut *tx)
    .await?;
    // Sessions hold addresses and browsers, so they go too, and their refresh tokens with them.
    sqlx::query!("DELETE FROM sessions WHERE user_id = $1", id).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM addresses WHERE user_id = $1", id).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM totp WHERE user_id = $1", id).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", id).execute(&mut *tx).await?;
    tokens::clear(&mut *tx, user).await?;
    backoff::forget_places(tx, user).await?;
    Ok(done.rows_affected() == 1)
}

/// Remembers which address the account shall have once it is proved, or that it shall keep its own. The last one asked
/// for counts.
pub async fn set_pending_email(
    tx: &mut PgConnection,
    user: UserId,
    email: Option<&Email>,
) -> sqlx::Result<()> {
    let email = email.map(Email::as_str);
    sqlx::query!("UPDATE users SET pending_email = $2 WHERE id = $1", user.uuid(), email).execute(tx).await?;
    Ok(())
}

/// How the account is protected, for its export.
pub async fn security(tx: &mut PgConnection, user: UserId) -> sqlx::Result<Security> {
    let row = sqlx::query!(
        r#"SELECT u.password_changed_at, u.pending_email, t.confirmed_at AS "two_factor_since?",
                  (SELECT count(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS "codes!"
           FROM users u LEFT JOIN totp t ON t.user_id = u.id WHERE u.id = $1"#,
        user.uuid()
    )
    .fetch_one(&mut *tx)
    .await?;
    let known_places = sqlx::query_as!(
        KnownPlace,
        "SELECT last_seen_at FROM known_places WHERE user_id = $1 ORDER BY last_seen_at DESC LIMIT 1000",
        user.uuid()
    )
    .fetch_all(tx)
    .await?;
    Ok(Security {
        password_changed_at: row.password_changed_at,
        two_factor_since: row.two_factor_since,
        recovery_codes_left: row.codes,
        pending_email: row.pending_email,
        known_places,
    })
}
