//! `shopctl dev mail`: the mails that the services have sent, none of which left this machine.
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use shop_devstack::mail_folder;
use shop_devstack::mailbox::{Mail, Mailbox};
use time::macros::format_description;

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

const LOOK: Duration = Duration::from_millis(200);

/// Read the mails that the services have sent
///
/// In dev every mail lands in a local mailbox and none is delivered.
#[derive(Debug, clap::Args)]
pub(crate) struct MailArgs {
    #[command(subcommand)]
    command: Option<MailCommand>,
    /// Go on with mails that arrive from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Subcommand)]
enum MailCommand {
    /// List the mails, the oldest first (the default)
    List,
    /// Show one mail as text
    Show {
        /// Its number in the list; the newest if absent
        number: Option<usize>,
    },
}

#[derive(Serialize)]
struct Listed<'a> {
    mails: &'a [Mail],
}

pub(crate) async fn run(args: &MailArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let folder = mail_folder(&super::stack(context)?);
    let read = || match Mailbox::read(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.or_exit(Exit::Unexpected, "the mailbox cannot be read"),
    };
    match &args.command {
        Some(MailCommand::Show { number }) => show(&read()?, *number, ui)?,
        _ if args.follow => return follow(read, ui).await,
        _ => list(&read()?, ui)?,
    }
    Ok(Exit::Done)
}

/// What is there as a list, then each new one whole.
async fn follow(
    read: impl Fn() -> Result<Vec<Mail>, CommandError>,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let mut mails = read()?;
    for (index, mail) in mails.iter().enumerate() {
        ui.stream(mail, row(index, mail))?;
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
        let seen = mails.last().map(|mail| mail.id);
        mails = read()?;
        for (index, mail) in mails.iter().enumerate().filter(|(_, mail)| Some(mail.id) > seen) {
            ui.stream(mail, format!("{}\n\n{}\n", row(index, mail), mail.text.trim_end()))?;
        }
    }
}

fn list(mails: &[Mail], ui: &mut Ui) -> Result<(), CommandError> {
    let rows: Vec<String> = mails.iter().enumerate().map(|(index, mail)| row(index, mail)).collect();
    let text = if rows.is_empty() { "no mail yet".to_owned() } else { rows.join("\n") };
    ui.data(&Listed { mails }, text)?;
    if !rows.is_empty() && !ui.is_json() {
        ui.hint("`shopctl dev mail show` shows the newest, `show N` another one");
    }
    Ok(())
}

fn show(mails: &[Mail], number: Option<usize>, ui: &mut Ui) -> Result<(), CommandError> {
    let number = number.unwrap_or(mails.len());
    let Some(mail) = number.checked_sub(1).and_then(|index| mails.get(index)) else {
        let text = if mails.is_empty() { "no mail yet".to_owned() } else { format!("no mail {number}") };
        return Err(CommandError::usage(text).hint("`shopctl dev mail` lists what there is"));
    };
    let head = format!("from:    {}\nto:      {}\nsubject: {}", mail.from, mail.to.join(", "), mail.subject);
    ui.data(mail, format!("{head}\nat:      {}\n\n{}", at(mail), mail.text.trim_end()))
}

fn row(index: usize, mail: &Mail) -> String {
    format!("{:>4}  {}  {}  {}", index + 1, at(mail), mail.to.join(", "), mail.subject)
}

fn at(mail: &Mail) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    mail.received_at.format(&format).unwrap_or_default()
}
