//! Ports of 127.0.0.1: which are free and who holds the others. Reserves nothing: between the look and the use
//! another process may take it, so whoever uses it must be ready to try another.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::component::{Error, Result};

/// Below the range that Linux takes ports from by itself (32768 to 60999, `ip_local_port_range` of ip(7)): the system
/// gives none of these to a connection or to a listener on port 0, so that a port chosen now is still free when the
/// process that it is for has started.
const OURS: Range<u16> = 20_000..32_768;

/// How many of them are tried before the system is asked.
const TRIES: usize = 200;

/// What this process has chosen before: nobody may listen there yet.
static CHOSEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on now and that this process has not chosen before.
///
/// # Errors
/// When the system has no port left.
pub fn free() -> io::Result<u16> {
    let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
    // By chance: processes that choose at the same time choose apart.
    let found = (0..TRIES).map(|_| by_chance()).find(|port| !chosen.contains(port) && is_free(*port));
    let port = match found {
        Some(port) => port,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
    };
    chosen.insert(port);
    Ok(port)
}

fn by_chance() -> u16 {
    let span = u128::from(OURS.end - OURS.start);
    OURS.start + u16::try_from(uuid::Uuid::new_v4().as_u128() % span).unwrap_or_default()
}

/// Whether nobody listens on `port` of the loopback.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port `wanted` or an error that names who has it; without a wish the `last` one if still free, else any.
pub(crate) fn choose(component: &'static str, wanted: Option<u16>, last: Option<u16>) -> Result<u16> {
    match wanted {
        Some(port) if is_free(port) => Ok(port),
        Some(port) => Err(Error::PortTaken { component, port, holder: holder(port) }),
        None => Ok(last.filter(|port| is_free(*port)).map_or_else(free, Ok)?),
    }
}

/// Who listens on `port`, as `name (pid 123)`, where the system lets us see it.
pub fn holder(port: u16) -> Option<String> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| table.lines().skip(1).find_map(|line| listening(line, port)))?;
    let wanted = format!("socket:[{sockets}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = std::fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files
            .find(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(format!("{} (pid {pid})", name.trim_end()))
    })
}

/// The socket's number if this line of `/proc/net/tcp` is a listener (state 0A) on `port`.
fn listening(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
    (local == port && *fields.get(3)? == "0A").then(|| fields.get(9)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_chosen_twice_nor_one_that_the_system_gives_away() {
        let ports: Vec<u16> = (0..500).map(|_| free().unwrap()).collect();
        let apart: HashSet<_> = ports.iter().collect();
        assert_eq!(apart.len(), ports.len());
        assert!(ports.iter().all(|port| OURS.contains(port)), "{ports:?}");
    }

    #[test]
    fn a_port_in_use_names_its_holder() {
        let port = free().unwrap();
        assert!(is_free(port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
        assert!(holder(port).unwrap().ends_with(&format!("(pid {})", std::process::id())));
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
