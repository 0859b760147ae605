//! `shop-testbed`: the parts of the testbed from the command line. Holds no part itself.

mod args;
mod ui;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use shop_testbed::{Bed, Error, PARTS, Part, Running, down, find, up};

use crate::args::{Args, Command, Output, Scratch};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let mut bed = Bed::from_env()?;
    bed.tell = ui::progress;
    bed.program = Some(std::env::current_exe().context("where this program is")?);
    match args.command {
        Command::Up { parts, install, output } => {
            bed.install |= install;
            let mut running = Vec::new();
            for part in chosen(&parts)? {
                running.push(start(part, &mut bed).await?);
            }
            show(&running.into_iter().map(ui::Row::up).collect::<Vec<_>>(), output)
        }
        Command::Install { parts } => {
            bed.install = true;
            for part in chosen(&parts)? {
                part.bring(&bed).await?;
            }
            Ok(())
        }
        Command::Down { parts } => {
            for part in chosen(&parts)?.into_iter().rev() {
                ui::stopped(part.name(), down(part, &bed).await?);
            }
            Ok(shop_testbed::sweep(&bed).await?)
        }
        Command::Status { parts, output } => {
            let mut rows = Vec::new();
            for part in chosen(&parts)? {
                rows.push(part.find(&bed).await?.map_or_else(|| ui::Row::down(part.name()), ui::Row::up));
            }
            show(&rows, output)
        }
        Command::Scratch(wanted) => scratch(wanted).await,
        Command::Drop { database } => Ok(shop_testbed::postgres().await?.drop(&database).await?),
        Command::RunSmtp { dir } => Ok(shop_testbed::parts::run_smtp(&dir).await?),
    }
}

/// The parts named, or all.
fn chosen(names: &[String]) -> Result<Vec<&'static dyn Part>> {
    if names.is_empty() {
        return Ok(PARTS.to_vec());
    }
    Ok(names.iter().map(|name| find(name)).collect::<shop_testbed::Result<_>>()?)
}

/// Starts a part; where its program is absent and somebody sits at the terminal, asks whether to install it.
async fn start(part: &dyn Part, bed: &mut Bed) -> Result<Running> {
    match up(part, bed).await {
        Err(Error::Absent { how, .. })
            if ui::confirm(&format!("{} is absent; bring it ({how})?", part.name())) =>
        {
            bed.install = true;
            Ok(up(part, bed).await?)
        }
        other => Ok(other?),
    }
}

async fn scratch(wanted: Scratch) -> Result<()> {
    let server = shop_testbed::postgres().await?;
    let database = server.create("scratch").await?;
    let folders: Vec<_> = wanted.migrations.iter().map(AsRef::as_ref).collect();
    if let Err(error) = server.apply(&database, &folders).await {
        server.drop(&database).await?;
        return Err(error.into());
    }
    ui::json(&serde_json::json!({ "database": database, "url": server.url(&database) }))
}

fn show(rows: &[ui::Row], output: Output) -> Result<()> {
    match output {
        Output::Json => ui::json(rows),
        Output::Table => {
            ui::table(rows);
            Ok(())
        }
    }
}
