//! User-management as kit runs it: its routes, its schema, what it starts and seeds. No rule and no query in here.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use shop_kit::boot::{BootError, Kit, Service, ServiceInfo, Started};
use shop_kit::schema::Schema;
use shop_kit::{ApiRouter, Gate, KitConfig, Verifier};

use crate::commands::{self, Command};
use crate::config::Config;
use crate::http;
use crate::keys::SigningKeys;
use crate::seed;
use crate::signed_in::SessionChecker;
use crate::state::AppState;
use crate::workers::{mail::Letters, sweep};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Programs since this version of the schema can live on the newest one.
const OLDEST_COMPATIBLE: i64 = 1;

/// The service.
#[derive(Debug)]
pub struct UserManagement;

impl Service for UserManagement {
    const INFO: ServiceInfo = ServiceInfo {
        name: "user-management",
        version: env!("CARGO_PKG_VERSION"),
        about: "Accounts, sessions and tokens of the shop",
    };
    type Config = Config;
    type Command = Command;
    type State = AppState;

    fn schema() -> Schema {
        Schema { migrator: &MIGRATIONS, oldest_compatible: OLDEST_COMPATIBLE }
    }

    fn api() -> ApiRouter<AppState> {
        http::router()
    }

    fn check(config: &Config, kit: &KitConfig) -> Result<(), BootError> {
        config.base_url(kit.protected).map(drop)
    }

    async fn start(config: Config, kit: &Kit) -> Result<Started<AppState>, BootError> {
        let keys = SigningKeys::open(config.keys_dir()?).map_err(BootError::usage)?;
        let mailer = Arc::new(config.mail.mailer(kit.config.protected).map_err(BootError::usage)?);
        let state =
            AppState::new(kit, config.hasher()?, Arc::clone(&keys), config.totp_keys()?, config.quotas());

        let audit_retention = config.audit_retention();
        let letters = Arc::new(Letters::new(config.public_base_url));
        kit.workers.spawn(mailer.run(kit.db.pool.clone(), letters, kit.stop.clone()));
        until_stop(kit, SigningKeys::watch(Arc::clone(&keys)));
        until_stop(kit, sweep::run(kit.db.pool.clone(), audit_retention));
        until_stop(kit, sweep::run_successors(kit.db.pool.clone()));

        let tokens = &kit.config.tokens;
        let verifier = Verifier::new(&tokens.issuer, &tokens.audience, keys);
        let gate = Gate::new(verifier).with_session_check(SessionChecker::new(kit.db.hot.clone()));
        Ok(Started { state, gate: Some(gate) })
    }

    async fn seed(config: Config, kit: &Kit) -> Result<(), BootError> {
        let path = config.seed_password_file.clone().unwrap_or_else(|| PathBuf::from("seed-password"));
        let seeded = seed::seed(&kit.db.pool, &config.hasher()?, &path).await?;
        tracing::info!(made = seeded.made, kept = seeded.kept, password_file = %path.display(), "seeded");
        // Data and not a log line: `shopctl dev up` shows them. The people are invented.
        let addresses = seed::addresses().join("\n") + "\n";
        std::io::stdout().write_all(addresses.as_bytes()).map_err(BootError::unexpected)
    }

    async fn command(command: Command, _: Config, kit: &KitConfig) -> Result<(), BootError> {
        commands::run(command, kit).await
    }
}

fn until_stop(kit: &Kit, worker: impl Future<Output = ()> + Send + 'static) {
    let stop = kit.stop.clone();
    kit.workers.spawn(async move { stop.run_until_cancelled(worker).await });
}
