//! `--watch`: on a change in a service's crate, in a workspace crate it depends on, or in the workspace's own manifest
//! and lock file, builds it anew and starts the new executable. A build that fails leaves the old one running. Knows nothing of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::board::Board;
use crate::build::Build;
use crate::events::Event;
use crate::fleet::Fleet;
use crate::options::UpOptions;
use crate::ready::Ready;
use crate::stack::Stack;
use crate::trouble::{Result, Trouble};

/// An editor writes a file in several steps, a checkout writes many files.
const QUIET: Duration = Duration::from_millis(150);

/// Which folders concern which packages, and what has changed there since it was made.
#[derive(Debug)]
pub(crate) struct Watch {
    build: Build,
    /// The packages of the services.
    services: BTreeSet<String>,
    changes: UnboundedReceiver<notify::Event>,
    watcher: RecommendedWatcher,
    /// The longest folder that holds a changed file decides.
    folders: BTreeMap<PathBuf, BTreeSet<String>>,
    workspace: Workspace,
}

/// The workspace's own files, from which every package is built: profiles and dependencies stand there.
#[derive(Debug)]
struct Workspace {
    /// As they were when they were last looked at; `None` while there is none.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    packages: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
    /// `dev` for dependencies of tests.
    kind: Option<String>,
}

impl Watch {
    /// Asks cargo which crates the services consist of, and listens from then on: made before the first build, it
    /// misses no change that this build has not seen.
    pub(crate) async fn new(stack: &Stack, options: &UpOptions, build: Build) -> Result<Self> {
        let services = options.services.iter().map(|service| service.package.clone()).collect();
        let folders = consists_of(stack.root(), &services).await?;
        let (sender, changes) = unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event {
                let _unheard = sender.send(event);
            }
        })
        .map_err(|error| unwatchable(&error))?;
        for folder in folders.keys() {
            watcher.watch(folder, RecursiveMode::Recursive).map_err(|error| unwatchable(&error))?;
        }
        let workspace = Workspace::new(stack.root(), &folders);
        if !workspace.files.is_empty() {
            watcher.watch(stack.root(), RecursiveMode::NonRecursive).map_err(|error| unwatchable(&error))?;
        }
        Ok(Self { build, services, changes, watcher, folders, workspace })
    }

    /// Listens to the crates that the services have come to depend on. Where cargo cannot say which, the build that
    /// comes next fails on the same and says why.
    async fn look_again(&mut self) -> Result<()> {
        let Ok(folders) = consists_of(&self.build.root, &self.services).await else { return Ok(()) };
        for folder in folders.keys().filter(|folder| !self.folders.contains_key(*folder)) {
            self.watcher.watch(folder, RecursiveMode::Recursive).map_err(|error| unwatchable(&error))?;
        }
        self.folders = folders;
        Ok(())
    }

    /// Builds and restarts until it is dropped.
    pub(crate) async fn run(mut self, ready: &Ready<'_>, board: &Board, fleet: &Fleet) -> Result<()> {
        board.events().step("watch", "").done(format!("{} crates", self.folders.len()));
        loop {
            let Some((path, packages)) = self.next_change().await else { return Ok(()) };
            self.apply(path, packages, ready, board, fleet).await;
        }
    }

    /// The packages that the changes of the next moment concern.
    async fn next_change(&mut self) -> Option<(PathBuf, BTreeSet<String>)> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut packages = BTreeSet::new();
        loop {
            let event = if paths.is_empty() {
                self.changes.recv().await?
            } else {
                match tokio::time::timeout(QUIET, self.changes.recv()).await {
                    Ok(event) => event?,
                    Err(_quiet) => {
                        // An editor's temporary file is gone by now.
                        let shown = paths.iter().position(|path| path.exists()).unwrap_or(0);
                        return Some((paths.swap_remove(shown), packages));
                    }
                }
            };
            if matches!(event.kind, EventKind::Access(_)) {
                continue;
            }
            for path in event.paths {
                let concerned = concerned(&self.folders, &path).or_else(|| self.workspace.concerned(&path));
                if let Some(concerned) = concerned {
                    packages.extend(concerned.iter().cloned());
                    paths.push(path);
                }
            }
        }
    }

    async fn apply(
        &mut self,
        path: PathBuf,
        packages: BTreeSet<String>,
        ready: &Ready<'_>,
        board: &Board,
        fleet: &Fleet,
    ) {
        let services = ready.of_packages(&packages).map(|planned| planned.spec.name.clone()).collect();
        let path = path.strip_prefix(&self.build.root).map(Path::to_owned).unwrap_or(path);
        board.events().say(Event::Changed { path, services });
        if let Err(trouble) = self.look_again().await {
            board.events().warn(trouble.to_string());
        }
        let before = ready.stamps(&packages);
        self.build.packages = packages;
        match self.build.run(board.events()).await {
            Err(trouble) => {
                return board.events().warn(format!("{trouble}; what runs is still the build before"));
            }
            Ok(_) if ready.stamps(&self.build.packages) == before => {
                return board.events().say(Event::Unchanged {});
            }
            Ok(_) => {}
        }
        for planned in ready.of_packages(&self.build.packages) {
            if let Err(trouble) = ready.migrate(planned, board).await {
                board.events().warn(format!("{trouble}; what runs is still the build before"));
                continue;
            }
            fleet.replace(&planned.spec.name, ready.program(planned));
        }
    }
}

impl Workspace {
    /// Those of the folder `root`; none where it is a crate itself, which is watched as such.
    fn new(root: &Path, folders: &BTreeMap<PathBuf, BTreeSet<String>>) -> Self {
        let names = ["Cargo.toml", "Cargo.lock"].iter().filter(|_| !folders.contains_key(root));
        let files = names.map(|name| root.join(name)).map(|file| {
            let text = std::fs::read(&file).ok();
            (file, text)
        });
        Self { files: files.collect(), packages: folders.values().flatten().cloned().collect() }
    }

    /// Every package where the file has another text than before. Cargo may write its lock file in each build, and it
    /// makes the first one itself: neither is a change.
    fn concerned(&mut self, path: &Path) -> Option<&BTreeSet<String>> {
        let known = self.files.get_mut(path)?;
        let now = std::fs::read(path).ok()?;
        let before = known.replace(now);
        before.is_some_and(|before| Some(&before) != known.as_ref()).then_some(&self.packages)
    }
}

fn unwatchable(error: &notify::Error) -> Trouble {
    Trouble::Environment(format!("files cannot be watched: {error}"))
}

/// The packages that are built from the file: none where it is an editor's own or what cargo writes. The folders above
/// its crate's do not matter; a checkout may lie in one that is called `tests`.
fn concerned<'a>(
    folders: &'a BTreeMap<PathBuf, BTreeSet<String>>,
    path: &Path,
) -> Option<&'a BTreeSet<String>> {
    let (folder, packages) = path.ancestors().find_map(|folder| folders.get_key_value(folder))?;
    is_source(path.strip_prefix(folder).ok()?).then_some(packages)
}

/// Whether a build may read the file of a crate, given by its path in there.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let of_editor = name.starts_with('.') || name.starts_with('#') || name.ends_with('~') || name == "4913";
    !of_editor && !path.components().any(|part| part.as_os_str() == "target" || part.as_os_str() == "tests")
}

/// The folders of the services' crates and of those that they depend on, as cargo tells them.
async fn consists_of(
    root: &Path,
    services: &BTreeSet<String>,
) -> Result<BTreeMap<PathBuf, BTreeSet<String>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(root);
    let output = command.output().await?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Trouble::Environment(format!("cargo metadata: {why}")));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| Trouble::Environment(format!("cargo metadata: {error}")))?;
    Ok(folders(&metadata, services.iter().map(String::as_str)))
}

/// The folder of each workspace crate, with the packages among `services` that are built from it.
fn folders<'a>(
    metadata: &Metadata,
    services: impl Iterator<Item = &'a str>,
) -> BTreeMap<PathBuf, BTreeSet<String>> {
    let folder_of =
        |package: &Package| package.manifest_path.parent().map(Path::to_owned).unwrap_or_default();
    let by_folder: BTreeMap<PathBuf, &Package> =
        metadata.packages.iter().map(|package| (folder_of(package), package)).collect();
    let mut folders: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for service in services {
        let mut open: Vec<PathBuf> =
            metadata.packages.iter().filter(|package| package.name == service).map(folder_of).collect();
        while let Some(folder) = open.pop() {
            let Some(package) = by_folder.get(&folder) else { continue };
            if folders.entry(folder).or_default().insert(service.to_owned()) {
                let built = package
                    .dependencies
                    .iter()
                    .filter(|dependency| dependency.kind.as_deref() != Some("dev"));
                open.extend(built.filter_map(|dependency| dependency.path.clone()));
            }
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            path: Some(Path::new("/w").join(name)),
            kind: kind.map(str::to_owned),
        };
        Package {
            name: name.into(),
            manifest_path: Path::new("/w").join(name).join("Cargo.toml"),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn a_change_concerns_the_services_that_are_built_from_it() {
        let metadata = Metadata {
            packages: vec![
                package("a", &[("kit", None), ("tests", Some("dev"))]),
                package("b", &[("kit", None)]),
                package("kit", &[("api", None)]),
                package("api", &[]),
                package("tests", &[]),
                package("tool", &[("api", None)]),
            ],
        };
        let folders = folders(&metadata, ["a", "b"].into_iter());
        let of = |name: &str| {
            let names = folders.get(&Path::new("/w").join(name)).cloned().unwrap_or_default();
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!([of("a"), of("b"), of("kit"), of("api")], ["a", "b", "a b", "a b"]);
        assert_eq!([of("tests"), of("tool")], ["", ""]);
    }

    #[test]
    fn a_new_text_of_the_workspace_concerns_all_and_the_lock_file_that_cargo_makes_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let [manifest, lock] = ["Cargo.toml", "Cargo.lock"].map(|name| folder.path().join(name));
        std::fs::write(&manifest, "[workspace]").unwrap();
        let packages = ["a", "b"].map(str::to_owned);
        let folders = packages.iter().map(|name| (folder.path().join(name), BTreeSet::from([name.clone()])));
        let mut workspace = Workspace::new(folder.path(), &folders.collect());
        std::fs::write(&lock, "version = 4").unwrap();
        assert_eq!([&manifest, &lock].map(|file| workspace.concerned(file).is_some()), [false, false]);
        std::fs::write(&manifest, "[workspace]\n[profile.dev]").unwrap();
        std::fs::write(&lock, "version = 4\n").unwrap();
        let all = BTreeSet::from(packages);
        assert_eq!(
            [manifest, lock].map(|file| workspace.concerned(&file).cloned()),
            [Some(all.clone()), Some(all)]
        );
        assert!(workspace.concerned(&folder.path().join("README.md")).is_none());
    }

    #[test]
    fn files_of_editors_and_of_cargo_are_no_source() {
        // The folders above the crate are not asked.
        let crate_folder = Path::new("/target/tests/w");
        let folders = BTreeMap::from([(crate_folder.to_owned(), BTreeSet::from(["a".to_owned()]))]);
        let concerns = |path: &str| concerned(&folders, &crate_folder.join(path)).is_some();
        for path in ["src/.main.rs.swp", "src/main.rs~", "target/debug/x", "src/4913", "tests/it/x.rs"] {
            assert!(!concerns(path), "{path}");
        }
        assert!(concerns("src/main.rs") && concerns("migrations/0001_a.sql"));
        assert!(concerned(&folders, Path::new("/target/tests/other/src/main.rs")).is_none());
    }
}
