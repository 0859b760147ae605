//! `shopctl auth login`: signs in and keeps the tokens.
use std::io::Read as _;

use serde::Serialize;
use shop_api::Code;
use shop_api::users::auth::{Login, Tokens};
use time::OffsetDateTime;

use super::store::{Keeper, Kept, Store};
use super::{Place, PlaceArgs, failure, secret_of, shown};
use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

/// Sign in
///
/// Asks for what is not given. A password or a recovery code is never an argument: it would show in the list of
/// processes.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Who signs in
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// File with the password, or - for stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// Six digits of the authenticator app
    #[arg(long, value_name = "CODE")]
    totp: Option<String>,
    /// File with a recovery code, or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "totp")]
    recovery_code_file: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    environment: &'a str,
    url: &'a str,
    email: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    session_until: OffsetDateTime,
    #[serde(flatten)]
    keeper: &'a Keeper,
}

pub(crate) async fn run(args: LoginArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let place = Place::find(&args.place, context)?;
    let url = place.client.base_url().as_str().trim_end_matches('/').to_owned();
    let code = code_given(&args, context, ui)?;
    ui.status(format!("signing in to {} at {url}", place.environment));
    let email = match args.email {
        Some(email) => email,
        None => ui.ask("E-mail:", "--email")?,
    };
    let password = match args.password_file.as_deref() {
        Some(file) => secret_in(file, "password", context, ui)?,
        None => ui.ask_secret("Password:", "--password-file").await?,
    };
    let form = Login { email, password, ..Login::default() };
    // A session that cannot be kept could be ended by nobody.
    drop(place.store.lock().await?);
    let tokens = sign_in(&place, form.clone(), code, ui).await?;
    let kept = Kept::of(tokens, form.email, ui.redactor());
    end_session_before(&place, ui).await;
    let lock = place.store.lock().await?;
    let keeper = place.store.save(&kept).await?;
    drop(lock);
    forget_what_is_gone(&place, context, ui).await;
    let until = kept.session_until;
    let answer = Answer {
        environment: &place.environment,
        url: &url,
        email: &kept.email,
        session_until: until,
        keeper: &keeper,
    };
    let text = format!(
        "signed in to {} as {} until {}; kept in {keeper}",
        place.environment,
        kept.email,
        shown(until)
    );
    ui.data(&answer, text)?;
    Ok(Exit::Done)
}

/// A stack of this machine has other addresses whenever it chooses free ports: what was kept for one that is gone would
/// lie here for good.
async fn forget_what_is_gone(place: &Place, context: &Context, ui: &mut Ui) {
    let others = Store::all(context, &place.environment).unwrap_or_default();
    for other in others.into_iter().filter(|other| !other.is_same(&place.store)) {
        let gone = match other.address_here() {
            Some(address) => tokio::net::TcpStream::connect(address).await.is_err(),
            None => false,
        };
        if gone && matches!(other.forget_place().await, Ok(true)) {
            ui.status(format!("removed the tokens of {}, where nothing answers any more", other.url()));
        }
    }
}

/// Nobody could end it any more once its tokens are replaced here.
async fn end_session_before(place: &Place, ui: &mut Ui) {
    match place.store.load().await {
        Ok(Some(_)) => {}
        Ok(None) => return,
        // It is replaced: the sign-in is the way out of it.
        Err(error) => {
            let why = error.message;
            return ui.status(format!("the session before this one may live on at the service: {why}"));
        }
    }
    match place.with_kept(ui).users().logout().await {
        Ok(()) => {}
        Err(error) if error.is_unauthorised() => {}
        Err(error) => ui.status(format!("the session before this one may live on at the service: {error}")),
    }
}

/// The secret in `file`, or on stdin for `-`.
fn secret_in(file: &str, what: &str, context: &Context, ui: &Ui) -> Result<String, CommandError> {
    if file != "-" {
        return secret_of(&context.directory.join(file), &format!("{what} file"), ui);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).or_exit(Exit::Usage, "stdin cannot be read")?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(CommandError::usage(format!("stdin holds no {what}")));
    }
    ui.redactor().register(secret);
    Ok(secret.to_owned())
}

/// The proof of the second factor that the command line gives or names.
fn code_given(args: &LoginArgs, context: &Context, ui: &Ui) -> Result<Option<String>, CommandError> {
    match (&args.totp, args.recovery_code_file.as_deref()) {
        (Some(code), _) if !is_of_the_app(code.trim()) => Err(CommandError::usage(
            "--totp takes the six digits of the authenticator app",
        )
        .hint("leave it out to be asked for a recovery code, or name a file with one: --recovery-code-file")),
        (Some(code), _) => Ok(Some(code.clone())),
        (None, Some("-")) if args.password_file.as_deref() == Some("-") => {
            let error = CommandError::usage("stdin cannot hold both the password and the recovery code");
            Err(error.hint("put one of them into a file"))
        }
        (None, Some(file)) => secret_in(file, "recovery code", context, ui).map(Some),
        (None, None) => Ok(None),
    }
}

/// Signs in; asks for the second factor when the service wants one and none was given.
async fn sign_in(
    place: &Place,
    mut form: Login,
    code: Option<String>,
    ui: &Ui,
) -> Result<Tokens, CommandError> {
    let given = code.is_some();
    if let Some(code) = code {
        second_factor(&mut form, &code);
    }
    let users = place.client.users();
    let error = match users.login(&form).await {
        Ok(tokens) => return Ok(tokens),
        Err(error) => error,
    };
    if error.code() != Some(Code::SecondFactorRequired) || given {
        return Err(failure::of(&error, &place.environment));
    }
    let question = "Code of the authenticator app, or a recovery code:";
    second_factor(&mut form, &ui.ask_secret(question, "--totp or --recovery-code-file").await?);
    users.login(&form).await.map_err(|error| failure::of(&error, &place.environment))
}

/// Six digits are the app's; anything else is a recovery code.
fn second_factor(form: &mut Login, code: &str) {
    let code = code.trim().to_owned();
    if is_of_the_app(&code) {
        form.totp_code = Some(code);
    } else {
        form.recovery_code = Some(code);
    }
}

fn is_of_the_app(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())
}
