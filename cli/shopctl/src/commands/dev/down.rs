//! `shopctl dev down`: ends the stack from anywhere.
use serde::Serialize;
use shop_devstack::Down;

use super::failure;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// End everything of the stack; the data stays
///
/// Also ends what a supervisor left behind that was killed. Ends with 0 when nothing ran.
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {}

#[derive(Serialize)]
struct Answer {
    stopped: bool,
    orphans: usize,
}

pub(crate) async fn run(_args: &DownArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let task = ui.progress().task("down", format!("ending {}", stack.name()));
    let down = shop_devstack::down(&stack).await.map_err(failure::of)?;
    drop(task);
    let (text, answer) = match down {
        Down::Nothing => {
            (format!("nothing of {} was running", stack.name()), Answer { stopped: false, orphans: 0 })
        }
        Down::Stopped => {
            (format!("{} is down; its data stays", stack.name()), Answer { stopped: true, orphans: 0 })
        }
        Down::Orphans(orphans) => (
            format!("ended {orphans} processes that a killed supervisor of {} had left behind", stack.name()),
            Answer { stopped: true, orphans },
        ),
    };
    ui.data(&answer, text)?;
    Ok(Exit::Done)
}
