//! user-management as it is deployed: the built program, its keys, its database, its tokens. Nothing in it is
//! weakened for the measurement: the bench owns the key folder, so it signs tokens as the service itself would.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shop_api::{Role, Roles, SessionId};
use shop_kit::Claims;
use time::OffsetDateTime;
use tokio::process::Command;
use user_management::keys::SigningKeys;
use uuid::Uuid;

use crate::pin::Pin;
use crate::server::{Recipe, Server, free_address};
use crate::world::{OURS, World};

const ISSUER: &str = "https://bench.shop.example";
const AUDIENCE: &str = "shop";
/// Access tokens of the bench outlive the longest run; the service itself mints them for 15 minutes.
const TOKEN_LIFE: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

/// The built program and what it is started with.
pub(crate) struct Service {
    program: PathBuf,
    keys: PathBuf,
    totp_key: PathBuf,
    database_url: String,
    password_file: PathBuf,
    log: PathBuf,
    pin: Pin,
}

impl Service {
    /// Makes its keys, migrates its database and seeds it.
    pub(crate) async fn prepare(program: PathBuf, world: &World) -> Result<Self> {
        let service = Self {
            program,
            keys: world.path().join("keys"),
            totp_key: world.file("totp.key", &STANDARD.encode([7; 32]))?,
            database_url: world.url(OURS),
            password_file: world.postgres.password_file(),
            log: world.path().join("user-management.log"),
            pin: world.layout.servers(),
        };
        service.run(&["keys", "init", "--dir", &service.keys.display().to_string()]).await?;
        service.run(&["migrate"]).await?;
        world.seed_ours().await?;
        Ok(service)
    }

    /// Starts one instance.
    pub(crate) async fn start(&self) -> Result<Server> {
        let (public, admin) = (free_address()?, free_address()?);
        let mut command = self.command();
        command.arg("serve").env("PUBLIC_ADDR", public.to_string()).env("ADMIN_ADDR", admin.to_string());
        let recipe = Recipe {
            name: "user-management",
            command,
            address: public,
            ready_address: admin,
            ready_path: "/readyz",
            log: self.log.clone(),
        };
        Server::start(recipe).await
    }

    /// Where the program is.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Signs tokens with the service's current key.
    pub(crate) fn tokens(&self) -> Result<Tokens> {
        Ok(Tokens(SigningKeys::open(&self.keys)?))
    }

    fn command(&self) -> Command {
        let mut command = self.pin.command(&self.program);
        command.env_remove("LOG").env("SHOP_ENV", "bench").env("PUBLIC_BASE_URL", ISSUER);
        command.env("DATABASE_URL", &self.database_url).env("DATABASE_PASSWORD_FILE", &self.password_file);
        command.env("ISSUER", ISSUER).env("AUDIENCE", AUDIENCE);
        command.env("SIGNING_KEYS_DIR", &self.keys).env("TOTP_KEY_FILE", &self.totp_key);
        // Nobody listens there: mail stays in its queue, as it would while the mail server is away.
        command.env("SMTP_URL", "smtp://127.0.0.1:9").env("MAIL_FROM", "bench@shop.example");
        // The generator plays the ingress that names each client's address.
        command.env("TRUSTED_PROXIES", "127.0.0.0/8");
        command
    }

    async fn run(&self, args: &[&str]) -> Result<()> {
        let output = self.command().args(args).stdin(Stdio::null()).output().await?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            bail!("user-management {} failed:\n{}", args.join(" "), String::from_utf8_lossy(&text).trim());
        }
        Ok(())
    }
}

/// Builds a program of ours, called as its package, and says where it is.
pub(crate) async fn build(package: &str, profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", package, "--bin", package, "--profile", profile]);
    command.args(["--message-format", "json-render-diagnostics"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await.context("cargo")?;
    if !output.status.success() {
        bail!("{package} could not be built");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut programs = text.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    programs.next_back().with_context(|| format!("cargo named no program of {package}"))
}

/// Signs access tokens of the seeded accounts.
pub(crate) struct Tokens(Arc<SigningKeys>);

impl Tokens {
    /// A token of a seeded account's session, unlike every other one.
    pub(crate) fn sign(&self, account: u32) -> Result<String> {
        let now = OffsetDateTime::now_utc();
        let claims = Claims::new(
            ISSUER,
            AUDIENCE,
            user_id(account),
            Roles::NONE.with(Role::Customer),
            now,
            TOKEN_LIFE,
        );
        let claims = claims.session(SessionId::from(session_id(account)));
        Ok(self.0.sign(&claims)?)
    }
}

/// The ids that `sql/seed-users.sql` gives.
fn user_id(account: u32) -> Uuid {
    Uuid::from_u128(0x01936f5e_0000_7000_8000_000000000000 + u128::from(account))
}

fn session_id(account: u32) -> Uuid {
    Uuid::from_u128(0x01936f5e_0000_7000_9000_000000000000 + u128::from(account))
}
