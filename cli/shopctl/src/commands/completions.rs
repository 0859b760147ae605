//! `shopctl completions <shell>`: the script that a shell loads to complete our commands.
use clap_complete::Shell;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Print the completion script of a shell
///
/// For example: shopctl completions bash > ~/.local/share/bash-completion/completions/shopctl
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "shopctl", &mut script);
    ui.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
