//! Queries of the second factor and its recovery codes. Each use is one conditional update, so that a code which
//! arrives twice, even at the same moment, works once.

use shop_api::ids::UserId;
use sqlx::{PgConnection, PgExecutor};

use crate::domain::token::SecretHash;

/// A second factor as it is stored.
pub struct Factor {
    /// The seed, sealed with the user's id as context.
    pub sealed_seed: Vec<u8>,
    pub confirmed: bool,
}

/// Begins a second factor, in the place of one that was never confirmed. False when a confirmed one exists.
pub async fn begin(tx: &mut PgConnection, user: UserId, sealed_seed: &[u8]) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO totp AS t (user_id, sealed_seed) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET sealed_seed = excluded.sealed_seed, created_at = now(), last_step = 0
         WHERE t.confirmed_at IS NULL",
        user.uuid(),
        sealed_seed
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The second factor of a user, confirmed or begun.
pub async fn get(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<Factor>> {
    sqlx::query_as!(
        Factor,
        r#"SELECT sealed_seed, confirmed_at IS NOT NULL AS "confirmed!" FROM totp WHERE user_id = $1"#,
        user.uuid()
    )
    .fetch_optional(db)
    .await
}

/// Whether a second factor is asked for.
pub async fn in_force(tx: &mut PgConnection, user: UserId) -> sqlx::Result<bool> {
    Ok(get(tx, user).await?.is_some_and(|factor| factor.confirmed))
}

/// Puts a begun factor into force with the step of the first code of this seed. False when it was in force already, or
/// has another seed by now.
pub async fn confirm(
    tx: &mut PgConnection,
    user: UserId,
    sealed_seed: &[u8],
    step: u64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE totp SET confirmed_at = now(), last_step = $2
         WHERE user_id = $1 AND confirmed_at IS NULL AND sealed_seed = $3",
        user.uuid(),
        step.cast_signed(),
        sealed_seed
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses the code of a step up. False when that step, or a later one, was used before.
pub async fn use_step(tx: &mut PgConnection, user: UserId, step: u64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE totp SET last_step = $2 WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2",
        user.uuid(),
        step.cast_signed()
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the second factor and its recovery codes away.
pub async fn remove(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM totp WHERE user_id = $1", user.uuid()).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user.uuid()).execute(tx).await?;
    Ok(())
}

/// Puts a new set of recovery codes in the place of the old one.
pub async fn replace_recovery_codes(
    tx: &mut PgConnection,
    user: UserId,
    hashes: &[SecretHash],
) -> sqlx::Result<()> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user.uuid()).execute(&mut *tx).await?;
    sqlx::query!(
        "INSERT INTO recovery_codes (user_id, hash) SELECT $1, hash FROM unnest($2::bytea[]) AS hash",
        user.uuid(),
        &hashes
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Uses a recovery code up. False when it is none of this user's or was used.
pub async fn use_recovery_code(tx: &mut PgConnection, user: UserId, code: SecretHash) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE recovery_codes SET used_at = now() WHERE user_id = $1 AND hash = $2 AND used_at IS NULL",
        user.uuid(),
        code.as_bytes()
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
