//! The smallest service there is, whole: what "a router and a schema" means. Its faults are switched on by its
//! environment, for tests of what stands around a service. It is never deployed.

mod notes;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use shop_kit::boot::{BootError, Kit, NoCommands, Service, ServiceInfo, Started};
use shop_kit::schema::Schema;
use shop_kit::{ApiRouter, KitConfig};
use sqlx::PgPool;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The faults.
#[derive(Debug, Clone, clap::Args)]
struct Config {
    /// Milliseconds that every list of notes takes longer
    #[arg(long, env = "FAULT_DELAY_MS", default_value_t = 0, value_name = "MS")]
    fault_delay_ms: u64,
    /// Of a hundred lists of notes so many are answered 500, evenly spread
    #[arg(long, env = "FAULT_ERRORS", default_value_t = 0, value_name = "PERCENT",
          value_parser = clap::value_parser!(u64).range(0..=100))]
    fault_errors: u64,
}

/// What the handlers share.
#[derive(Clone)]
struct AppState {
    pool: PgPool,
    delay: Duration,
    errors: u64,
    /// Lists asked for so far.
    asked: Arc<AtomicU64>,
}

/// For the routes that kit brings along.
impl axum::extract::FromRef<AppState> for PgPool {
    fn from_ref(state: &AppState) -> Self {
        state.pool.clone()
    }
}

struct Faulty;

impl Service for Faulty {
    const INFO: ServiceInfo = ServiceInfo {
        name: "faulty",
        version: env!("CARGO_PKG_VERSION"),
        about: "Notes, and faults on demand",
    };
    type Config = Config;
    type Command = NoCommands;
    type State = AppState;

    fn schema() -> Schema {
        Schema { migrator: &MIGRATIONS, oldest_compatible: 1 }
    }

    fn api() -> ApiRouter<AppState> {
        notes::router().merge(shop_kit::outbox::router())
    }

    async fn start(config: Config, kit: &Kit) -> Result<Started<AppState>, BootError> {
        let state = AppState {
            pool: kit.db.pool.clone(),
            delay: Duration::from_millis(config.fault_delay_ms),
            errors: config.fault_errors,
            asked: Arc::default(),
        };
        Ok(Started { state, gate: Some(kit.gate().await?) })
    }

    async fn seed(_: Config, kit: &Kit) -> Result<(), BootError> {
        Ok(notes::seed(&kit.db.pool).await?)
    }

    async fn command(command: NoCommands, _: Config, _: &KitConfig) -> Result<(), BootError> {
        match command {}
    }
}

fn main() -> ExitCode {
    shop_kit::boot::run::<Faulty>()
}
