//! `shopctl dev reset`: takes the data of the stack away.
use serde::Serialize;
use shop_devstack::events::Events;

use super::failure;
use super::server::ServerArgs;
use super::signals::Signals;
use super::view::View;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Drop the stack's databases, mails, logs, keys and passwords
///
/// Only databases and roles that carry dev's marker for this very stack are dropped; others on the same server stay, and
/// so do a server in the stack's folder and the password of that server. What `shopctl auth` keeps stays as well: it
/// opens nothing any more, and the next sign-in takes it away.
#[derive(Debug, clap::Args)]
pub(crate) struct ResetArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// A database server in the folder keeps its own password, which its data needs.
const GONE: &str = "its mails, logs and keys are gone, and the passwords of its services";

#[derive(Serialize)]
struct Answer {
    databases: Vec<String>,
}

pub(crate) async fn run(args: &ResetArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let spec = args.server.spec(context, ui)?;
    // Before the question: the engine would refuse a yes.
    stack.refuse_held().map_err(failure::of)?;
    let question = format!("drop the databases, mails and logs of {}?", stack.name());
    if !args.yes && !ui.confirm(&question, "--yes")? {
        ui.status("nothing was dropped");
        return Ok(Exit::Done);
    }
    let mut view = View::quiet(ui.clone());
    let signals = Signals::listen(false)?;
    let stop = signals.stop.clone();
    let engine = |events: Events| async move { shop_devstack::reset(&stack, &spec, &events, &stop).await };
    let ended = super::watch(engine, &signals.stop, |event| view.show(event)).await?;
    let databases = match signals.outcome(ended)? {
        Ok(databases) => databases,
        Err(exit) => {
            ui.status("interrupted: what was dropped until then is gone; run it again for the rest");
            return Ok(exit);
        }
    };
    let text = match databases.as_slice() {
        [] => format!("there was no database of this stack; {GONE}"),
        names => format!("dropped {}; {GONE}", names.join(", ")),
    };
    ui.data(&Answer { databases }, text)?;
    Ok(Exit::Done)
}
