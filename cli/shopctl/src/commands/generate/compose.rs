//! `shopctl generate compose`: compose.yaml for those who prefer containers to `shopctl dev up`.
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use shop_platform::Resolved;
use shop_templates::{File, compose};

use super::{put, write};
use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

/// Write compose.yaml: what `shopctl dev up` starts, as containers
///
/// The secrets that it names are made under .shop/compose where they are missing; git ignores that folder.
/// With --check nothing is written, and a difference ends with 10.
#[derive(Debug, clap::Args)]
pub(crate) struct ComposeArgs {
    /// The environment; one without a cluster
    #[arg(short, long, value_name = "NAME", default_value = "dev")]
    env: String,
    /// Only say whether the file is up to date
    #[arg(long)]
    check: bool,
    /// Write here instead of compose.yaml at the root; - prints it. Makes no secret: its paths are those of the root
    #[arg(long, value_name = "PATH", conflicts_with = "check")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &ComposeArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let root = context.root()?;
    let resolved = context.environment(&args.env)?;
    let file = compose::emit(&resolved)?;
    match &args.out {
        Some(path) if path.as_os_str() == "-" => {
            ui.raw(&file.text)?;
            Ok(Exit::Done)
        }
        Some(path) => {
            let path = context.directory.join(path);
            require_folder(&path)?;
            write(&path, file.text.as_bytes())?;
            let (path, root) = (path.display(), root.display());
            ui.status(format!("{path} written; its paths are those of {root}"));
            let usage = format!("docker compose --project-directory '{root}' --file '{path}' up");
            match missing_secrets(&resolved, context.root()?)? {
                0 => ui.hint(format!("use it with `{usage}`")),
                count => ui.hint(format!(
                    "{count} secrets that it names are not there yet: `shopctl generate compose` makes them below \
                     {root}; then use it with `{usage}`"
                )),
            }
            Ok(Exit::Done)
        }
        None => {
            if !args.check {
                make_secrets(&resolved, root, ui)?;
            }
            let path = file.path.clone();
            put(&[File { path, ..file }], root, args.check, "shopctl generate compose", ui)
        }
    }
}

/// A folder that is not there is more likely a slip than a wish.
fn require_folder(file: &Path) -> Result<(), CommandError> {
    match file.parent() {
        Some(folder) if !folder.is_dir() => {
            let message = format!("no folder at {}", folder.display());
            Err(CommandError::usage(message).hint("make it first, or give --out another place"))
        }
        _ => Ok(()),
    }
}

/// How many of the secrets that the file names are not made yet.
fn missing_secrets(resolved: &Resolved, root: &Path) -> Result<usize, CommandError> {
    let mut missing = 0;
    for name in compose::secret_files(resolved) {
        let path = root.join(&name);
        let there = path.try_exists();
        let there = there.or_exit(Exit::Unexpected, format!("{} cannot be looked at", path.display()))?;
        missing += usize::from(!there);
    }
    Ok(missing)
}

/// Makes what is missing, and never touches what is there: a database may already know it.
fn make_secrets(resolved: &Resolved, root: &Path, ui: &Ui) -> Result<(), CommandError> {
    for name in compose::secret_files(resolved) {
        let path = root.join(&name);
        let message = format!("the secret {} cannot be made", path.display());
        if path.try_exists().or_exit(Exit::Unexpected, &message)? {
            continue;
        }
        make_secret(&path).or_exit(Exit::Unexpected, &message)?;
        ui.status(format!("{name} made"));
    }
    Ok(())
}

/// 32 random bytes in base64, readable by their owner alone.
fn make_secret(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(BASE64_STANDARD.encode(random).as_bytes())
}
