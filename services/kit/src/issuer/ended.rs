//! Sessions that the issuer has ended, or whose tokens hold roles of before: followed by one replica at a time, kept in
//! the service's database for as long as one of their tokens can be good, and known in the memory of every replica.
//!
//! A call asks memory alone. While the issuer or the database is away, what is known stays known.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use shop_api::users::events::{Affected, ROLES_CHANGED, SESSION_REVOKED};
use shop_api::{Code, Event, EventPage, Roles, SessionId};
use shop_client::Client;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ApiError;
use crate::access::{Caller, SessionCheck};
use crate::consumers::{ConsumeError, Consumer, IDLE, LONGEST_PAUSE};
use crate::token::ACCESS_TOKEN_LIFE;

/// How often a replica looks for what another one has heard. With a second of the follower, two of the five there are.
const READ_EVERY: Duration = Duration::from_secs(1);

// What was promised, whatever was away meanwhile: five seconds, one of them for the way.
const _: () = assert!(LONGEST_PAUSE.as_millis() + READ_EVERY.as_millis() <= 4_000);
const _: () = assert!(IDLE.as_millis() + READ_EVERY.as_millis() <= 4_000);

/// A token is surely over so long after its session ended: its life, and what two clocks may differ by.
const KEPT: Duration = ACCESS_TOKEN_LIFE.saturating_add(Duration::from_mins(1));

/// Writes down which sessions end, as the issuer tells it.
pub(super) struct IssuerEvents(Client);

impl From<Client> for IssuerEvents {
    /// `issuer` calls with a token of this service.
    fn from(issuer: Client) -> Self {
        Self(issuer)
    }
}

#[async_trait]
impl Consumer for IssuerEvents {
    fn source(&self) -> &'static str {
        "issuer-sessions"
    }

    async fn fetch(&self, after: i64, limit: u32) -> Result<EventPage, ConsumeError> {
        match self.0.events(after, limit).await {
            // Away for longer than events are kept, which is far longer than a token lives, or the log is another one:
            // begin with the oldest. Not read here: by now that log may have grown past our place.
            Err(error) if error.code() == Some(Code::Gone) => Ok(EventPage::default()),
            answer => Ok(answer?),
        }
    }

    async fn apply(&self, tx: &mut PgConnection, event: &Event) -> Result<(), ConsumeError> {
        let now = OffsetDateTime::now_utc();
        let made_until = match event.r#type.as_str() {
            SESSION_REVOKED => None,
            // A token may have been made between the event's time and its commit.
            ROLES_CHANGED => Some(now.max(event.occurred_at)),
            _ => return Ok(()),
        };
        if event.occurred_at + KEPT < now {
            return Ok(());
        }
        let told: Affected = serde_json::from_value(event.data.clone())?;
        let sessions: Vec<Uuid> = told.sessions.iter().map(|session| session.uuid()).collect();
        sqlx::query(
            "INSERT INTO kit.ended_session (session, made_until, forget_at) SELECT unnest($1::uuid[]), $2, $3",
        )
        .bind(sessions)
        .bind(made_until)
        .bind(now + KEPT)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// Refuses the tokens of sessions that ended. Cheap to clone.
#[derive(Clone)]
pub(super) struct EndedSessions(Arc<Inner>);

struct Inner {
    pool: PgPool,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// The last entry that was read.
    entry: i64,
    sessions: HashMap<SessionId, Refused>,
}

/// In seconds since 1970.
#[derive(Clone, Copy)]
struct Refused {
    /// `None` for every token of the session.
    made_until: Option<i64>,
    forget_at: i64,
}

impl EndedSessions {
    /// What the database knows.
    pub(super) async fn load(pool: PgPool) -> sqlx::Result<Self> {
        let ended = Self(Arc::new(Inner { pool, known: RwLock::default() }));
        ended.read().await?;
        Ok(ended)
    }

    /// Reads what is new, until `stop`.
    pub(super) async fn read_on(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(READ_EVERY) => {}
            }
            let read = self.read().await;
            if let Err(error) = &read
                && !failing
            {
                tracing::warn!(%error, "ended sessions cannot be read; those that are known stay refused");
            }
            failing = read.is_err();
        }
    }

    async fn read(&self) -> sqlx::Result<()> {
        let after = self.0.known.read().unwrap_or_else(PoisonError::into_inner).entry;
        let rows: Vec<(i64, Uuid, Option<OffsetDateTime>, OffsetDateTime)> = sqlx::query_as(
            "SELECT entry, session, made_until, forget_at FROM kit.ended_session WHERE entry > $1 ORDER BY entry",
        )
        .bind(after)
        .fetch_all(&self.0.pool)
        .await?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.sessions.retain(|_, refused| refused.forget_at > now);
        for (entry, session, made_until, forget_at) in rows {
            known.entry = entry;
            known.learn(session.into(), made_until, forget_at);
        }
        Ok(())
    }
}

impl Known {
    /// An ended session stays ended, whatever is told of it later.
    fn learn(&mut self, session: SessionId, made_until: Option<OffsetDateTime>, forget_at: OffsetDateTime) {
        let fresh = Refused {
            made_until: made_until.map(OffsetDateTime::unix_timestamp),
            forget_at: forget_at.unix_timestamp(),
        };
        let known = self.sessions.entry(session).or_insert(fresh);
        if known.made_until.is_some() {
            *known = fresh;
        }
    }
}

#[async_trait]
impl SessionCheck for EndedSessions {
    async fn check(&self, caller: &Caller, _: &mut Extensions) -> Result<Roles, ApiError> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let refused = caller.session.and_then(|session| known.sessions.get(&session));
        match refused.map(|refused| refused.made_until) {
            Some(None) => Err(ApiError::code(Code::SessionEnded)),
            Some(Some(made_until)) if caller.not_before <= made_until => {
                Err(ApiError::code(Code::InvalidToken)
                    .detail("the account's roles have changed: refresh the token"))
            }
            _ => Ok(caller.roles),
        }
    }
}
