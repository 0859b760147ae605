//! Notes: anybody reads them, whoever is signed in writes one, and the others hear of it.

use std::sync::atomic::Ordering;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shop_kit::{Access, ApiError, ApiRouter, Json, Validate, Violations, outbox};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::AppState;

/// The note that `seed` writes.
const FIRST: Uuid = Uuid::from_u128(0x01936f5e_0000_7000_8000_0000000000f1);

pub(crate) fn router() -> ApiRouter<AppState> {
    ApiRouter::new().route(Access::Public, routes!(list)).route(Access::Signed, routes!(write))
}

/// A note to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNote {
    #[schema(min_length = 1, max_length = 100)]
    text: String,
}

impl Validate for NewNote {
    fn validate(&self, violations: &mut Violations) {
        violations.length("/text", &self.text, 1, 100);
    }
}

/// A note.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
struct Note {
    id: Uuid,
    text: String,
}

/// The newest notes
#[utoipa::path(get, path = "/notes", responses((status = 200, body = Vec<Note>)))]
async fn list(State(state): State<AppState>) -> Result<Json<Vec<Note>>, ApiError> {
    tokio::time::sleep(state.delay).await;
    // The n-th fails when its hundredth part of the errors is due: evenly, and the same in every run.
    let asked = state.asked.fetch_add(1, Ordering::Relaxed) + 1;
    if asked * state.errors / 100 > (asked - 1) * state.errors / 100 {
        return Err(ApiError::internal("a fault was asked for"));
    }
    let newest = sqlx::query_as("SELECT id, text FROM notes ORDER BY written_at DESC, id DESC LIMIT 100");
    Ok(Json(newest.fetch_all(&state.pool).await?))
}

/// Write a note
#[utoipa::path(post, path = "/notes", request_body = NewNote, responses((status = 201, body = Note)))]
async fn write(
    State(state): State<AppState>,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), ApiError> {
    let note = Note { id: Uuid::now_v7(), text: new.text };
    let mut tx = state.pool.begin().await?;
    let insert = sqlx::query("INSERT INTO notes (id, text) VALUES ($1, $2)");
    insert.bind(note.id).bind(&note.text).execute(&mut *tx).await?;
    outbox::write(&mut *tx, "note.written", note.id, &serde_json::json!({})).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(note)))
}

/// One note, once.
pub(crate) async fn seed(pool: &PgPool) -> sqlx::Result<()> {
    let insert = sqlx::query("INSERT INTO notes (id, text) VALUES ($1, 'hello') ON CONFLICT DO NOTHING");
    insert.bind(FIRST).execute(pool).await?;
    Ok(())
}
