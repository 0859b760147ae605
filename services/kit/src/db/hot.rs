//! Point reads over two shared, pipelined connections: many requests are on the wire at once and none waits for
//! a free connection. Measured against a pool of sqlx: a third of its CPU for each read (decision 0010).
//! For single-statement reads only: a transaction or a `SET` would leak into the reads of others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use shop_api::Code;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::target::Target;
use crate::error::{ApiError, sqlstate_code};

/// Two keep both cores of a small replica busy; a third and fourth were slower (research perf.md §2).
const LANES: usize = 2;

/// Reconnecting starts at once and is never slower than this, so that the service is itself again within two
/// seconds of PostgreSQL's return.
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// Why a read gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL is away, starting or stopping.
    #[error("the database is not reachable")]
    Unavailable(#[source] Option<tokio_postgres::Error>),
    /// The read took longer than its limit.
    #[error("the database did not answer in time")]
    Deadline,
    /// A defect: more than one row where there can be only one.
    #[error("the database found more than one row")]
    Ambiguous,
    /// A defect: the statement or its parameters are wrong.
    #[error("the database refused the statement")]
    Refused(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let local = error.is_closed()
                || std::error::Error::source(&error).is_some_and(|s| s.is::<std::io::Error>());
            return if local { Self::Unavailable(Some(error)) } else { Self::Refused(error) };
        };
        match sqlstate_code(code.code()) {
            Code::DeadlineExceeded => Self::Deadline,
            Code::Unavailable => Self::Unavailable(Some(error)),
            _ => Self::Refused(error),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let code = match &error {
            DbError::Unavailable(_) => Code::Unavailable,
            DbError::Deadline => Code::DeadlineExceeded,
            DbError::Ambiguous | DbError::Refused(_) => Code::Internal,
        };
        Self::code(code).source(error)
    }
}

/// Shared pipelined connections for reads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HotReads(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lanes: [watch::Receiver<Option<Arc<Link>>>; LANES],
    tasks: [AbortHandle; LANES],
    next: AtomicUsize,
    deadline: Duration,
    started: Instant,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Prepared by the first who asks; the others wait for it.
type Prepared = Arc<OnceCell<Statement>>;

/// One live connection and what was prepared on it.
struct Link {
    client: Client,
    /// By the address and length of the text: a `'static` text at one address never changes, and two numbers hash
    /// faster than the text.
    statements: RwLock<HashMap<(usize, usize), Prepared>>,
    /// When it last answered, in milliseconds after `Inner::started`.
    answered: AtomicU64,
    /// Tells the lane that this link is dead although nobody closed it.
    give_up: Notify,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl HotReads {
    pub(super) fn start(target: &Target) -> Self {
        let mut tasks = Vec::with_capacity(LANES);
        let lanes = std::array::from_fn(|_| {
            let (sender, receiver) = watch::channel(None);
            tasks.push(tokio::spawn(keep_connected(target.clone(), sender)).abort_handle());
            receiver
        });
        let tasks = std::array::from_fn(|i| tasks[i].clone());
        // PostgreSQL itself ends a statement before this passes, so passing it means that nothing answers at all.
        let deadline = statement_timeout(target) + Duration::from_millis(500);
        Self(Arc::new(Inner { lanes, tasks, next: AtomicUsize::new(0), deadline, started: Instant::now() }))
    }

    /// The row, when there is one.
    ///
    /// # Errors
    /// [`DbError`]; two rows are a defect ([`DbError::Ambiguous`]).
    pub async fn query_opt(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, DbError> {
        let mut rows = self.query(sql, params).await?;
        let row = rows.pop();
        if rows.is_empty() { Ok(row) } else { Err(DbError::Ambiguous) }
    }

    /// All rows. The statement bounds their number itself.
    ///
    /// A read changes nothing, so one whose connection broke under it is asked again, once, on the other one.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn query(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DbError> {
        let first = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut outcome = Err(DbError::Unavailable(None));
        for lane in 0..LANES {
            let link = self.0.lanes[(first + lane) % LANES].borrow().clone();
            let Some(link) = link.filter(|link| !link.client.is_closed()) else { continue };
            outcome = self.ask(&link, sql, params).await;
            if !matches!(outcome, Err(DbError::Unavailable(_))) {
                break;
            }
        }
        outcome
    }

    /// Waits until one connection stands.
    pub async fn connected(&self) {
        let [first, second] = &self.0.lanes;
        let (mut first, mut second) = (first.clone(), second.clone());
        // An error would mean that the lane's task has gone, which happens only after the last clone of `self`.
        tokio::select! {
            Ok(_) = first.wait_for(Option::is_some) => {}
            Ok(_) = second.wait_for(Option::is_some) => {}
            else => {}
        }
    }

    async fn ask(
        &self,
        link: &Link,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DbError> {
        let asked = self.now();
        match tokio::time::timeout(self.0.deadline, link.query(sql, params)).await {
            Ok(answer) => {
                link.answered.store(self.now(), Ordering::Relaxed);
                Ok(answer?)
            }
            Err(_) => {
                // Nobody on this link was answered since we asked: it is not slow, it is dead.
                if link.answered.load(Ordering::Relaxed) <= asked {
                    link.give_up.notify_one();
                }
                Err(DbError::Deadline)
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Link {
    async fn query(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, params).await
    }

    async fn prepared(&self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        let key = (sql.as_ptr() as usize, sql.len());
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let cell = match known {
            Some(cell) => cell,
            None => self
                .statements
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key)
                .or_default()
                .clone(),
        };
        cell.get_or_try_init(|| self.client.prepare(sql)).await.cloned()
    }
}

/// A hot read is a lookup by key: what takes longer than this is in trouble.
fn statement_timeout(target: &Target) -> Duration {
    target.statement_timeout().min(Duration::from_secs(2))
}

/// One lane: connect, publish, drive the connection to its end, and again.
async fn keep_connected(target: Target, publish: watch::Sender<Option<Arc<Link>>>) {
    let mut backoff = Duration::from_millis(10);
    let mut told = None::<Instant>;
    loop {
        match connect(&target).await {
            Ok((link, connection)) => {
                (backoff, told) = (Duration::from_millis(10), None);
                publish.send_replace(Some(link.clone()));
                metrics::gauge!("dependency_up", "dependency" => "postgres").set(1.0);
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::warn!(error = %error, "a connection to the database broke");
                    },
                    () = link.give_up.notified() => tracing::warn!("a connection to the database answers no more"),
                }
                publish.send_replace(None);
            }
            Err(error) => {
                metrics::gauge!("dependency_up", "dependency" => "postgres").set(0.0);
                // One line every ten seconds says as much as forty.
                if told.is_none_or(|t| t.elapsed() > Duration::from_secs(10)) {
                    let cause = std::error::Error::source(&*error).map(ToString::to_string);
                    tracing::warn!(error = %error, error.cause = cause, "cannot connect to the database; trying on");
                    told = Some(Instant::now());
                }
            }
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

type Driven = futures::future::BoxFuture<'static, Result<(), tokio_postgres::Error>>;

async fn connect(target: &Target) -> Result<(Arc<Link>, Driven), Box<dyn std::error::Error + Send + Sync>> {
    let config = target.hot_config(statement_timeout(target))?;
    // The handshake has no limit of its own: `connect_timeout` ends with the TCP connection.
    let connecting = config.connect(target.tls()?);
    let (client, connection) = tokio::time::timeout(Duration::from_secs(2), connecting).await??;
    let link =
        Link { client, statements: RwLock::default(), answered: AtomicU64::new(0), give_up: Notify::new() };
    Ok((Arc::new(link), Box::pin(connection)))
}
