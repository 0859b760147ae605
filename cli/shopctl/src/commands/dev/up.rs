//! `shopctl dev up`: starts the stack and stays with it, or leaves that to a process in the background.
use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use shop_devstack::events::Events;
use shop_devstack::{Extra, Patience, Ports, ServiceSpec, UpOptions};

use super::background;
use super::server::ServerArgs;
use super::signals::Signals;
use super::view::View;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Build and start every service of shop.toml, and what they need
///
/// Finds or starts PostgreSQL, builds the services, makes and migrates their databases, seeds them once, starts them in
/// the order of their dependencies and restarts what crashes. Ctrl-C ends all of it; the data stays until
/// `shopctl dev reset`.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Return when all is ready, and leave the supervisor in the background (`shopctl dev down` ends it)
    #[arg(short, long)]
    detach: bool,
    /// Rebuild and restart a service when its files change
    #[arg(short, long)]
    watch: bool,
    /// How many of a service to run, each on ports of its own
    #[arg(long, value_name = "SERVICE=N", value_parser = replicas)]
    replicas: Vec<(String, u32)>,
    /// Ports of shop.toml for the first of each service, or free ones for all
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", env = "SHOP_DEV_PORTS")]
    ports: PortsArg,
    /// Also start Redis, Elasticsearch, RabbitMQ, Prometheus (with Grafana through Docker)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    with: Vec<Part>,
    /// The folder of an unpacked Elasticsearch, for --with search
    #[arg(long, value_name = "DIR")]
    elasticsearch_home: Option<PathBuf>,
    /// Build with optimisation
    #[arg(long)]
    release: bool,
    /// Leave a fresh database empty
    #[arg(long)]
    no_seed: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum PortsArg {
    #[default]
    Fixed,
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Redis
    Cache,
    /// Elasticsearch
    Search,
    /// RabbitMQ
    Queue,
    /// Prometheus, and Grafana through Docker
    Monitoring,
}

fn replicas(text: &str) -> Result<(String, u32), String> {
    let (service, count) = text.split_once('=').ok_or("it looks like user-management=2")?;
    match count.parse() {
        Ok(count @ 1..=50) => Ok((service.to_owned(), count)),
        _ => Err("the number is from 1 to 50".to_owned()),
    }
}

pub(crate) async fn run(args: &UpArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let platform = context.environment("dev")?;
    let in_background = background::is_here(context);
    let options = UpOptions {
        services: ServiceSpec::of(&platform),
        server: args.server.spec(context, ui)?,
        replicas: replicas_of(args)?,
        ports: if args.ports == PortsArg::Auto { Ports::Auto } else { Ports::Fixed },
        with: args.with.iter().map(|part| part.extra()).collect(),
        elasticsearch_home: args.elasticsearch_home.as_ref().map(|home| context.directory.join(home)),
        release: args.release,
        target_dir: None,
        watch: args.watch,
        seed: !args.no_seed,
        patience: Patience::default(),
        colors: ui.status_paint().is_on() && !ui.is_json(),
        command: command_line(),
    };
    if args.detach && !in_background {
        return background::start(&stack, args.server.typed(&options.server), ui).await;
    }
    let signals = Signals::listen(in_background)?;
    let engine = {
        let (stack, stop) = (stack.clone(), signals.stop.clone());
        |events: Events| async move { shop_devstack::up(&stack, &options, &events, &stop).await }
    };
    if in_background {
        let mut log = background::Log::create(&stack, ui.clone())?;
        let write = |event: Option<_>| event.map_or(Ok(()), |event| log.write(event));
        let ended = super::watch(engine, &signals.stop, write).await?;
        return Ok(exit(signals.outcome(ended).inspect_err(|error| log.fail(error))?));
    }
    let mut view = View::new(ui.clone());
    let ended = super::watch(engine, &signals.stop, |event| view.show(event)).await?;
    drop(view);
    let exit = exit(signals.outcome(ended)?);
    ui.status(format!("{} is down; its data stays", stack.name()));
    Ok(exit)
}

fn replicas_of(args: &UpArgs) -> Result<BTreeMap<String, u32>, CommandError> {
    let mut all = BTreeMap::new();
    for (service, count) in &args.replicas {
        if all.insert(service.clone(), *count).is_some() {
            return Err(CommandError::usage(format!("--replicas says twice how many of {service} to run")));
        }
    }
    Ok(all)
}

fn exit(ended: Result<(), Exit>) -> Exit {
    ended.err().unwrap_or(Exit::Done)
}

/// How this was called, for whoever finds the stack in use.
fn command_line() -> String {
    let words = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    format!("shopctl {words}")
}

impl Part {
    fn extra(self) -> Extra {
        match self {
            Self::Cache => Extra::Cache,
            Self::Search => Extra::Search,
            Self::Queue => Extra::Queue,
            Self::Monitoring => Extra::Monitoring,
        }
    }
}
