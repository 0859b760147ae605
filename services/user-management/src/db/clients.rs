//! Every query of service clients and their secrets, of which only hashes are kept.

use shop_api::ids::ClientId;
use shop_api::users::clients::{Client, ClientSecret};
use sqlx::{PgConnection, PgExecutor};
use time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::token::SecretHash;

/// How long the secret before works on after a rotation: long enough to change a deployment over in working hours.
pub const OVERLAP: Duration = Duration::hours(24);

/// A row while the client exists: what each of its calls asks.
pub const LIVES: &str = "SELECT id FROM service_clients WHERE id = $1";

/// Makes a client with its first secret; `None` when the name is taken.
pub async fn create(tx: &mut PgConnection, name: &str, secret: SecretHash) -> sqlx::Result<Option<ClientId>> {
    let id = ClientId::new();
    let made = sqlx::query!(
        "INSERT INTO service_clients (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        id.uuid(),
        name
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    add_secret(tx, id, secret).await?;
    Ok(Some(id))
}

/// Puts a new secret beside the newest one, which then works for [`OVERLAP`] more; any older one stops at once.
/// The client's name, or `None` when there is no such client.
pub async fn rotate(tx: &mut PgConnection, id: ClientId, secret: SecretHash) -> sqlx::Result<Option<String>> {
    let name = sqlx::query_scalar!("SELECT name FROM service_clients WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut *tx)
        .await?;
    if name.is_none() {
        return Ok(None);
    }
    sqlx::query!(
        "DELETE FROM service_client_secrets WHERE client_id = $1 AND expires_at IS NOT NULL",
        id.uuid()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE service_client_secrets SET expires_at = $2 WHERE client_id = $1",
        id.uuid(),
        OffsetDateTime::now_utc() + OVERLAP
    )
    .execute(&mut *tx)
    .await?;
    add_secret(tx, id, secret).await?;
    Ok(name)
}

async fn add_secret(tx: &mut PgConnection, id: ClientId, secret: SecretHash) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO service_client_secrets (hash, client_id) VALUES ($1, $2)",
        secret.as_bytes(),
        id.uuid()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a client and its secrets. True when there was one.
pub async fn delete(db: impl PgExecutor<'_>, id: ClientId) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM service_clients WHERE id = $1", id.uuid()).execute(db).await?;
    Ok(done.rows_affected() == 1)
}

/// All of them by name, each with the secrets that work now, newest first.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Client>> {
    let rows = sqlx::query!(
        r#"SELECT c.id, c.name, c.created_at, s.created_at AS "secret_at?", s.expires_at
           FROM service_clients c
           LEFT JOIN service_client_secrets s
                  ON s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > now())
           ORDER BY c.name, s.created_at DESC"#
    )
    .fetch_all(db)
    .await?;
    let mut clients: Vec<Client> = Vec::new();
    for row in rows {
        if clients.last().map(|client: &Client| client.id.uuid()) != Some(row.id) {
            clients.push(Client {
                id: row.id.into(),
                name: row.name,
                created_at: row.created_at,
                secrets: Vec::new(),
            });
        }
        if let (Some(client), Some(created_at)) = (clients.last_mut(), row.secret_at) {
            client.secrets.push(ClientSecret { created_at, expires_at: row.expires_at });
        }
    }
    Ok(clients)
}

/// The client of this name.
pub async fn called(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<ClientId>> {
    let id = sqlx::query_scalar!("SELECT id FROM service_clients WHERE name = $1", name);
    Ok(id.fetch_optional(db).await?.map(ClientId::from))
}

/// Whether there is a client of this id.
pub async fn exists(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("SELECT id FROM service_clients WHERE id = $1", id);
    Ok(found.fetch_optional(db).await?.is_some())
}

/// The client that this secret belongs to and works for now.
pub async fn with_secret(
    db: impl PgExecutor<'_>,
    secret: SecretHash,
) -> sqlx::Result<Option<(ClientId, String)>> {
    let row = sqlx::query!(
        "SELECT c.id, c.name FROM service_client_secrets s JOIN service_clients c ON c.id = s.client_id
         WHERE s.hash = $1 AND (s.expires_at IS NULL OR s.expires_at > now())",
        secret.as_bytes()
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (Uuid::into(row.id), row.name)))
}
