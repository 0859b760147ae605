//! `cargo xtask sqlx prepare`: the metadata that lets the SQL of a service be checked without a database.
//! Must not need sqlx's own tool: its macros write the files when they are told where.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

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
        if new.is_empty() {
            // A service may have none yet. One that has some and described none would pass for one without.
            let sources = repo.root.join("services").join(&service);
            let caller = ["src", "tests"].iter().find_map(|part| caller(&sources.join(part)).transpose());
            if let Some(caller) = caller.transpose()? {
                bail!(
                    "{service}: {} has checked queries and sqlx described none: is it older than 0.8?",
                    caller.display()
                );
            }
        }
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

/// The first source file under `folder` that has a query which sqlx checks.
fn caller(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match path.extension() {
            _ if path.is_dir() => caller(&path)?,
            Some(extension) if extension == "rs" && has_query(&std::fs::read_to_string(&path)?) => Some(path),
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Whether one of sqlx's macros is called outside of comments: `query!`, `query_as!`, `query_file_scalar!`, …
fn has_query(text: &str) -> bool {
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let is_called = |line: &str, at: usize| {
        let name = line[..at].rsplit(|letter| !is_of_name(letter)).next().unwrap_or_default();
        name == "query" || name.starts_with("query_")
    };
    let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.any(|line| line.match_indices('!').any(|(at, _)| is_called(line, at)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_without_a_query_is_told_from_one_that_described_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |text: &str| {
            std::fs::create_dir_all(folder.path().join("db")).expect("made");
            std::fs::write(folder.path().join("db/rows.rs"), text).expect("written");
            caller(folder.path()).expect("read")
        };
        for text in ["sqlx::query!(\"x\")", "let a = query_as!(A, \"x\");", "sqlx::query_file_scalar!(\"x\")"]
        {
            assert_eq!(write(text), Some(folder.path().join("db/rows.rs")), "{text}");
        }
        for text in [
            "sqlx::query(\"x\")",
            "if query != 1 {}",
            "requery!(1)",
            "// no query!(\"x\")",
            "fn query() { vec![1]; }",
        ] {
            assert_eq!(write(text), None, "{text}");
        }
        assert_eq!(caller(&folder.path().join("nowhere")).expect("read"), None);
    }
}
