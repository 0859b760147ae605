//! `Idempotency-Key`: a repeated request has its effect once and gets the first answer again.
//! Only the answer of an effect that was committed is kept; a request that failed may be tried again under its key.

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use shop_api::Code;
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ApiError;
use crate::access::Caller;

/// How the header is called.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks an answer that was given before.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longest key. A UUID has 36 characters.
const MAX_KEY: usize = 255;

/// Headers of an answer that are kept with it.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, LOCATION, ETAG];

/// The key of a request, demanded: 400 without it. It belongs to the method, the path, and the caller; on a route
/// without token to what [`IdempotencyKey::of`] names.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    key: String,
    scope: [u8; 32],
    /// Whether it belongs to somebody: otherwise one guest's key would answer another.
    owned: bool,
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let value = values.next().ok_or_else(|| ApiError::code(Code::IdempotencyKeyMissing))?;
        let key = value.to_str().unwrap_or_default();
        if key.is_empty() || key.len() > MAX_KEY || values.next().is_some() {
            let detail = "send one Idempotency-Key of 1 to 255 printable characters, for example a UUID";
            return Err(ApiError::code(Code::MalformedRequest).detail(detail));
        }
        let subject = parts.extensions.get::<Arc<Caller>>().map(|caller| caller.subject);
        let scope = hash(&[
            parts.method.as_str().as_bytes(),
            parts.uri.path().as_bytes(),
            subject.map(uuid::Uuid::into_bytes).as_ref().map_or(&[], |id| id),
        ]);
        Ok(Self { key: key.to_owned(), scope, owned: subject.is_some() })
    }
}

/// A request under a key.
pub enum Attempt {
    /// The first one: its effect is up to the handler.
    First(First),
    /// Had its effect before; here is the answer.
    Replay(Response),
}

/// The transaction of the effect. Dropped without [`First::answer`] it is rolled back and the key is free again.
pub struct First {
    tx: Transaction<'static, Postgres>,
    key: IdempotencyKey,
}

impl IdempotencyKey {
    /// For callers without a token: `subject` is what only this client knows, such as a checkout token.
    #[must_use]
    pub fn of(mut self, subject: &str) -> Self {
        self.scope = hash(&[&self.scope, subject.as_bytes()]);
        self.owned = true;
        self
    }

    /// Claims the key for this request, or finds the answer of the one that had it first. While that one runs, this
    /// waits for it, up to the connection's `lock_timeout`.
    ///
    /// # Errors
    /// `idempotency_key_reused` for another body, `idempotency_in_progress` when the wait was too long; a bug (500) on a
    /// route without token where [`IdempotencyKey::of`] was not called.
    pub async fn begin(self, pool: &PgPool, body: &impl Serialize) -> Result<Attempt, ApiError> {
        if !self.owned {
            return Err(ApiError::internal("an Idempotency-Key that belongs to nobody: say whose with `of`"));
        }
        let request = hash(&[&serde_json::to_vec(body).map_err(ApiError::internal)?]);
        let mut tx = pool.begin().await?;
        // A key older than a day is taken over as if it had never been.
        let claimed = sqlx::query(
            "INSERT INTO kit.idempotency AS i (scope, key, request_hash) VALUES ($1, $2, $3)
             ON CONFLICT (scope, key) DO UPDATE
                SET request_hash = excluded.request_hash, status = NULL, headers = NULL, body = NULL, created_at = now()
              WHERE i.created_at < now() - interval '24 hours'
             RETURNING true",
        )
        .bind(&self.scope[..])
        .bind(&self.key)
        .bind(&request[..])
        .fetch_optional(&mut *tx)
        .await
        .map_err(in_progress)?;
        if claimed.is_some() {
            return Ok(Attempt::First(First { tx, key: self }));
        }
        self.replay(&mut tx, &request).await.map(Attempt::Replay)
    }

    async fn replay(&self, tx: &mut PgConnection, request: &[u8]) -> Result<Response, ApiError> {
        let row = sqlx::query(
            "SELECT request_hash, status, headers, body FROM kit.idempotency WHERE scope = $1 AND key = $2",
        )
        .bind(&self.scope[..])
        .bind(&self.key)
        .fetch_one(tx)
        .await?;
        if row.try_get::<&[u8], _>("request_hash")? != request {
            return Err(ApiError::code(Code::IdempotencyKeyReused));
        }
        let Some(status) = row.try_get::<Option<i16>, _>("status")? else {
            return Err(ApiError::code(Code::IdempotencyInProgress).retry_after(1));
        };
        let mut response = Response::new(Body::from(row.try_get::<Vec<u8>, _>("body")?));
        *response.status_mut() = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or_else(|| ApiError::internal("a kept answer has no HTTP status"))?;
        let kept: sqlx::types::Json<BTreeMap<String, String>> = row.try_get("headers")?;
        for (name, value) in &kept.0 {
            let name = HeaderName::try_from(name).map_err(ApiError::internal)?;
            response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(ApiError::internal)?);
        }
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

impl First {
    /// Where the effect belongs.
    pub fn tx(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Commits the effect and its answer together.
    ///
    /// # Errors
    /// When the database fails; nothing happened then.
    pub async fn answer(mut self, answer: impl IntoResponse) -> Result<Response, ApiError> {
        let (parts, body) = answer.into_response().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(ApiError::internal)?;
        let status = i16::try_from(parts.status.as_u16()).map_err(ApiError::internal)?;
        sqlx::query(
            "UPDATE kit.idempotency SET status = $3, headers = $4, body = $5 WHERE scope = $1 AND key = $2",
        )
        .bind(&self.key.scope[..])
        .bind(&self.key.key)
        .bind(status)
        .bind(sqlx::types::Json(kept(&parts.headers)))
        .bind(&body[..])
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

fn kept(headers: &HeaderMap) -> BTreeMap<&str, &str> {
    KEPT.iter().filter_map(|name| Some((name.as_str(), headers.get(name)?.to_str().ok()?))).collect()
}

/// 55P03: the first request still holds the key.
fn in_progress(error: sqlx::Error) -> ApiError {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("55P03") => ApiError::code(Code::IdempotencyInProgress).retry_after(1).source(error),
        _ => error.into(),
    }
}

/// SHA-256 of the parts, each with its length before it.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    std::array::from_fn(|i| digest.as_ref()[i])
}
