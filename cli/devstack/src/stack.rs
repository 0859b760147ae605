//! Which stack this checkout has and where its state lies. Starts nothing and knows no service.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::record::Record;
use crate::state::{Lock, StateDir, read_or_create};
use crate::trouble::{Result, Trouble, at};

const LOCK: &str = "lock";
/// Its folders that every start writes to.
const WRITTEN: [&str; 4] = ["mail", "logs", "secrets", "services"];
/// How often, and after how long, a lock that nobody has written down is tried again.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const RECORD: &str = "running.json";

/// The platform of one checkout on this machine: its name, its marker and its folder.
#[derive(Debug, Clone)]
pub struct Stack {
    root: PathBuf,
    name: String,
    id: String,
    state: StateDir,
    /// Whether a person chose the folder.
    named: bool,
}

impl Stack {
    /// The stack of the checkout at `root`. Its folder is `state` where given (`$SHOP_DEV_STATE`), else below
    /// `~/.local/state/shop`; as root below `/var/lib/shop`, since the database server runs under another account
    /// and has to reach its part of it.
    pub fn open(root: &Path, state: Option<PathBuf>) -> Result<Self> {
        let root = std::fs::canonicalize(root).map_err(at(root))?;
        let named = state.is_some();
        let unusable = |error: io::Error| Trouble::StateFolder { named, reason: error.to_string() };
        let name = name_of(&root);
        let folder = match state {
            Some(folder) => folder,
            None => default_parent()?.join(&name),
        };
        let state = StateDir::open(folder).map_err(unusable)?;
        let id = read_or_create(&state.path().join("id"), || uuid::Uuid::new_v4().to_string());
        let id = id.map_err(unusable)?;
        Ok(Self { root, name, id, state, named })
    }

    /// The checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `<checkout's name>-<hash of its path>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the marker of its databases says. Made once; a copy of the checkout has another one.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its state lies.
    pub fn folder(&self) -> &StateDir {
        &self.state
    }

    /// A path inside its folder.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.state.path().join(inside)
    }

    /// The folder by which its services are known in `/proc` (see [`crate::process::MARK`]).
    pub fn services(&self) -> PathBuf {
        self.path("services")
    }

    /// What its supervisor wrote last; `None` when nothing was ever started, or all was taken down.
    pub fn record(&self) -> Result<Option<Record>> {
        self.state.read_json(RECORD).map_err(|error| {
            let end = match self.state.holder(LOCK) {
                // One in the background has no terminal for a Ctrl-C.
                Some(supervisor) => format!("end the supervisor with `kill {}`; then ", supervisor.pid),
                None => String::new(),
            };
            let next = format!("{end}`shopctl dev down` ends what is left and removes the file");
            Trouble::Broken { reason: error.to_string(), next }
        })
    }

    /// What is written in a file of its folder; `next` is what to do about one that cannot be read.
    pub(crate) fn read<T: DeserializeOwned>(&self, file: &str, next: impl Into<String>) -> Result<Option<T>> {
        let broken = |error: io::Error| Trouble::Broken { reason: error.to_string(), next: next.into() };
        self.state.read_json(file).map_err(broken)
    }

    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        self.state.write_json(RECORD, record)
    }

    pub(crate) fn forget(&self) -> io::Result<()> {
        self.state.remove(RECORD)
    }

    /// Fails unless all that a start writes can be written: what runs by the time that it finds out is in the way.
    ///
    /// # Errors
    /// [`Trouble::StateFolder`] that names the folder.
    pub fn require_writable(&self) -> Result<()> {
        let within = WRITTEN.iter().try_for_each(|folder| self.state.folder(folder)?.require_writable());
        self.state.require_writable().and(within).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &io::Error) -> Trouble {
        Trouble::StateFolder { named: self.named, reason: error.to_string() }
    }

    /// Whether a supervisor has this stack in its hands now.
    pub fn is_held(&self) -> Result<bool> {
        Ok(self.try_lock()?.is_none())
    }

    fn try_lock(&self) -> Result<Option<Lock>> {
        self.state.try_lock(LOCK).map_err(|error| self.unusable(&error))
    }

    /// Says who has the stack, if somebody has.
    ///
    /// # Errors
    /// [`Trouble::Held`] when a supervisor has it.
    pub fn refuse_held(&self) -> Result<()> {
        self.hold().map(drop)
    }

    /// Takes the stack, or says who has it.
    pub(crate) fn hold(&self) -> Result<Lock> {
        let holder = || self.record().ok().flatten().filter(|record| record.supervisor.is_alive());
        for _ in 0..LOOKS {
            if let Some(lock) = self.try_lock()? {
                lock.sign();
                return Ok(lock);
            }
            if holder().is_some() {
                break;
            }
            // Whoever only asks whether it is held has it for a moment.
            std::thread::sleep(LOOK_EVERY);
        }
        let holder = holder();
        Err(Trouble::Held {
            stack: self.name.clone(),
            holder: holder.map(|record| Box::new((record.supervisor.pid, record.since, record.command))),
        })
    }
}

fn default_parent() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/shop"));
    }
    parent(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// Below the user's folder for states, else below their home.
fn parent(states: Option<OsString>, home: Option<OsString>) -> Result<PathBuf> {
    // The rule of that variable is that a relative path is as none.
    if let Some(states) = states.map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(states.join("shop"));
    }
    let nowhere = match home.map(PathBuf::from) {
        Some(home) if home.is_absolute() => return Ok(home.join(".local/state/shop")),
        Some(home) if !home.as_os_str().is_empty() => {
            format!("HOME is {}, which is no absolute path", home.display())
        }
        _ => "neither SHOP_DEV_STATE nor HOME is set".to_owned(),
    };
    Err(Trouble::Environment(format!(
        "{nowhere}, so there is no place for the state: name a folder with SHOP_DEV_STATE"
    )))
}

/// Two checkouts of one name differ by their path; the hash is FNV-1a, which no toolchain changes.
fn name_of(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    let bytes = root.as_os_str().as_encoded_bytes();
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{plain}-{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkouts_of_one_name_have_stacks_of_their_own() {
        let one = name_of(Path::new("/home/a/My Shop"));
        assert!(one.starts_with("my-shop-"), "{one}");
        assert_eq!(one, name_of(Path::new("/home/a/My Shop")));
        assert_ne!(one, name_of(Path::new("/home/b/My Shop")));
    }

    #[test]
    fn a_home_that_is_no_place_is_named() {
        let of = |states: Option<&str>, home: Option<&str>| {
            parent(states.map(OsString::from), home.map(OsString::from))
                .map_err(|trouble| trouble.to_string())
        };
        assert_eq!(of(None, Some("/home/a")).unwrap(), Path::new("/home/a/.local/state/shop"));
        assert_eq!(of(Some("/states"), Some("a")).unwrap(), Path::new("/states/shop"));
        assert_eq!(of(Some("states"), Some("/home/a")).unwrap(), Path::new("/home/a/.local/state/shop"));
        let relative = of(None, Some("home/a")).unwrap_err();
        assert!(relative.starts_with("HOME is home/a, which is no absolute path"), "{relative}");
        for home in [None, Some("")] {
            assert!(of(None, home).unwrap_err().starts_with("neither SHOP_DEV_STATE nor HOME is set"));
        }
    }

    #[test]
    fn only_one_holds_a_stack() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap();
        let lock = stack.hold().unwrap();
        assert!(stack.is_held().unwrap());
        assert!(matches!(stack.hold(), Err(Trouble::Held { holder: None, .. })));
        std::fs::write(stack.path(RECORD), "{").unwrap();
        let next = || stack.record().unwrap_err().next().unwrap();
        assert!(next().contains(&format!("`kill {}`", std::process::id())), "{}", next());
        drop(lock);
        assert!(!stack.is_held().unwrap());
        assert!(!next().contains("kill"), "nobody has it: {}", next());
        assert_eq!(stack.id(), Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap().id());
    }

    #[test]
    fn who_only_asks_keeps_nobody_from_taking_it() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap();
        let asked = stack.state.try_lock(LOCK).unwrap();
        let answer = std::thread::spawn(move || drop(asked));
        stack.hold().unwrap();
        answer.join().unwrap();
    }
}
