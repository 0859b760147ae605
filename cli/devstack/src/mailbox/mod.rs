//! A mailbox that takes every mail and delivers none: an SMTP server inside this process for development and tests.
//! Listens on the loopback only.

mod mail;
mod smtp;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub use self::mail::Mail;
use self::smtp::Session;
use crate::component::{Error, Result};
use crate::port;

const NAME: &str = "the mailbox";
/// Older mails make room for newer ones.
const KEPT: usize = 1_000;

/// Which mailbox is wanted.
#[derive(Debug, Clone, Default)]
pub struct MailboxSpec {
    /// Where mails are kept as files; `None`: in memory only.
    pub dir: Option<PathBuf>,
    /// `None`: any free port.
    pub port: Option<u16>,
    /// What a sender must give; `None`: anybody may send.
    pub password: Option<SecretString>,
}

/// A running mailbox; it ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Mailbox {
    address: SocketAddr,
    store: Arc<Store>,
    broken: Vec<String>,
    _running: Arc<DropGuard>,
}

#[derive(Debug, Default)]
struct Store {
    dir: Option<PathBuf>,
    mails: Mutex<VecDeque<Mail>>,
    refusal: Mutex<Option<String>>,
    arrived: Notify,
}

impl Mailbox {
    /// Opens the mailbox on the current runtime. Mails of earlier runs in its folder are there again.
    pub async fn start(spec: MailboxSpec) -> Result<Self> {
        let wanted = spec.port.unwrap_or(0);
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await.map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => {
                    Error::PortTaken { component: NAME, port: wanted, holder: port::holder(wanted) }
                }
                _ => Error::Io(error),
            })?;
        let Found { mails, broken } = match &spec.dir {
            Some(dir) => {
                fs::create_dir_all(dir)?;
                find(dir)?
            }
            None => Found::default(),
        };
        let store = Arc::new(Store { dir: spec.dir, mails: Mutex::new(mails.into()), ..Store::default() });
        let address = listener.local_addr()?;
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(serve(
            listener,
            store.clone(),
            spec.password,
            end.clone(),
        )));
        Ok(Self { address, store, broken, _running: Arc::new(end.drop_guard()) })
    }

    /// The mails in the folder of a mailbox, oldest first, whether it runs or not. A file that is no mail is an error
    /// of the kind `InvalidData` that names it.
    pub fn read(dir: &Path) -> io::Result<Vec<Mail>> {
        let Found { mails, broken } = find(dir)?;
        match broken.into_iter().next() {
            Some(broken) => Err(io::Error::new(io::ErrorKind::InvalidData, broken)),
            None => Ok(mails),
        }
    }

    /// The files in its folder that were no mails when it was opened, and why. They stay where they are.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address for `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// All mails, oldest first.
    pub fn list(&self) -> Vec<Mail> {
        self.store.mails().iter().cloned().collect()
    }

    /// One mail.
    pub fn get(&self, id: Uuid) -> Option<Mail> {
        self.store.mails().iter().find(|mail| mail.id == id).cloned()
    }

    /// The first mail, there already or yet to come, that `wanted` accepts; `None` after `patience`.
    pub async fn wait_for(&self, wanted: impl Fn(&Mail) -> bool, patience: Duration) -> Option<Mail> {
        let look = async {
            loop {
                // Registered before the look, so that a mail that comes in between is not missed.
                let arrived = self.store.arrived.notified();
                let found = self.store.mails().iter().find(|mail| wanted(mail)).cloned();
                match found {
                    Some(mail) => return mail,
                    None => arrived.await,
                }
            }
        };
        tokio::time::timeout(patience, look).await.ok()
    }

    /// Forgets all mails, files included.
    pub fn clear(&self) -> io::Result<()> {
        self.store.mails().drain(..).try_for_each(|mail| self.store.forget(&mail))
    }

    /// From now on answers every mail with this SMTP line, such as `451 4.3.0 later`; `None` takes them again.
    pub fn refuse(&self, line: Option<&str>) {
        *self.store.refusal.lock().unwrap_or_else(PoisonError::into_inner) = line.map(str::to_owned);
    }
}

/// What lies in the folder of a mailbox.
#[derive(Default)]
struct Found {
    /// The oldest first.
    mails: Vec<Mail>,
    broken: Vec<String>,
}

fn find(dir: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let mail = match fs::read(&path) {
            // It made room for a newer one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)),
        };
        match mail {
            Ok(mail) => found.mails.push(mail),
            Err(error) => found.broken.push(format!("{} is no mail: {error}", path.display())),
        }
    }
    found.mails.sort_by_key(|mail: &Mail| mail.id);
    Ok(found)
}

async fn serve(
    listener: TcpListener,
    store: Arc<Store>,
    password: Option<SecretString>,
    end: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let session = Session::new(stream, store.clone(), password.clone());
                tokio::spawn(end.clone().run_until_cancelled_owned(session.run()));
            }
            Err(error) => {
                // Out of file descriptors, most likely; some come back.
                tracing::warn!(%error, "the mailbox could not take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Store {
    fn mails(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        // A panic in between leaves a whole list.
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, mail: Mail) -> io::Result<()> {
        if let Some(path) = self.file(&mail) {
            crate::state::write_private(&path, &serde_json::to_vec_pretty(&mail)?)?;
        }
        let mut mails = self.mails();
        mails.push_back(mail);
        while mails.len() > KEPT {
            mails.pop_front().map_or(Ok(()), |oldest| self.forget(&oldest))?;
        }
        drop(mails);
        self.arrived.notify_waiters();
        Ok(())
    }

    fn forget(&self, mail: &Mail) -> io::Result<()> {
        match self.file(mail).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, mail: &Mail) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(format!("{}.json", mail.id)))
    }
}
