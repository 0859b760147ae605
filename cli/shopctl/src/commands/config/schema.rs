//! `shopctl config schema`: the JSON Schema of shop.toml.
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Print the JSON Schema of shop.toml, for editors
///
/// It is committed as docs/generated/shop.schema.json, and shop.toml's first line points to it.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {}

pub(crate) fn run(_args: &SchemaArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    ui.raw(&shop_platform::json_schema())?;
    Ok(Exit::Done)
}
