//! `shopctl auth`: who this machine is to the services. Must not talk HTTP itself: shop-client does.
mod failure;
mod login;
mod logout;
mod session;
mod status;
mod store;

use clap::Subcommand;
use shop_client::{Anonymous, Client};
use time::OffsetDateTime;

use self::session::Signed;
use self::store::Store;
use super::{ISSUER, dev};
use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

/// Names a file with an access token that is used instead of what `login` keeps: for pipelines.
const TOKEN_FILE: &str = "SHOPCTL_TOKEN_FILE";

/// Sign in to the platform's services, and out
///
/// Tokens are kept in the system's keyring, or in a file that only you can read, one for each environment and address.
/// A sign-in takes away those of the same environment whose address was of this machine and answers no more.
/// SHOPCTL_TOKEN_FILE names a file with an access token that is used instead.
#[derive(Debug, clap::Args)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    Login(login::LoginArgs),
    Status(status::StatusArgs),
    Logout(logout::LogoutArgs),
}

/// Where to be signed in.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Environment of shop.toml
    #[arg(short, long, default_value = "dev", value_name = "ENV")]
    env: String,
    /// Address of user-management, instead of the environment's: https, or http to this machine
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(crate) async fn run(args: AuthArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match args.command {
        AuthCommand::Login(args) => login::run(args, context, ui).await,
        AuthCommand::Status(args) => status::run(&args, context, ui).await,
        AuthCommand::Logout(args) => logout::run(&args, context, ui).await,
    }
}

/// The issuer of one environment, and what is kept of it here.
struct Place {
    environment: String,
    /// Sends no token.
    client: Client,
    store: Store,
}

impl Place {
    fn find(args: &PlaceArgs, context: &Context) -> Result<Self, CommandError> {
        Self::find_running(args, context)?.ok_or_else(|| {
            CommandError::new(Exit::Unreachable, NOT_RUNNING)
                .hint("start it with `shopctl dev up`, or give --url")
        })
    }

    /// `None` when the address is that of a stack of this machine which is not up.
    fn find_running(args: &PlaceArgs, context: &Context) -> Result<Option<Self>, CommandError> {
        let url = match &args.url {
            Some(url) => Some(url.clone()),
            None => address(&args.env, context)?,
        };
        url.map(|url| Self::at(&url, args, context)).transpose()
    }

    fn at(url: &str, args: &PlaceArgs, context: &Context) -> Result<Self, CommandError> {
        let client = Client::new(url, Anonymous).map_err(|error| failure::of(&error, &args.env))?;
        let store = Store::open(context, &args.env, client.base_url().as_str())?;
        Ok(Self { environment: args.env.clone(), client, store })
    }

    /// A client that is signed in with what is kept, or with the token file's token.
    fn signed_in(&self, context: &Context, ui: &Ui) -> Result<Client, CommandError> {
        if let Some(path) = context.variable(TOKEN_FILE) {
            let token = secret_of(&context.directory.join(&path), TOKEN_FILE, ui)?;
            return Ok(self.client.with_tokens(shop_client::Fixed(token.into())));
        }
        Ok(self.with_kept(ui))
    }

    /// A client that is signed in with what is kept.
    fn with_kept(&self, ui: &Ui) -> Client {
        let signed = Signed::new(self.client.clone(), self.store.clone(), ui.redactor().clone());
        self.client.with_tokens(signed)
    }
}

/// Why there is no address.
const NOT_RUNNING: &str = "user-management does not run here";

/// Where the issuer of an environment answers: its host, or without a cluster the running stack's first replica, if
/// it has one.
fn address(environment: &str, context: &Context) -> Result<Option<String>, CommandError> {
    let resolved = context.environment(environment)?;
    let service =
        resolved.services.iter().find(|(name, _)| name.as_str() == ISSUER).map(|(_, service)| service);
    let service = service.ok_or_else(|| {
        CommandError::usage(format!("there is no {ISSUER} in {environment}, so nobody can sign in"))
            .hint("add it to shop.toml, or give --url")
    })?;
    if resolved.cluster.is_some() {
        let host = service.host.as_ref().ok_or_else(|| {
            let message = format!("{ISSUER} has no host in {environment}");
            let place = format!("[service.{ISSUER}.environment.{environment}]");
            CommandError::usage(message).hint(format!("give it one in shop.toml ({place}), or give --url"))
        })?;
        return Ok(Some(format!("https://{}", host.value)));
    }
    let record = dev::record(&dev::stack(context)?)?;
    let running = record.iter().flat_map(|record| &record.services).find(|service| service.name == ISSUER);
    Ok(running.and_then(|service| service.replicas.first()).map(|replica| replica.url.clone()))
}

/// The text of a file without the newline at its end, registered for masking.
fn secret_of(path: &std::path::Path, what: &str, ui: &Ui) -> Result<String, CommandError> {
    let text = std::fs::read_to_string(path)
        .or_exit(Exit::Usage, format!("{what} {} cannot be read", path.display()))
        .map_err(|error| error.hint("check its path, and who may read it"))?;
    let secret = text.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() {
        let error = CommandError::usage(format!("{what} {} is empty", path.display()));
        return Err(error.hint("write the secret into it, and nothing else"));
    }
    ui.redactor().register(&secret);
    Ok(secret)
}

/// A time as people read it.
fn shown(time: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_else(|_| time.to_string())
}
