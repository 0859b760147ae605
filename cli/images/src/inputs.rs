//! What an image is made of: the crate of its program and those of the workspace below it, the versions that Cargo.lock
//! gives to all others, what the root says of profiles, and what gives every image its shape. Trees with the same inputs
//! give the same image; what only tests read is none of them. Must not compile anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use cargo_metadata::{DependencyKind, Package};
use toml::{Table, Value};

use crate::digest::Digest;
use crate::error::at;
use crate::git::git;
use crate::{Error, Result, Workspace, authorities};

/// The files of the root that say how everything is compiled.
pub(crate) const ROOT: [&str; 4] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"];

/// What gives an image its shape, whatever the program.
const SHAPE: [&str; 3] =
    ["cli/images/src/authorities.rs", "cli/images/src/image.rs", "cli/images/src/layer.rs"];

/// Folders of a crate that only tests read.
const OF_TESTS: [&str; 3] = ["tests", "benches", "examples"];

/// What one image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    root: PathBuf,
    /// The crates of the workspace, with their folders below the root.
    members: BTreeMap<String, String>,
    /// The crates of others that these name, as `[workspace.dependencies]` calls them and as Cargo.lock does.
    direct: BTreeMap<String, String>,
    version: String,
    repository: Option<String>,
}

impl Inputs {
    /// Those of this package.
    ///
    /// # Errors
    /// When the workspace has no such package, or one below it lies elsewhere.
    pub fn of(workspace: &Workspace, package: &str) -> Result<Self> {
        let member = workspace.package(package)?;
        let mut inputs = Self {
            root: workspace.root().to_owned(),
            members: BTreeMap::new(),
            direct: BTreeMap::new(),
            version: member.version.to_string(),
            repository: member.repository.clone(),
        };
        inputs.gather(workspace, member)?;
        Ok(inputs)
    }

    fn gather(&mut self, workspace: &Workspace, member: &Package) -> Result<()> {
        if self.members.insert(member.name.to_string(), workspace.folder(member)?).is_some() {
            return Ok(());
        }
        for needed in member.dependencies.iter().filter(|needed| needed.kind != DependencyKind::Development) {
            if needed.path.is_some() {
                self.gather(workspace, workspace.package(&needed.name)?)?;
            } else {
                let called = needed.rename.clone().unwrap_or_else(|| needed.name.clone());
                self.direct.insert(called, needed.name.clone());
            }
        }
        Ok(())
    }

    /// The workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Of the package.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Where the package says that its code lies, as a URL.
    pub(crate) fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// Whether a file, given below the root, is one of theirs.
    pub(crate) fn hold(&self, file: &Path) -> bool {
        self.members.values().any(|folder| file.starts_with(folder))
    }

    /// What git calls their files, without those that only tests read.
    pub(crate) fn pathspecs(&self) -> Vec<String> {
        let folders = self.members.values();
        let tests = folders
            .clone()
            .flat_map(|folder| OF_TESTS.iter().map(move |tests| format!(":(top,exclude){folder}/{tests}")));
        let shape = SHAPE.iter().map(|file| format!(":(top){file}"));
        folders.map(|folder| format!(":(top){folder}")).chain(shape).chain(tests).collect()
    }

    /// One name for all that they hold now, committed or not.
    ///
    /// # Errors
    /// When a file cannot be read, or git cannot list them.
    pub fn digest(&self) -> Result<Digest> {
        let mut context = Context::new(&SHA256);
        let mut update = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"].map(str::to_owned);
        let listed = git(&self.root, list.into_iter().chain(self.pathspecs()))?;
        let listed: BTreeSet<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        for path in listed {
            let file = self.root.join(path);
            if file.is_file() {
                update(path.as_bytes());
                update(&std::fs::read(&file).map_err(at(&file))?);
            }
        }
        update(self.of_root(&self.root_now()?)?.as_bytes());
        Ok(Digest::of_finished(context))
    }

    /// The files of the root, as they are now; empty where there is none.
    pub(crate) fn root_now(&self) -> Result<[String; 4]> {
        let mut texts = ROOT.map(|_| String::new());
        for (text, path) in texts.iter_mut().zip(ROOT) {
            let file = self.root.join(path);
            if file.is_file() {
                *text = std::fs::read_to_string(&file).map_err(at(&file))?;
            }
        }
        Ok(texts)
    }

    /// What the files of the root say of this program: another service that joins the workspace, or brings a crate of its
    /// own, changes nothing in it.
    ///
    /// # Errors
    /// When a manifest or a lock file does not parse.
    pub(crate) fn of_root(&self, [manifest, lock, toolchain, config]: &[String; 4]) -> Result<String> {
        let mut said = Table::new();
        let manifest = parse("Cargo.toml", manifest)?;
        for key in ["profile", "patch", "replace"] {
            said.extend(manifest.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        if let Some(Value::Table(workspace)) = manifest.get("workspace") {
            for key in ["package", "resolver"] {
                said.extend(workspace.get(key).map(|value| (format!("workspace.{key}"), value.clone())));
            }
            let named = workspace.get("dependencies").and_then(Value::as_table).into_iter().flatten();
            let named =
                named.filter(|(name, _)| self.direct.contains_key(*name) || self.members.contains_key(*name));
            let named: Table = named.map(|(name, value)| (name.clone(), value.clone())).collect();
            said.insert("workspace.dependencies".to_owned(), Value::Table(named));
        }
        let locked = self.locked(&parse("Cargo.lock", lock)?).into_iter().map(Value::String).collect();
        said.insert("locked".to_owned(), Value::Array(locked));
        said.insert("toolchain".to_owned(), Value::String(toolchain.clone()));
        said.insert("config".to_owned(), Value::String(config.clone()));
        Ok(said.to_string())
    }

    /// The packages of others below this program, each with its version, where it is from, and what it must hash to.
    fn locked(&self, lock: &Table) -> BTreeSet<String> {
        let packages: Vec<Locked<'_>> = lock
            .get("package")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Locked::of)
            .collect();
        let wanted: BTreeSet<&str> = self.direct.values().map(String::as_str).collect();
        // What Cargo.lock lists of a member includes what only its tests need.
        let members = packages.iter().filter(|package| self.members.contains_key(package.name));
        let mut waiting: Vec<&str> = members
            .flat_map(|package| package.needs.iter().copied())
            .filter(|needed| wanted.contains(needed.split(' ').next().unwrap_or_default()))
            .collect();
        waiting.push(authorities::PACKAGE);
        let mut found = BTreeSet::new();
        while let Some(needed) = waiting.pop() {
            for package in packages.iter().filter(|package| package.is(needed)) {
                if found.insert(package.line()) {
                    waiting.extend(&package.needs);
                }
            }
        }
        found
    }
}

/// One package of Cargo.lock.
struct Locked<'a> {
    name: &'a str,
    version: &'a str,
    source: &'a str,
    checksum: &'a str,
    /// Each by its name, with its version where there are several.
    needs: Vec<&'a str>,
}

impl<'a> Locked<'a> {
    fn of(package: &'a Value) -> Option<Self> {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        let needs = package.get("dependencies").and_then(Value::as_array);
        Some(Self {
            name: text("name")?,
            version: text("version")?,
            source: text("source").unwrap_or_default(),
            checksum: text("checksum").unwrap_or_default(),
            needs: needs.into_iter().flatten().filter_map(Value::as_str).collect(),
        })
    }

    fn is(&self, needed: &str) -> bool {
        let mut words = needed.split(' ');
        words.next() == Some(self.name) && words.next().is_none_or(|version| version == self.version)
    }

    fn line(&self) -> String {
        format!("{} {} {} {}", self.name, self.version, self.source, self.checksum)
    }
}

fn parse(file: &'static str, text: &str) -> Result<Table> {
    text.parse()
        .map_err(|error: toml::de::Error| Error::Workspace { said: format!("{file}: {}", error.message()) })
}
