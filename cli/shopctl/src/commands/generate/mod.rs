//! `shopctl generate`: files that follow from shop.toml or from this program, written or compared.
//! Must not decide what is in a file: the emitters do.
mod compose;
mod docs;

use std::io::Write as _;
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;
use shop_templates::{EmitError, File};

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::{Paint, Ui};

/// Write the files that are generated, or check that they are up to date
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    command: GenerateCommand,
}

#[derive(Debug, Subcommand)]
enum GenerateCommand {
    Compose(compose::ComposeArgs),
    Docs(docs::DocsArgs),
}

pub(crate) async fn run(args: GenerateArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match args.command {
        GenerateCommand::Compose(args) => compose::run(&args, context, ui),
        GenerateCommand::Docs(args) => docs::run(&args, context, ui),
    }
}

/// How a generated file stands to the one on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Unchanged,
    Missing,
    Differs,
}

#[derive(Debug, Serialize)]
struct Outcome {
    path: String,
    state: State,
    /// The first line that differs, from 1.
    line: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether the differences were written away.
    written: bool,
    files: &'a [Outcome],
}

/// Compares the files below `root`, writes those that differ unless only a check was asked for, and reports.
/// A check that finds a difference ends with [`Exit::Difference`].
fn put(
    files: &[File],
    root: &Path,
    check: bool,
    regenerate: &str,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let mut outcomes = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        let outcome = compare(file, &path)?;
        if !check && outcome.state != State::Unchanged {
            write(&path, file.text.as_bytes())?;
        }
        outcomes.push(outcome);
    }
    let text: String = outcomes.iter().map(|outcome| line(outcome, check, ui.paint())).collect();
    ui.data(&Report { written: !check, files: &outcomes }, text)?;
    let stale = outcomes.iter().any(|outcome| outcome.state != State::Unchanged);
    if check && stale {
        ui.hint(format!("run `{regenerate}` and commit what it writes"));
        return Ok(Exit::Difference);
    }
    Ok(Exit::Done)
}

fn compare(file: &File, path: &Path) -> Result<Outcome, CommandError> {
    let found = match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("{} cannot be read", path.display());
            return Err(CommandError::usage(message).source(error));
        }
    };
    let line = found.as_deref().and_then(|found| first_difference(found, file.text.as_bytes()));
    let state = match (&found, line) {
        (None, _) => State::Missing,
        (Some(_), None) => State::Unchanged,
        (Some(_), Some(_)) => State::Differs,
    };
    Ok(Outcome { path: file.path.clone(), state, line })
}

fn first_difference(found: &[u8], expected: &[u8]) -> Option<usize> {
    if found == expected {
        return None;
    }
    let mut pairs = found.split(|byte| *byte == b'\n').zip(expected.split(|byte| *byte == b'\n'));
    let same = pairs.by_ref().take_while(|(found, expected)| found == expected).count();
    Some(same + 1)
}

fn line(outcome: &Outcome, check: bool, paint: Paint) -> String {
    let path = &outcome.path;
    match (outcome.state, outcome.line) {
        (State::Unchanged, _) => format!("{} {path} is up to date\n", paint.good("✓")),
        (_, _) if !check => format!("{} {path} written\n", paint.good("✓")),
        (State::Missing, _) => format!("{} {path} is missing\n", paint.bad("✗")),
        (_, line) => format!("{} {path} differs from line {} on\n", paint.bad("✗"), line.unwrap_or(1)),
    }
}

/// Writes beside and renames: a reader sees the old file or the new one, never a part.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let message = || format!("{} cannot be written", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).or_exit(Exit::Unexpected, message())?;
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .or_exit(Exit::Unexpected, message())?;
    file.write_all(bytes).or_exit(Exit::Unexpected, message())?;
    file.persist(path).or_exit(Exit::Unexpected, message())?;
    Ok(())
}

impl From<EmitError> for CommandError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Refused { .. } => Self::usage(error.to_string()),
            EmitError::Template { .. } | EmitError::ReadBack { .. } => {
                Self::new(Exit::Unexpected, "a file could not be generated").source(error)
            }
        }
    }
}
