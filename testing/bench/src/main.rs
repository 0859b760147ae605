//! Measures the services beside their limits and the peers: starts them, lets them take turns under load, and says
//! what the numbers prove. It changes no product code and holds no rule of the product.

mod args;
mod case;
mod generator;
mod install;
mod limit;
mod machine;
mod ours;
mod peers;
mod pin;
mod report;
mod result;
mod run;
mod sample;
mod server;
mod stats;
mod ui;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Inner};
use crate::ui::Ui;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ui = Ui { quiet: args.quiet };
    let outcome = match args.inner {
        Some(Inner::Limit(limit)) => limit::run(limit).await.map(|()| run::End::Done),
        None => run::run(args, ui).await,
    };
    match outcome {
        Ok(end) => end.into(),
        Err(error) => {
            ui.fails(&error);
            ExitCode::FAILURE
        }
    }
}
