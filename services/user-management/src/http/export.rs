//! Everything we hold about a user, as a file. It is sent as it is read, a page at a time: whoever guesses at a password
//! makes entries about its owner, so there may be very many, and the owner has a right to every one of them.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::json;
use shop_api::Permission::ProfileRead;
use shop_api::ids::{AuditId, SessionId};
use shop_api::users::profile::Export;
use shop_kit::{Access, ApiError, ApiRouter, Quota};
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa_axum::routes;

use super::audit::record;
use crate::db::{self, addresses, audit, profile, sessions};
use crate::signed_in::SignedIn;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new().route(Access::Need(ProfileRead), routes!(export))
}

/// An export may take minutes, and a place among the requests for as long: nobody needs more of them.
const QUOTA: Quota = Quota::new("export", 10, 3600);

/// So many entries are held in memory for one export.
const PAGE: i64 = 1000;

/// How [`Export`] ends while its last two lists, those that grow, are still empty.
const OPEN: &[u8] = br#"],"activity":[]}"#;

/// Take along everything we hold about you
#[utoipa::path(get, path = "/users/me/export", operation_id = "export_account", tag = "profile",
    responses((status = 200, body = Export, headers(("Content-Disposition" = String)))))]
async fn export(State(state): State<AppState>, me: SignedIn) -> Result<Response, ApiError> {
    state.limiter.require(&me.user().to_string(), QUOTA).await?;
    let mut tx = state.pool.begin().await?;
    record(&mut tx, "user.exported", me.user().uuid(), me.user().uuid(), json!({})).await?;
    tx.commit().await?;
    let mut tx = db::snapshot(&state.pool).await?;
    let export = Export {
        exported_at: OffsetDateTime::now_utc(),
        account: me.account.clone(),
        security: profile::security(&mut tx, me.user()).await?,
        addresses: addresses::list(&mut *tx, me.user()).await?,
        sessions: Vec::new(),
        activity: Vec::new(),
    };
    tx.commit().await?;
    let document = serde_json::to_vec(&export).map_err(ApiError::internal)?;
    let head = document.strip_suffix(OPEN).ok_or_else(|| ApiError::internal("an export ends otherwise"))?;
    let first = Part { text: head.to_vec(), list: List::Sessions(None) };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"account.json\"")),
    ];
    Ok((headers, Body::from_stream(parts(state.pool.clone(), me, first))).into_response())
}

/// What is sent next.
struct Part {
    text: Vec<u8>,
    list: List,
}

/// The list that is being written, and the last of it that was.
enum List {
    Sessions(Option<SessionId>),
    Activity(Option<AuditId>),
}

/// The document in parts. A connection is held for a page only, however slowly the parts are taken; where the database
/// fails the document breaks off, and cannot be taken for a whole one.
fn parts(pool: PgPool, me: SignedIn, first: Part) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(Some(first), move |part| {
        let (pool, me) = (pool.clone(), me.clone());
        async move {
            let Some(Part { mut text, list }) = part else { return Ok(None) };
            let next = match list {
                List::Sessions(before) => {
                    let page = sessions::list(&pool, me.user(), me.session, before, PAGE).await;
                    let page = page.map_err(io::Error::other)?;
                    write(&mut text, before.is_none(), &page)?;
                    match page.last() {
                        Some(last) => Some(List::Sessions(Some(last.id))),
                        None => {
                            text.extend_from_slice(br#"],"activity":["#);
                            Some(List::Activity(None))
                        }
                    }
                }
                List::Activity(before) => {
                    let page =
                        audit::about(&pool, me.user(), before, PAGE).await.map_err(io::Error::other)?;
                    write(&mut text, before.is_none(), &page)?;
                    let last = page.last().map(|last| List::Activity(Some(last.id)));
                    if last.is_none() {
                        text.extend_from_slice(b"]}");
                    }
                    last
                }
            };
            Ok(Some((Bytes::from(text), next.map(|list| Part { text: Vec::new(), list }))))
        }
    })
}

/// Elements of a list that was opened before.
fn write<T: Serialize>(text: &mut Vec<u8>, mut first: bool, page: &[T]) -> io::Result<()> {
    for element in page {
        if !std::mem::take(&mut first) {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, element)?;
    }
    Ok(())
}
