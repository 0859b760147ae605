//! The service's way to PostgreSQL: a sqlx pool for transactions and lists, and [`HotReads`] for point reads.
//! It knows no table. It never waits longer than its limits: while PostgreSQL is away a caller gets an error,
//! and the connections come back by themselves.

mod hot;
mod target;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::AbortHandle;

pub use hot::{DbError, HotReads};
pub(crate) use target::decoded;
pub use target::{DbConfig, DbConfigError, Target};
pub use tokio_postgres::Row;
pub use tokio_postgres::types::{FromSql, ToSql};

/// How often a changed password file and the pool's gauges are looked at.
const KEEPER_PERIOD: Duration = Duration::from_secs(2);

/// Both ways to one database. Cheap to clone; the connections close when the last clone goes.
#[derive(Clone, Debug)]
pub struct Database {
    /// For transactions, writes and lists.
    pub pool: PgPool,
    /// For point reads that are asked for on every request.
    pub hot: HotReads,
    _keeper: Arc<Keeper>,
}

#[derive(Debug)]
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Database {
    /// Starts connecting and returns at once: PostgreSQL may come later (see [`Database::connected`]).
    ///
    /// # Errors
    /// When a file named by the configuration cannot be read, now: a wrong path never gets as far as a retry.
    pub fn connect(target: &Target) -> Result<Self, DbConfigError> {
        let options = target.pool_options()?;
        target.tls()?;
        let pool = PgPoolOptions::new()
            .max_connections(target.connections())
            .acquire_timeout(target.acquire_timeout())
            .idle_timeout(Duration::from_secs(10 * 60))
            .max_lifetime(Duration::from_secs(30 * 60))
            .connect_lazy_with(options);
        let keeper = tokio::spawn(keep(pool.clone(), target.clone())).abort_handle();
        Ok(Self { pool, hot: HotReads::start(target), _keeper: Arc::new(Keeper(keeper)) })
    }

    /// Waits until both the pool and the hot connections have reached PostgreSQL once.
    pub async fn connected(&self) {
        let mut pause = Duration::from_millis(25);
        while let Err(error) = self.pool.acquire().await {
            tracing::warn!(error = %error, "waiting for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(KEEPER_PERIOD);
        }
        self.hot.connected().await;
    }

    /// Closes the pool's connections after the work in flight has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Gives the pool the current password and tells its size to the metrics.
async fn keep(pool: PgPool, target: Target) {
    let mut password = target.password().ok().flatten();
    let mut tick = tokio::time::interval(KEEPER_PERIOD);
    while !pool.is_closed() {
        tick.tick().await;
        let idle = pool.num_idle();
        let used = (pool.size() as usize).saturating_sub(idle);
        metrics::gauge!("db_pool_connections", "state" => "idle").set(idle as f64);
        metrics::gauge!("db_pool_connections", "state" => "used").set(used as f64);
        // An unreadable file is most likely being replaced just now: the next look will find it.
        let Ok(current) = target.password() else { continue };
        if current != password
            && let Ok(options) = target.pool_options()
        {
            tracing::info!("the database password changed: new connections use it");
            pool.set_connect_options(options);
            password = current;
        }
    }
}
