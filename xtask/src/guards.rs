//! `cargo xtask guards`: takes each guard of testing/guards.toml out of a scratch copy and expects its test to go red.
//! Must not touch the checkout.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use toml_edit::{DocumentMut, Table};

use crate::repo::{Repo, read, run};
use crate::ui;

#[derive(clap::Args)]
pub(crate) struct GuardsArgs {
    /// Only these guards, by id
    ids: Vec<String>,
}

/// One guard: what stands in the code, what stands there without it, and the test that must notice.
struct Guard {
    id: String,
    file: String,
    find: String,
    replace: String,
    package: String,
    /// The test's path as `cargo test -- --exact` takes it.
    test: String,
}

pub(crate) fn main(args: &GuardsArgs, repo: &Repo) -> Result<ExitCode> {
    check(repo, &args.ids)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks the guards with these ids, or all; fails if one can be taken out unnoticed.
pub(crate) fn check(repo: &Repo, ids: &[String]) -> Result<()> {
    let list = repo.root.join("testing/guards.toml");
    let text =
        std::fs::read_to_string(&list).with_context(|| format!("{} cannot be read", list.display()))?;
    let mut guards = parse(&text)?;
    let unknown = ids.iter().find(|id| guards.iter().all(|guard| guard.id != **id));
    ensure!(unknown.is_none(), "testing/guards.toml has no guard {}", unknown.map_or("", String::as_str));
    guards.retain(|guard| ids.is_empty() || ids.contains(&guard.id));
    let copy = Copy::make(repo)?;
    let passing = copy.passing(&guards)?;
    let mut unnoticed = Vec::new();
    for guard in &guards {
        let verdict = copy.judge(guard, passing.contains(&guard.test));
        let word = match &verdict {
            Ok(()) => "red without it".to_owned(),
            Err(error) => format!("NOT PROVEN: {error:#}"),
        };
        ui::line(format_args!("{:<32} {:<60} {word}", guard.id, guard.test));
        if verdict.is_err() {
            unnoticed.push(guard.id.as_str());
        }
    }
    ensure!(
        unnoticed.is_empty(),
        "{} of {} guards not proven: {}",
        unnoticed.len(),
        guards.len(),
        unnoticed.join(", ")
    );
    ui::line(format_args!("guards: {} passed, 0 failed", guards.len()));
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Guard>> {
    let document: DocumentMut = text.parse().context("testing/guards.toml does not parse")?;
    let tables = document.get("guard").and_then(toml_edit::Item::as_array_of_tables);
    tables.into_iter().flatten().map(guard_of).collect()
}

fn guard_of(table: &Table) -> Result<Guard> {
    let text = |key: &str| {
        let value = table.get(key).and_then(toml_edit::Item::as_str).map(str::to_owned);
        value.with_context(|| format!("a [[guard]] of testing/guards.toml has no text `{key}`"))
    };
    Ok(Guard {
        id: text("id")?,
        file: text("file")?,
        find: text("find")?,
        replace: text("replace")?,
        package: text("package")?,
        test: text("test")?,
    })
}

/// A copy of the tracked files, compiled in a folder of its own that outlives it.
struct Copy<'a> {
    repo: &'a Repo,
    root: tempfile::TempDir,
    target: PathBuf,
    /// The folder of each package.
    packages: BTreeMap<String, PathBuf>,
}

impl<'a> Copy<'a> {
    fn make(repo: &'a Repo) -> Result<Self> {
        let root = tempfile::tempdir().context("no folder for the copy")?;
        let listed =
            read(repo.program("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
        let mut packages = BTreeMap::new();
        for path in listed.split('\0').filter(|path| repo.root.join(path).is_file()) {
            let to = root.path().join(path);
            let folder = to.parent().context("a file has a folder")?;
            std::fs::create_dir_all(folder)?;
            std::fs::copy(repo.root.join(path), &to).with_context(|| format!("{path} cannot be copied"))?;
            if path.ends_with("Cargo.toml") {
                packages.extend(package_of(&to)?.map(|name| (name, folder.to_owned())));
            }
        }
        // Tests that ask git what is tracked need a repository around them.
        run(repo.program("git").args(["init", "--quiet"]).current_dir(root.path()))?;
        Ok(Self { repo, root, target: repo.cache.join("target-guards"), packages })
    }

    /// The tests of the guards that pass while every guard is in its place. One at a time: some compare durations.
    fn passing(&self, guards: &[Guard]) -> Result<BTreeSet<String>> {
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for guard in guards {
            wanted.entry(&guard.package).or_default().insert(&guard.test);
        }
        let mut passing = BTreeSet::new();
        for (package, tests) in wanted {
            ui::line(format_args!("{package}: the {} tests with every guard in its place", tests.len()));
            let tests: Vec<&str> = tests.into_iter().collect();
            passing.extend(passed(&self.test(&["--tests"], package, &tests)?.1));
        }
        Ok(passing)
    }

    /// The test must pass with the guard and fail without it, by an assertion and not by a compiler error.
    fn judge(&self, guard: &Guard, passes: bool) -> Result<()> {
        let file = self.root.path().join(&guard.file);
        let original =
            std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", guard.file))?;
        let places = original.matches(&guard.find).count();
        ensure!(places == 1, "`find` stands {places} times in {}, not once", guard.file);
        ensure!(passes, "with the guard the test is not one that passes");
        std::fs::write(&file, original.replacen(&guard.find, &guard.replace, 1))?;
        let without = self.test(self.targets(guard), &guard.package, &[&guard.test]);
        std::fs::write(&file, original)?;
        let (passed, text) = without?;
        if passed {
            bail!("the test passes without the guard");
        }
        ensure!(text.contains("test result: FAILED"), "the change does not compile: {}", last_line(&text));
        ensure!(is_about_the_guard(&text), "the test did not come as far as the guard:\n{text}");
        Ok(())
    }

    /// Where the test of a guard stands: every other test program of its package would be compiled for nothing.
    fn targets(&self, guard: &Guard) -> &'static [&'static str] {
        let module = guard.test.split("::").next().unwrap_or_default();
        let of_it = self.packages.get(&guard.package).is_some_and(|folder| {
            let module = folder.join("tests/it").join(module);
            module.is_dir() || module.with_extension("rs").is_file()
        });
        if of_it { &["--test", "it"] } else { &["--lib", "--bins"] }
    }

    fn test(&self, targets: &[&str], package: &str, tests: &[&str]) -> Result<(bool, String)> {
        let mut command = self.repo.cargo(&["test", "--no-fail-fast", "--package", package]);
        let output = command
            .args(targets)
            .args(["--", "--test-threads=1", "--exact"])
            .args(tests)
            .current_dir(self.root.path())
            .env("CARGO_TARGET_DIR", &self.target)
            // Nobody looks at a backtrace, and without what one needs a change compiles sooner.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env("SHOP_TEST_TIER", "full")
            .output()
            .context("cargo cannot be started")?;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Ok((output.status.success(), text.into_owned()))
    }
}

/// The name of the package of a manifest; none of a workspace's.
fn package_of(manifest: &Path) -> Result<Option<String>> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("{} cannot be read", manifest.display()))?;
    let document: DocumentMut = text.parse().with_context(|| format!("{}", manifest.display()))?;
    let name = document.get("package").and_then(|package| package.get("name"));
    Ok(name.and_then(toml_edit::Item::as_str).map(str::to_owned))
}

/// Whether something else panicked than what brings the test's world up: a database that does not answer proves nothing.
fn is_about_the_guard(text: &str) -> bool {
    const WORLD: [&str; 5] = ["database.rs", "template.rs", "process.rs", "sweep.rs", "issuer.rs"];
    let place = |line: &str| Some(line.split_once("panicked at ")?.1.split(':').next()?.to_owned());
    let is_of_the_world = |place: &String| {
        place.contains("testing/testbed/")
            || WORLD.iter().any(|file| place.ends_with(&format!("harness/src/{file}")))
    };
    text.lines().filter_map(place).any(|place| !is_of_the_world(&place))
}

/// The tests that a run of `cargo test` says to have passed.
fn passed(text: &str) -> impl Iterator<Item = String> {
    let named = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... ok")?.to_owned());
    text.lines().filter_map(named)
}

fn last_line(text: &str) -> &str {
    let telling = |line: &&str| line.starts_with("error") || line.starts_with("test result");
    text.lines().rev().find(telling).unwrap_or("it printed nothing telling")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap, so that the short tier notices a guard that moved.
    #[test]
    fn every_listed_guard_stands_in_the_tree_once() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root");
        let text =
            std::fs::read_to_string(root.join("testing/guards.toml")).expect("testing/guards.toml is there");
        for guard in parse(&text).expect("testing/guards.toml parses") {
            let code = std::fs::read_to_string(root.join(&guard.file)).expect(&guard.file);
            assert_eq!(
                code.matches(&guard.find).count(),
                1,
                "{}: {:?} in {}",
                guard.id,
                guard.find,
                guard.file
            );
        }
    }

    #[test]
    fn only_what_passed_is_taken_for_passing() {
        let text = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::d ... ignored\ntest result: ok. 1\n";
        assert_eq!(passed(text).collect::<Vec<_>>(), ["a::b"]);
    }

    #[test]
    fn a_world_that_does_not_come_up_proves_no_guard() {
        let panicked = |place: &str| {
            format!("thread 'a::b' (7) panicked at {place}:36:9:\nno\ntest result: FAILED. 0\n")
        };
        assert!(is_about_the_guard(&panicked("services/user-management/tests/it/admin.rs")));
        assert!(is_about_the_guard(&panicked("testing/harness/src/until.rs")));
        for place in ["testing/harness/src/database.rs", "testing/testbed/src/private.rs"] {
            assert!(!is_about_the_guard(&panicked(place)), "{place}");
        }
        assert!(!is_about_the_guard("test result: FAILED. 0 passed"));
    }

    #[test]
    fn a_guard_without_a_test_is_refused() {
        assert!(parse("[[guard]]\nid = \"a\"\nfile = \"b\"\nfind = \"c\"\nreplace = \"d\"\n").is_err());
    }
}
