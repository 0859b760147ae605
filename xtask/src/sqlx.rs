//! `cargo xtask sqlx prepare`: the metadata that lets the SQL of a service be checked without a database.
//! Must not need sqlx's own tool: its macros write the files when they are told where.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::repo::{Repo, read, run};
use crate::ui;

#[derive(clap::Args)]
pub(crate) struct SqlxArgs {
    #[command(subcommand)]
    command: SqlxCommand,
}

#[derive(clap::Subcommand)]
enum SqlxCommand {
    /// Write services/<service>/.sqlx anew from a freshly migrated database
    Prepare {
        /// Compare only, and fail where a file differs
        #[arg(long)]
        check: bool,
    },
}

pub(crate) fn main(args: &SqlxArgs, repo: &Repo) -> Result<ExitCode> {
    let SqlxCommand::Prepare { check } = args.command;
    prepare(repo, check)?;
    Ok(ExitCode::SUCCESS)
}

/// Brings the metadata of every service up to date, or with `check` fails where it is not.
pub(crate) fn prepare(repo: &Repo, check: bool) -> Result<()> {
    for service in repo.services()? {
        let fresh = tempfile::tempdir().context("no folder for the fresh metadata")?;
        describe(repo, &service, fresh.path())?;
        let kept = repo.root.join("services").join(&service).join(".sqlx");
        let (old, new) = (files(&kept)?, files(fresh.path())?);
        ensure!(!new.is_empty(), "no query of {service} was described: is sqlx older than 0.8?");
        if old == new {
            ui::line(format_args!("{service}: {} queries, metadata is current", new.len()));
            continue;
        }
        let changed = new.iter().filter(|(name, text)| old.get(*name) != Some(text)).count();
        let gone = old.keys().filter(|name| !new.contains_key(*name)).count();
        ensure!(
            !check,
            "{service}: {changed} queries are new or changed and {gone} are gone; run `cargo xtask sqlx prepare` and commit services/{service}/.sqlx"
        );
        replace(&kept, &new)?;
        ui::line(format_args!("{service}: {changed} queries written, {gone} removed"));
    }
    Ok(())
}

/// Compiles the queries of a service against a database with its schema, and lets the macros write what they learnt.
fn describe(repo: &Repo, service: &str, into: &Path) -> Result<()> {
    let folder = repo.root.join("services").join(service);
    let scratch = read(
        repo.cargo(&["run", "--quiet", "--package", "shop-testbed", "--", "scratch"])
            .arg("--migrations")
            .arg(repo.root.join("services/kit/migrations"))
            .arg("--migrations")
            .arg(folder.join("migrations")),
    )?;
    let scratch: serde_json::Value =
        serde_json::from_str(&scratch).context("the testbed's answer is not JSON")?;
    let text =
        |key: &str| scratch[key].as_str().map(str::to_owned).with_context(|| format!("no `{key}` in it"));
    let (database, url) = (text("database")?, text("url")?);
    // The macros run only when the crate is compiled: a new time makes cargo compile it.
    std::fs::File::options()
        .append(true)
        .open(folder.join("src/lib.rs"))?
        .set_modified(std::time::SystemTime::now())?;
    // It compiles for minutes, and a gate that says nothing for so long looks hung: cargo shows how far it is.
    let checked = run(repo
        .cargo(&["check", "--package", service, "--all-targets"])
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", into));
    run(&mut repo.cargo(&["run", "--quiet", "--package", "shop-testbed", "--", "drop", &database]))?;
    checked
}

fn files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") && name.ends_with(".json") {
            found.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

fn replace(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
