//! `shopctl dev mail`: the mails that the services have sent, none of which left this machine.
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde::Serialize;
use shop_devstack::mail_folder;
use shop_devstack::mailbox::{Mail, Mailbox};
use time::macros::format_description;

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::{Ui, escape};

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
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Its number in the list; the newest if absent
    number: Option<usize>,
    /// The newest to this address
    #[arg(long, value_name = "EMAIL", conflicts_with = "number")]
    to: Option<String>,
    /// The newest with these words in its subject, whatever their case
    #[arg(long, value_name = "WORDS", conflicts_with = "number")]
    subject: Option<String>,
    /// Wait at most so many seconds for it
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

#[derive(Serialize)]
struct Listed<'a> {
    mails: &'a [Mail],
}

pub(crate) async fn run(args: &MailArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let folder = mail_folder(&super::stack(context)?);
    let read = || match Mailbox::read(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(CommandError::new(Exit::Unreachable, error.to_string())
                .hint("delete that file; the other mails stay"))
        }
        read => read.or_exit(Exit::Unexpected, "the mailbox cannot be read"),
    };
    match &args.command {
        Some(MailCommand::Show(args)) => show(args, read, ui).await?,
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
            ui.stream(mail, format!("{}\n\n{}\n", row(index, mail), body(mail)))?;
        }
    }
}

fn list(mails: &[Mail], ui: &mut Ui) -> Result<(), CommandError> {
    let rows: Vec<String> = mails.iter().enumerate().map(|(index, mail)| row(index, mail)).collect();
    let text = if rows.is_empty() { "no mail yet".to_owned() } else { rows.join("\n") };
    ui.data(&Listed { mails }, text)?;
    if !rows.is_empty() && !ui.is_json() {
        ui.hint("`shopctl dev mail show` shows the newest, `show N` another one, `show --to … --wait 10` one that is on its way");
    }
    Ok(())
}

async fn show(
    args: &ShowArgs,
    read: impl Fn() -> Result<Vec<Mail>, CommandError>,
    ui: &mut Ui,
) -> Result<(), CommandError> {
    let end = Instant::now() + Duration::from_secs(args.wait);
    let mails = loop {
        let mails = read()?;
        if args.pick(&mails).is_some() || Instant::now() >= end {
            break mails;
        }
        tokio::time::sleep(LOOK).await;
    };
    let Some(mail) = args.pick(&mails) else {
        return Err(args.missing(mails.is_empty()).hint("`shopctl dev mail` lists what there is"));
    };
    ui.data(mail, whole(mail))
}

/// As text, in which nothing of what a stranger may have written is left for the terminal to obey.
fn whole(mail: &Mail) -> String {
    let head = [("from:   ", &mail.from), ("to:     ", &mail.to.join(", ")), ("subject:", &mail.subject)];
    let head = head.map(|(name, text)| format!("{name} {}\n", escape::line(text))).concat();
    format!("{head}at:      {}\n\n{}", at(mail), body(mail))
}

impl ShowArgs {
    fn pick<'a>(&self, mails: &'a [Mail]) -> Option<&'a Mail> {
        if let Some(number) = self.number {
            return number.checked_sub(1).and_then(|index| mails.get(index));
        }
        let words = self.subject.as_ref().map(|words| words.to_lowercase());
        mails.iter().rev().find(|mail| {
            let reader = |wanted: &String| mail.to.iter().any(|one| one.eq_ignore_ascii_case(wanted));
            let about = |words: &String| mail.subject.to_lowercase().contains(words);
            self.to.as_ref().is_none_or(reader) && words.as_ref().is_none_or(about)
        })
    }

    fn missing(&self, is_empty: bool) -> CommandError {
        let mut text = match self.number {
            _ if is_empty => "no mail yet".to_owned(),
            Some(number) => format!("no mail {number}"),
            None => "no such mail".to_owned(),
        };
        if let Some(to) = &self.to {
            text.push_str(&format!(" to {to}"));
        }
        if let Some(words) = &self.subject {
            text.push_str(&format!(" with {words:?} in its subject"));
        }
        match self.wait {
            0 => CommandError::usage(text),
            wait => CommandError::new(Exit::DeadlinePassed, format!("{text} within {wait} s")),
        }
    }
}

fn row(index: usize, mail: &Mail) -> String {
    let [to, subject] = [&mail.to.join(", "), &mail.subject].map(|text| escape::line(text));
    format!("{:>4}  {}  {to}  {subject}", index + 1, at(mail))
}

fn body(mail: &Mail) -> String {
    escape::lines(mail.text.trim_end())
}

fn at(mail: &Mail) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    mail.received_at.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        show: ShowArgs,
    }

    fn mail(to: &str, subject: &str) -> Mail {
        let received = time::OffsetDateTime::UNIX_EPOCH;
        serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-0000-0000-000000000000",
            "received_at": received.format(&time::format_description::well_known::Rfc3339).unwrap(),
            "from": "shop@localhost", "to": [to], "subject": subject, "text": "", "html": null, "raw": "",
        }))
        .unwrap()
    }

    #[test]
    fn a_mail_gives_the_terminal_no_orders() {
        let mut mail = mail("ada\u{1b}[1m@shop.test", "\u{1b}]0;title\u{7}Hello");
        mail.from = "eve\u{9b}2J@shop.test".into();
        mail.text = "Dear\tAda,\r\n\u{1b}[2Jbye\r\n".into();
        for shown in [row(0, &mail), whole(&mail)] {
            assert!(!shown.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "{shown:?}");
            assert!(shown.contains("\\u{1b}]0;title\\u{7}Hello"), "{shown}");
        }
        assert!(whole(&mail).ends_with("\n\nDear\tAda,\n\\u{1b}[2Jbye"), "{}", whole(&mail));
    }

    #[test]
    fn the_newest_that_was_asked_for_is_shown() {
        let mails = [
            mail("ada@shop.test", "Verify your address"),
            mail("ada@shop.test", "Set a new password"),
            mail("bob@shop.test", "Verify your address"),
        ];
        let picked = |arguments: &str| {
            let cli = Cli::parse_from(format!("show {arguments}").split_whitespace());
            let found = cli.show.pick(&mails)?;
            mails.iter().position(|mail| std::ptr::eq(mail, found))
        };
        assert_eq!(picked(""), Some(2));
        assert_eq!(picked("1"), Some(0));
        assert_eq!((picked("0"), picked("4")), (None, None));
        assert_eq!(picked("--to ADA@shop.test"), Some(1));
        assert_eq!(picked("--to ada@shop.test --subject verify"), Some(0));
        assert_eq!(picked("--to eve@shop.test"), None);
    }
}
