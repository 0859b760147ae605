//! `shopctl dev logs`: what the services and their parts have written.
use std::collections::BTreeSet;

use shop_devstack::{LogLine, Logs};
use tokio::sync::mpsc::unbounded_channel;

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

/// Show the logs of all services and parts, or of one
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// A service (all its replicas), a replica such as user-management-2, or a part such as postgres
    service: Option<String>,
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines of each log to begin with
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    tail: usize,
}

pub(crate) async fn run(args: &LogsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let unreadable = "the logs cannot be read";
    let logs = Logs::of(&stack, args.service.as_deref()).or_exit(Exit::Unexpected, unreadable)?;
    if logs.sources().is_empty() {
        let trouble = nothing(&stack, args.service.as_deref());
        // What was not started yet may be: its first lines are worth waiting for. A wrong name is not.
        if !args.follow || trouble.kind == Exit::Usage {
            return Err(trouble);
        }
        ui.status("there are no logs yet: waiting for `shopctl dev up`");
    }
    let mut shown = Shown::default();
    logs.sources().into_iter().for_each(|source| shown.note(source));
    for line in logs.tail(args.tail).or_exit(Exit::Unexpected, unreadable)? {
        shown.show(&line, ui)?;
    }
    if !args.follow {
        return Ok(Exit::Done);
    }
    let (sender, mut receiver) = unbounded_channel();
    let reading = tokio::spawn(logs.follow(sender));
    let outcome = loop {
        tokio::select! {
            line = receiver.recv() => match line {
                Some(line) => shown.show(&line, ui)?,
                None => break reading.await,
            },
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    };
    outcome.map_err(anyhow::Error::from)?.or_exit(Exit::Unexpected, unreadable)?;
    Ok(Exit::Done)
}

/// The sources so far: what is of several is shown with its source before it.
#[derive(Debug, Default)]
struct Shown {
    sources: BTreeSet<String>,
    width: usize,
}

impl Shown {
    fn note(&mut self, source: &str) {
        if !self.sources.contains(source) {
            self.sources.insert(source.to_owned());
            self.width = self.width.max(source.len());
        }
    }

    fn show(&mut self, line: &LogLine, ui: &mut Ui) -> Result<(), CommandError> {
        self.note(&line.source);
        let width = self.width;
        let text = match self.sources.len() {
            1 => line.line.clone(),
            _ => format!("{} {}", ui.paint().faint(format!("{:width$} │", line.source)), line.line),
        };
        ui.stream(line, text)
    }
}

fn nothing(stack: &shop_devstack::Stack, asked: Option<&str>) -> CommandError {
    let all = Logs::of(stack, None);
    let known = all.as_ref().map(|all| all.sources().join(", ")).unwrap_or_default();
    match asked {
        Some(asked) if !known.is_empty() => {
            CommandError::usage(format!("no log of {asked}")).hint(format!("there are {known}"))
        }
        _ => {
            CommandError::new(Exit::Unreachable, "there are no logs yet").hint("start with `shopctl dev up`")
        }
    }
}
