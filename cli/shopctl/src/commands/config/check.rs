//! `shopctl config check`: every mistake of shop.toml at once.
use serde::Serialize;
use shop_platform::{LAWS, Resolved};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Report every mistake of shop.toml
///
/// Ends with 0 if there is none and with 2 otherwise. The laws are listed in docs/generated/shop-toml-laws.md.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Also require that this environment exists
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,
}

pub(crate) fn run(args: &CheckArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let platform = context.platform()?;
    let checked: Vec<&Resolved> = match &args.env {
        Some(name) => vec![platform.resolve(name)?],
        None => platform.environments().collect(),
    };
    let file = context.platform_file()?.display().to_string();
    let environments: Vec<String> = checked.iter().map(|one| one.environment.to_string()).collect();
    let services: Vec<String> =
        checked.iter().take(1).flat_map(|one| one.services.keys()).map(ToString::to_string).collect();
    let text = format!(
        "{} {file} has no mistake: {} with {}, {} laws kept",
        ui.paint().good("✓"),
        environments.join(", "),
        services.join(", "),
        LAWS.len()
    );
    ui.data(&Checked { ok: true, file, environments, services, laws: LAWS.len() }, text)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Checked {
    ok: bool,
    file: String,
    environments: Vec<String>,
    services: Vec<String>,
    laws: usize,
}
