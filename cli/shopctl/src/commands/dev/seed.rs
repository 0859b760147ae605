//! `shopctl dev seed`: first data for a stack that is up.
use serde::Serialize;
use shop_devstack::Stop;
use shop_devstack::events::Events;

use super::failure;
use super::view::View;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Put first data into the databases of a stack that is up
///
/// `up` has done so once already for a fresh database. Refuses a database that dev did not make.
#[derive(Debug, clap::Args)]
pub(crate) struct SeedArgs {}

#[derive(Serialize)]
struct Answer {
    services: Vec<String>,
}

pub(crate) async fn run(_args: &SeedArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let mut view = View::quiet(ui.clone());
    let engine = |events: Events| async move { shop_devstack::seed(&stack, &events).await };
    let services =
        super::watch(engine, &Stop::default(), |event| view.show(event)).await?.map_err(failure::of)?;
    let text = match services.as_slice() {
        [] => "no service has a database to seed".to_owned(),
        names => format!("seeded {}", names.join(", ")),
    };
    ui.data(&Answer { services }, text)?;
    Ok(Exit::Done)
}
