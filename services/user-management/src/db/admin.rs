//! Every query of administration over accounts: search, disable, enable, roles.

use shop_api::ids::UserId;
use shop_api::users::AccountRole;
use shop_api::users::admin::{UserDetail, UserSummary};
use shop_api::users::profile::UserStatus;
use sqlx::{PgConnection, PgExecutor};

use super::plan_for_values;
use super::profile::{known_roles, known_status};

/// What to look for; absent filters match everybody.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Beginning of the e-mail address or the display name, in letters of any case.
    pub beginning: Option<String>,
    pub status: Option<UserStatus>,
    pub role: Option<AccountRole>,
    /// The last id of the page before.
    pub after: Option<UserId>,
    pub limit: i64,
}

/// One page in order of id, that is of registration.
///
/// Planned anew for its values: a plan made for "any filter" could use none of the indexes, and administrators
/// search seldom enough for the millisecond that this costs.
pub async fn search(tx: &mut PgConnection, search: &Search) -> sqlx::Result<Vec<UserSummary>> {
    plan_for_values(tx).await?;
    // Addresses were made lower-case here, names are by PostgreSQL, which does it otherwise beyond ASCII.
    let of_address = search.beginning.as_deref().map(|beginning| like_prefix(&beginning.to_lowercase()));
    let of_name = search.beginning.as_deref().map(like_prefix);
    let rows = sqlx::query_file!(
        "src/db/search_users.sql",
        of_address,
        search.status.map(UserStatus::as_str),
        search.role.map(AccountRole::as_str),
        search.after.map(|id| id.uuid()),
        search.limit,
        of_name
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UserSummary {
            id: row.id.into(),
            email: row.email,
            email_verified: row.email_verified,
            status: known_status(&row.status),
            roles: known_roles(row.roles.iter().map(String::as_str)),
            display_name: row.display_name,
            created_at: row.created_at,
        })
        .collect())
}

/// A LIKE pattern for what begins with `text`, whatever signs are in it.
fn like_prefix(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// One user with what only administrators see, and the version of the account's row.
pub async fn get(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<(UserDetail, i64)>> {
    let row = sqlx::query!(
        r#"SELECT u.id, u.version, COALESCE(u.email, '') AS "email!", u.email_verified_at IS NOT NULL AS "email_verified!", u.status,
                  u.disabled_reason, u.roles, u.display_name, u.phone, u.locale, u.created_at, u.updated_at,
                  EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL) AS "two_factor!",
                  (SELECT count(*) FROM sessions s
                   WHERE s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > now()) AS "live_sessions!"
           FROM users u WHERE u.id = $1"#,
        user.uuid()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let detail = UserDetail {
            id: row.id.into(),
            email: row.email,
            email_verified: row.email_verified,
            status: known_status(&row.status),
            disabled_reason: row.disabled_reason,
            roles: known_roles(row.roles.iter().map(String::as_str)),
            display_name: row.display_name,
            phone: row.phone,
            locale: row.locale,
            two_factor: row.two_factor,
            live_sessions: row.live_sessions,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        (detail, row.version)
    }))
}

/// A user's status and roles, locked until the end of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    pub version: i64,
    pub status: UserStatus,
    pub roles: Vec<AccountRole>,
    /// True when nobody else is an administrator who can sign in.
    pub is_last_admin: bool,
}

/// Locks `user` for a change of status or roles. When it is an administrator who can sign in (active, the address
/// proved), every one of those is locked first, in one order, so that two of them cannot retire each other at the same
/// moment.
pub async fn lock(tx: &mut PgConnection, user: UserId) -> sqlx::Result<Option<Locked>> {
    let id = user.uuid();
    let admins = sqlx::query_scalar!(
        "SELECT id FROM users WHERE 'admin' = ANY (roles) AND status = 'active' AND email_verified_at IS NOT NULL
         AND EXISTS (SELECT FROM users me WHERE me.id = $1 AND 'admin' = ANY (me.roles) AND me.status = 'active'
                     AND me.email_verified_at IS NOT NULL)
         ORDER BY id FOR NO KEY UPDATE OF users",
        id
    )
    .fetch_all(&mut *tx)
    .await?;
    let row = sqlx::query!("SELECT version, status, roles FROM users WHERE id = $1 FOR NO KEY UPDATE", id)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(row.map(|row| Locked {
        version: row.version,
        status: known_status(&row.status),
        roles: known_roles(row.roles.iter().map(String::as_str)),
        is_last_admin: admins == [id],
    }))
}

/// Stops the account, keeping why.
pub async fn disable(tx: &mut PgConnection, user: UserId, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET status = 'disabled', disabled_reason = $2, version = version + 1, updated_at = now()
         WHERE id = $1 AND status = 'active'",
        user.uuid(),
        reason
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets a disabled account sign in again.
pub async fn enable(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET status = 'active', disabled_reason = NULL, version = version + 1, updated_at = now()
         WHERE id = $1 AND status = 'disabled'",
        user.uuid()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives the user exactly these roles.
pub async fn set_roles(tx: &mut PgConnection, user: UserId, roles: &[AccountRole]) -> sqlx::Result<()> {
    let names: Vec<String> = roles.iter().map(|role| role.as_str().to_owned()).collect();
    sqlx::query!(
        "UPDATE users SET roles = $2, version = version + 1, updated_at = now() WHERE id = $1",
        user.uuid(),
        &names
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::like_prefix;

    #[test]
    fn signs_of_a_pattern_are_taken_as_they_are() {
        assert_eq!(like_prefix("ada"), "ada%");
        assert_eq!(like_prefix(r"a_b%c\"), r"a\_b\%c\\%");
    }
}
