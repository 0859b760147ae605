//! Whether the database server and the parts answer now, as against what the supervisor noted of them. Asks, and
//! changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::ServerUrl;
use crate::extras;
use crate::process::Proc;
use crate::record::{POSTGRES, PartState, PostgresRecord, Record};
use crate::tls;
use crate::trouble::Result;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How a part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Ready,
    /// It is there and does not answer.
    NotAnswering,
    /// Its process has ended.
    Gone,
    /// It ended and is started again in a moment.
    BackingOff,
    /// It ended too often.
    GivenUp,
}

/// `postgres` and the parts by their names.
pub type Healths = BTreeMap<String, Health>;

impl Health {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotAnswering => "not answering",
            Self::Gone => "gone",
            Self::BackingOff => "backing off",
            Self::GivenUp => "given up",
        }
    }

    fn noted(state: PartState) -> Self {
        match state {
            PartState::Ready => Self::Ready,
            PartState::BackingOff => Self::BackingOff,
            PartState::GivenUp => Self::GivenUp,
        }
    }

    fn of(answers: bool, state: PartState, proc: Option<Proc>) -> Self {
        match (answers, state) {
            (true, _) => Self::Ready,
            (false, PartState::Ready) if proc.is_some_and(|proc| !proc.is_alive()) => Self::Gone,
            (false, PartState::Ready) => Self::NotAnswering,
            (false, state) => Self::noted(state),
        }
    }
}

/// What the supervisor noted last.
pub fn noted(record: &Record) -> Healths {
    let postgres = record.postgres.iter().map(|server| (POSTGRES.to_owned(), Health::noted(server.state)));
    let parts = record.parts.iter().map(|part| (part.name.clone(), Health::noted(part.state)));
    postgres.chain(parts).collect()
}

/// Asks all of them at once.
pub async fn ask(record: &Record) -> Healths {
    let parts = record.parts.iter().map(|part| async {
        let answers = within(extras::answers(&part.name, &part.address)).await;
        (part.name.clone(), Health::of(answers, part.state, part.proc))
    });
    let postgres = async {
        let server = record.postgres.as_ref()?;
        let answers = within(async { takes_a_query(server).await.is_ok() }).await;
        Some((POSTGRES.to_owned(), Health::of(answers, server.state, server.proc)))
    };
    let (postgres, parts) = tokio::join!(postgres, futures::future::join_all(parts));
    postgres.into_iter().chain(parts).collect()
}

async fn within(asked: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(ANSWER, asked).await.unwrap_or(false)
}

async fn takes_a_query(server: &PostgresRecord) -> Result<()> {
    let url = ServerUrl::parse(&server.url)?;
    let client = tls::connect(&url.config(server.password_file.as_deref())?, &url).await?;
    client.simple_query("select 1").await?;
    Ok(())
}
