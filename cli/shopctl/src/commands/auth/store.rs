//! Where tokens are kept between commands: the system's keyring, else a file that only its owner can read.
//! Must not decide when a token is renewed.
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;

/// How the keyring's entries are called.
const KEYRING_SERVICE: &str = "shopctl";

/// A keyring may ask its owner to unlock it; one that does not answer is treated as locked.
const KEYRING_PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any renewal takes.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// What is kept of one sign-in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) email: String,
    pub(super) access_token: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) access_until: OffsetDateTime,
    pub(super) refresh_token: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) session_until: OffsetDateTime,
}

/// Where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "stored_in", content = "file", rename_all = "kebab-case")]
pub(super) enum Keeper {
    Keyring,
    File(PathBuf),
}

impl std::fmt::Display for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keyring => f.write_str("the system's keyring"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The tokens of one environment at one address.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
    /// Names the entry in the keyring, and the file.
    key: String,
}

/// Held while tokens are renewed, so that two commands do not use up one refresh token.
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Store {
    /// Of one environment at one address.
    pub(super) fn open(context: &Context, environment: &str, url: &str) -> Result<Self, CommandError> {
        let url: String =
            url::form_urlencoded::byte_serialize(url.trim_end_matches('/').as_bytes()).collect();
        Ok(Self { folder: folder(context)?, key: format!("{environment}@{url}") })
    }

    /// Every place of an environment where somebody has ever signed in, which left a lock, or tokens in a file.
    pub(super) fn all(context: &Context, environment: &str) -> Result<Vec<Self>, CommandError> {
        let folder = folder(context)?;
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.or_exit(Exit::Unexpected, format!("{} cannot be read", folder.display()))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let of_it = format!("{environment}@");
        let keys: BTreeSet<String> = names
            .filter(|name| name.starts_with(&of_it))
            .filter_map(|name| Some(name.strip_suffix(".lock").or(name.strip_suffix(".json"))?.to_owned()))
            .collect();
        Ok(keys.into_iter().map(|key| Self { folder: folder.clone(), key }).collect())
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The address whose tokens it keeps.
    pub(super) fn url(&self) -> String {
        let url = self.key.split_once('@').map_or("", |(_, url)| url);
        url::form_urlencoded::parse(url.as_bytes()).map(|(url, _)| url.into_owned()).collect()
    }

    /// Where it answers, if that is this machine.
    pub(super) fn address_here(&self) -> Option<SocketAddr> {
        let url = url::Url::parse(&self.url()).ok()?;
        let address: IpAddr = match url.host()? {
            url::Host::Ipv4(address) => address.into(),
            url::Host::Ipv6(address) => address.into(),
            url::Host::Domain("localhost") => Ipv4Addr::LOCALHOST.into(),
            url::Host::Domain(_) => return None,
        };
        address.is_loopback().then(|| url.port_or_known_default().map(|port| (address, port).into()))?
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.key))
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.key))
    }

    /// What is kept, and where.
    pub(super) async fn load(&self) -> Result<Option<(Kept, Keeper)>, CommandError> {
        let path = self.path();
        if let Some(text) = read_private(&path)? {
            return Ok(Some((parsed(&text, &path.display().to_string())?, Keeper::File(path))));
        }
        match self.keyring(|entry| entry.get_password()).await {
            Keyring::Did(text) => Ok(Some((parsed(&text, "the keyring's entry")?, Keeper::Keyring))),
            Keyring::Nothing => Ok(None),
            Keyring::Closed(why) => Err(closed(&why)),
        }
    }

    /// Keeps it, in the keyring where there is one.
    pub(super) async fn save(&self, kept: &Kept) -> Result<Keeper, CommandError> {
        let text =
            serde_json::to_string(kept).or_exit(Exit::Unexpected, "tokens cannot be written as JSON")?;
        let for_keyring = text.clone();
        if let Keyring::Did(()) = self.keyring(move |entry| entry.set_password(&for_keyring)).await {
            remove(&self.path())?;
            return Ok(Keeper::Keyring);
        }
        self.make_folder()?;
        write_private(&self.path(), text.as_bytes())
            .or_exit(Exit::Unexpected, format!("{} cannot be written", self.path().display()))?;
        Ok(Keeper::File(self.path()))
    }

    /// Removes it wherever it is, and answers whether it was there.
    pub(super) async fn forget(&self) -> Result<bool, CommandError> {
        let was_file = remove(&self.path())?;
        match self.keyring(|entry| entry.delete_credential()).await {
            Keyring::Closed(why) => Err(closed(&why)),
            Keyring::Did(()) => Ok(true),
            Keyring::Nothing => Ok(was_file),
        }
    }

    /// The same for a place that is no more: nobody renews anything there.
    pub(super) async fn forget_place(&self) -> Result<bool, CommandError> {
        let was_there = self.forget().await?;
        remove(&self.lock_path())?;
        Ok(was_there)
    }

    /// Waits for other commands that renew the same tokens.
    pub(super) async fn lock(&self) -> Result<Lock, CommandError> {
        self.make_folder()?;
        let path = self.lock_path();
        let cannot = || format!("{} cannot be locked", path.display());
        let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).clone();
        let file = options.open(&path).or_exit(Exit::Unexpected, cannot())?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::Error(error)) => return Err(error).or_exit(Exit::Unexpected, cannot()),
                Err(TryLockError::WouldBlock) if began.elapsed() > LOCK_PATIENCE => {
                    let message = format!("another shopctl holds {}", path.display());
                    return Err(CommandError::new(Exit::LockBusy, message).hint("wait for it, or end it"));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn make_folder(&self) -> Result<(), CommandError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .or_exit(Exit::Unexpected, format!("{} cannot be made", self.folder.display()))
    }

    async fn keyring<T: Send + 'static>(
        &self,
        act: impl FnOnce(keyring::Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Keyring<T> {
        let key = self.key.clone();
        // It talks to another program, and blocks until that answers.
        let asked = tokio::task::spawn_blocking(move || act(keyring::Entry::new(KEYRING_SERVICE, &key)?));
        match tokio::time::timeout(KEYRING_PATIENCE, asked).await {
            Ok(Ok(Ok(done))) => Keyring::Did(done),
            Ok(Ok(Err(keyring::Error::NoStorageAccess(why)))) => Keyring::Closed(why.to_string()),
            Err(_) => Keyring::Closed(format!("nobody unlocked it within {} s", KEYRING_PATIENCE.as_secs())),
            Ok(_) => Keyring::Nothing,
        }
    }
}

/// `$XDG_STATE_HOME/shopctl`, else `~/.local/state/shopctl`.
fn folder(context: &Context) -> Result<PathBuf, CommandError> {
    let state = match (context.variable("XDG_STATE_HOME"), context.variable("HOME")) {
        // The XDG rules: a relative path is to be ignored.
        (Some(state), _) if Path::new(&state).is_absolute() => PathBuf::from(state),
        (_, Some(home)) => Path::new(&home).join(".local/state"),
        _ => {
            let message = "neither XDG_STATE_HOME nor HOME is set, so there is no place for tokens";
            return Err(CommandError::usage(message).hint("set HOME, or SHOPCTL_TOKEN_FILE"));
        }
    };
    Ok(state.join("shopctl"))
}

/// What became of a wish to the keyring.
enum Keyring<T> {
    Did(T),
    /// There is no keyring here, or no entry in it.
    Nothing,
    /// It may hold an entry, and gives it to nobody until its owner unlocks it.
    Closed(String),
}

fn closed(why: &str) -> CommandError {
    let message = format!("the system's keyring may hold tokens of this place, and is locked: {why}");
    CommandError::new(Exit::NotAuthorised, message).hint("unlock it, then run this again")
}

fn parsed(text: &str, place: &str) -> Result<Kept, CommandError> {
    // The error of serde names a place in the text, not the text.
    serde_json::from_str(text).map_err(|error| {
        CommandError::new(Exit::NotAuthorised, format!("{place} holds no tokens of this version"))
            .source(error)
            .hint("run `shopctl auth login` again")
    })
}

/// The file's text, if only its owner can read it and the owner is this user.
fn read_private(path: &Path) -> Result<Option<String>, CommandError> {
    let cannot = || format!("{} cannot be read", path.display());
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.or_exit(Exit::Unexpected, cannot())?,
    };
    let refuse = |message: String, hint: String| CommandError::new(Exit::NotAuthorised, message).hint(hint);
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
        let message = format!("{} is not a file of yours", path.display());
        return Err(refuse(message, "remove it and run `shopctl auth login` again".to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        let message = format!("others can read {}: its tokens may be known", path.display());
        let hint = format!("end the session with `chmod 600 '{}'` and `shopctl auth logout`", path.display());
        return Err(refuse(message, hint));
    }
    fs::read_to_string(path).map(Some).or_exit(Exit::Unexpected, cannot())
}

/// Replaces the file as a whole; nobody else can read it at any moment.
fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let half = path.with_extension(format!("{}.tmp", std::process::id()));
    remove_file(&half)?;
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&half)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&half, path)
}

/// Answers whether it was there.
fn remove(path: &Path) -> Result<bool, CommandError> {
    remove_file(path).or_exit(Exit::Unexpected, format!("{} cannot be removed", path.display()))
}

fn remove_file(path: &Path) -> std::io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}
