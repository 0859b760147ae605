//! From a command line to a running service, the same way for every service.
//!
//! Exit codes are those of the release: 0 done, 1 unexpected, 2 usage or a schema that this version cannot live on,
//! 9 something needed cannot be reached.
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{FromArgMatches, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Gate;
use crate::config::KitConfig;
use crate::db::Database;
use crate::error::Chain;
use crate::limit::Limiter;
use crate::router::ApiRouter;
use crate::schema::{Schema, SchemaError};
use crate::telemetry;

mod files;
mod run;

/// What a service is.
#[derive(Debug, Clone, Copy)]
pub struct ServiceInfo {
    /// As in shop.toml.
    pub name: &'static str,
    /// `env!("CARGO_PKG_VERSION")` of the service.
    pub version: &'static str,
    /// One sentence for `--help` and OpenAPI.
    pub about: &'static str,
}

/// What a service gives to be run.
pub trait Service: Sized + Send + 'static {
    /// Who it is.
    const INFO: ServiceInfo;
    /// Its own part of the configuration, beside [`KitConfig`].
    type Config: clap::Args + Clone + fmt::Debug + Send + Sync;
    /// Its own subcommands; [`NoCommands`] for none.
    type Command: Subcommand + fmt::Debug + Send;
    /// What its handlers share.
    type State: Clone + Send + Sync + 'static;

    /// Its migrations.
    fn schema() -> Schema;

    /// Its routes. Called without a database for `openapi` too.
    fn api() -> ApiRouter<Self::State>;

    /// Looks at what can be seen to be wrong before anything is opened or waited for; only `serve` asks.
    ///
    /// # Errors
    /// Names the setting and the next step.
    fn check(_config: &Self::Config, _kit: &KitConfig) -> Result<(), BootError> {
        Ok(())
    }

    /// Makes the state, spawns workers on `kit.workers`. The database is connected and its schema is checked.
    fn start(
        config: Self::Config,
        kit: &Kit,
    ) -> impl Future<Output = Result<Started<Self::State>, BootError>> + Send;

    /// Fills a database for development. Safe to run again.
    fn seed(config: Self::Config, kit: &Kit) -> impl Future<Output = Result<(), BootError>> + Send;

    /// Runs a subcommand of its own.
    fn command(
        command: Self::Command,
        config: Self::Config,
        kit: &KitConfig,
    ) -> impl Future<Output = Result<(), BootError>> + Send;
}

/// What a started service hands over.
pub struct Started<S> {
    /// For the handlers.
    pub state: S,
    /// Before the routes that want a token; `None` when all are public.
    pub gate: Option<Gate>,
}

/// What kit has ready for a service.
#[derive(Debug)]
pub struct Kit {
    /// Who is served.
    pub info: ServiceInfo,
    /// The shared part of the configuration.
    pub config: KitConfig,
    /// Both ways to the database.
    pub db: Database,
    /// Limits by key, shared by the replicas where Redis is configured.
    pub limiter: Limiter,
    /// Cancelled when the last request has been answered: workers finish what they hold and return.
    pub stop: CancellationToken,
    /// Spawn workers here; they are waited for at the end.
    pub workers: TaskTracker,
}

/// For a service without subcommands of its own.
#[derive(Debug, Subcommand)]
pub enum NoCommands {}

/// Why a service ends before its time. The text is one sentence with the next step.
#[derive(Debug)]
pub struct BootError {
    exit: u8,
    message: String,
}

impl BootError {
    /// A mistake of whoever configured or called it (exit 2).
    pub fn usage(message: impl fmt::Display) -> Self {
        BootError { exit: 2, message: message.to_string() }
    }

    /// Something needed cannot be reached (exit 9).
    pub fn unreachable(message: impl fmt::Display) -> Self {
        BootError { exit: 9, message: message.to_string() }
    }

    /// Anything else (exit 1).
    pub fn unexpected(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        BootError { exit: 1, message: Chain(error.into().as_ref()).to_string() }
    }

    /// With another exit code of the release's table.
    #[must_use]
    pub fn with_exit(mut self, code: u8) -> Self {
        self.exit = code;
        self
    }

    /// The code it ends with.
    #[must_use]
    pub fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for BootError {}

impl From<crate::db::DbConfigError> for BootError {
    fn from(error: crate::db::DbConfigError) -> Self {
        BootError::usage(error)
    }
}

impl From<crate::outbox::AmqpConfigError> for BootError {
    fn from(error: crate::outbox::AmqpConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<crate::limit::RedisConfigError> for BootError {
    fn from(error: crate::limit::RedisConfigError) -> Self {
        BootError::usage(error)
    }
}

impl From<sqlx::Error> for BootError {
    fn from(error: sqlx::Error) -> Self {
        if crate::error::is_away(&error) {
            return BootError::unreachable(format_args!(
                "the database went away ({}): see that PostgreSQL runs, then run this again",
                Chain(&error)
            ));
        }
        BootError::unexpected(error)
    }
}

/// How a sentence begins that tells of a schema which this program can do nothing with. `shopctl dev` knows it by these
/// words (cli/devstack/src/trouble.rs).
const FOREIGN_SCHEMA: &str = "this version cannot live on the database's schema";

impl From<SchemaError> for BootError {
    fn from(error: SchemaError) -> Self {
        if error.is_foreign() {
            return BootError::usage(format_args!("{FOREIGN_SCHEMA}: {error}"));
        }
        if !error.is_transient() {
            return BootError::usage(error);
        }
        if let SchemaError::Migration(component, error) = &error {
            return BootError::unreachable(format_args!(
                "the database went away while its {component} schema was migrated ({error}): see that PostgreSQL \
                 runs, then run `migrate` again, which goes on after the last migration that was finished"
            ));
        }
        BootError::unreachable(format_args!(
            "{error}: is PostgreSQL running, and DATABASE_URL the right one?"
        ))
    }
}

#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
struct Cli<C: clap::Args, X: Subcommand> {
    #[command(flatten)]
    kit: KitConfig,
    #[command(flatten)]
    own: C,
    #[command(subcommand)]
    command: Command<X>,
}

#[derive(Debug, Subcommand)]
enum Command<X: Subcommand> {
    /// Answer requests until SIGTERM
    Serve,
    /// Bring the database to this version's schema
    Migrate,
    /// Fill the database for development
    Seed,
    /// Tell the running service to take no more requests, and wait until it should have none (the preStop hook)
    Drain,
    /// Print the OpenAPI document
    Openapi,
    #[command(flatten)]
    Own(X),
}

/// Runs the command line: the whole of a service's `main`.
#[must_use]
pub fn run<S: Service>() -> ExitCode {
    let cli = match arguments::<S>() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let log = match telemetry::init(&S::INFO, &cli.kit.shop_env, &cli.kit.log) {
        Ok(log) => log,
        Err(message) => return report(S::INFO, &BootError::usage(message)),
    };
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch::<S>(cli)),
        Err(error) => Err(BootError::unexpected(error)),
    };
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(S::INFO, &error),
    };
    drop(log);
    code
}

fn arguments<S: Service>() -> Result<Cli<S::Config, S::Command>, clap::Error> {
    let command = <Cli<S::Config, S::Command> as clap::CommandFactory>::command();
    let mut command = command.name(S::INFO.name).version(S::INFO.version).about(S::INFO.about);
    let read = command.try_get_matches_from_mut(std::env::args_os());
    let read = read.and_then(|matches| Cli::from_arg_matches(&matches));
    read.map_err(|error| {
        // Arguments of subcommands that were not asked for cannot be written yet.
        command.build();
        with_variables(error, &command)
    })
}

/// Names the variable beside the flag: a deployment sets the one, and clap tells of the other alone.
fn with_variables(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    let named = |flag: &String| match variable(command, flag) {
        Some(variable) => format!("{flag} ({variable})"),
        None => flag.clone(),
    };
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) => ContextValue::String(named(flag)),
        Some(ContextValue::Strings(flags)) => ContextValue::Strings(flags.iter().map(named).collect()),
        _ => return error,
    };
    error.insert(ContextKind::InvalidArg, named);
    error
}

/// The variable of the argument that clap writes like this, here or in a subcommand.
fn variable(command: &clap::Command, flag: &str) -> Option<String> {
    let mut arguments = command.get_arguments();
    let here =
        arguments.find(|argument| argument.to_string() == flag).and_then(|argument| argument.get_env());
    let here = here.map(|variable| variable.to_string_lossy().into_owned());
    here.or_else(|| command.get_subcommands().find_map(|below| variable(below, flag)))
}

/// Once for people on stderr; whoever collects logs finds it there too.
fn report(info: ServiceInfo, error: &BootError) -> ExitCode {
    use std::io::Write;
    telemetry::flush();
    // Nobody may be listening.
    let _heard = writeln!(std::io::stderr(), "{}: {error}", info.name);
    ExitCode::from(error.exit)
}

async fn dispatch<S: Service>(cli: Cli<S::Config, S::Command>) -> Result<(), BootError> {
    let Cli { kit, own, command } = cli;
    // Both may be asked for by libraries; the first answer counts for the process.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Serve => run::serve::<S>(kit, own).await,
        Command::Migrate => run::migrate::<S>(&kit).await,
        Command::Seed => run::seed::<S>(kit, own).await,
        Command::Drain => run::drain(&kit).await,
        Command::Openapi => run::openapi::<S>(),
        Command::Own(command) => S::command(command, own, &kit).await,
    }
}
