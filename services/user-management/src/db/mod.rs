//! Every query, one file a noun. Functions take an executor; the handler opens the transaction. No HTTP in here.

pub mod addresses;
pub mod admin;
pub mod audit;
pub mod backoff;
pub mod clients;
pub mod profile;
pub mod refresh;
pub mod sessions;
pub mod tokens;
pub mod totp;
pub mod users;

/// For the rest of the transaction statements are planned for their values instead of for any: a plan that must fit
/// every filter can use no index. Planning costs about a millisecond, which lists for administrators can bear.
async fn plan_for_values(tx: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)").fetch_one(tx).await?;
    Ok(())
}

/// A transaction that sees one moment: what several statements read fits together.
pub async fn snapshot(pool: &sqlx::PgPool) -> sqlx::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}
