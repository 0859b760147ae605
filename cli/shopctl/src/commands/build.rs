//! `shopctl build`: the images of the services and of shopctl itself. Must not know how an image is made: shop-images does.
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::StreamExt as _;
use serde::Serialize;
use shop_images::{Build, Built, Doing, Error, Record, Workspace};

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::{Paint, Task, Ui, escape};

/// Where images, their records and the compilers' logs are kept, below the repository's root.
const FOLDER: &str = ".shop/images";

/// This program, which has an image too: for pipelines and for jobs in a cluster.
const SHOPCTL: &str = "shopctl";

/// Build the images of the services and of shopctl itself
///
/// Compiles each program so that it needs no file of the system, and puts it into an image of one layer; no Docker is
/// needed. An image is named by the digest of its manifest: the same sources give the same one on every machine, and what
/// did not change is not built. The tag is the last commit that changed what the image is made of, and tells when
/// something of that is not committed.
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    /// Services of shop.toml, or `shopctl`; all of them when none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How many images to build at once [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

pub(crate) async fn run(args: &BuildArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let builds = builds(args, context)?;
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(cores).get();
    ui.interrupt().listen().or_exit(Exit::Unexpected, "signals cannot be heard")?;
    let shown: &Ui = ui;
    // On this task, not on ones of their own: when the command is interrupted the compilers end with it.
    let mut ended: Vec<(usize, Result<Built, Error>)> = futures::stream::iter(builds.iter().enumerate())
        .map(|(index, build)| async move { (index, one(build, shown).await) })
        .buffer_unordered(jobs)
        .collect()
        .await;
    ended.sort_by_key(|(index, _)| *index);
    let (mut images, mut errors) = (Vec::new(), Vec::new());
    for (_, ended) in ended {
        match ended {
            Ok(built) => images.push(Row::of(built)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(failure(&errors));
    }
    let text = text(&images, ui.paint());
    ui.data(&Answer { images }, text)?;
    Ok(Exit::Done)
}

/// What is to be built, in the order of shop.toml.
fn builds(args: &BuildArgs, context: &Context) -> Result<Vec<Build>, CommandError> {
    let platform = context.platform()?;
    let services = platform.environments().flat_map(|environment| environment.services.values());
    let serve = || vec!["serve".to_owned()];
    let mut known = indexmap::IndexMap::new();
    for service in services {
        known.insert(service.name.to_string(), (service.package.value.to_string(), serve()));
    }
    known.entry(SHOPCTL.to_owned()).or_insert_with(|| (SHOPCTL.to_owned(), Vec::new()));
    if let Some(unknown) = args.services.iter().find(|service| !known.contains_key(*service)) {
        let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(CommandError::usage(format!("no service `{}` in shop.toml", escape::line(unknown)))
            .hint(format!("known: {names}")));
    }
    let root = context.root()?;
    let workspace = Arc::new(Workspace::at(root).map_err(|error| failure(&[error]))?);
    let wanted =
        known.into_iter().filter(|(name, _)| args.services.is_empty() || args.services.contains(name));
    let build = |(service, (package, arguments))| Build {
        workspace: Arc::clone(&workspace),
        service,
        package,
        arguments,
        folder: root.join(FOLDER),
        target: workspace.target(),
    };
    Ok(wanted.map(build).collect())
}

/// Builds one, with a row of its own on the screen.
async fn one(build: &Build, ui: &Ui) -> Result<Built, Error> {
    let row = ui.progress().task(&build.service, "looking for changes");
    let mut compiles = false;
    let built = build
        .run(|doing| match doing {
            Doing::Compiling(line) if ui.progress().is_live() => {
                row.update(format!("compiling  {}", escape::line(line.trim())));
            }
            Doing::Compiling(_) if compiles => {}
            Doing::Compiling(_) => {
                compiles = true;
                row.update("compiling");
            }
            Doing::Packing => row.update("packing"),
        })
        .await;
    end(row, &built);
    built
}

fn end(row: Task, built: &Result<Built, Error>) {
    match built {
        Ok(Built::New(record)) => row.done(format!("built {}", record.tag)),
        Ok(Built::Unchanged(record)) => row.done(format!("{} is there: nothing changed", record.tag)),
        Err(Error::Compile { .. }) => row.failed("does not compile"),
        Err(_) => row.failed("was not built"),
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    images: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    record: Record,
    /// False where the image of before is that of now.
    built: bool,
}

impl Row {
    fn of(built: Built) -> Self {
        match built {
            Built::New(record) => Self { record, built: true },
            Built::Unchanged(record) => Self { record, built: false },
        }
    }
}

/// A line for each image: what to call it, and what it takes.
fn text(images: &[Row], paint: Paint) -> String {
    let width = |of: fn(&Record) -> usize| images.iter().map(|row| of(&row.record)).max().unwrap_or_default();
    let (service, tag) = (width(|record| record.service.len()), width(|record| record.tag.len()));
    let line = |Row { record, .. }: &Row| {
        let name = paint.strong(format!("{:service$}", record.service));
        let size = format!("{:.1} MB", record.bytes as f64 / 1e6);
        format!("{name}  {:tag$}  {}  {size:>8}", record.tag, record.digest)
    };
    images.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One error for all that went wrong. That something does not compile says most.
fn failure(errors: &[Error]) -> CommandError {
    let exit = |error: &Error| match error {
        Error::Compile { .. } => Exit::BuildFailed,
        Error::Git { .. } | Error::Shallow | Error::Workspace { .. } => Exit::Usage,
        Error::Entry { .. } | Error::Damaged { .. } | Error::File { .. } => Exit::Unexpected,
    };
    let worst = errors.iter().map(exit).max_by_key(|exit| *exit == Exit::BuildFailed);
    let words = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    CommandError::new(worst.unwrap_or(Exit::Unexpected), escape::lines(&words))
}
