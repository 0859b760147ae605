//! How many files this process may have open, and how many of them may be clients' connections. Without a reserve one
//! client's idle connections take the last of them, and then no probe is answered and no dependency reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For all that is neither a client's connection nor of the database's pool: the admin port, Redis, RabbitMQ, mail, the
/// issuer, keys and passwords while they are read, the log, the runtime.
const RESERVE: u64 = 64;

/// Raises the limit as far as it may be, and gives how many of the wanted connections fit beside the database's.
pub(super) fn connections(wanted: u32, database: u32) -> u32 {
    let Some(limit) = raised() else { return wanted };
    let fit = room(limit, database);
    if wanted > fit {
        tracing::warn!(
            max_connections = wanted,
            open_files = limit,
            "no more than {fit} connections are taken, fewer than MAX_CONNECTIONS: raise the limit of open files (ulimit -n)"
        );
    }
    wanted.min(fit)
}

/// The limit of open files; `None` where there is none. The soft one is low for programs that `select`: we do not.
fn raised() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current;
    }
    maximum
}

/// Never nothing: a service that takes no connection is of less use than one that may run out of files.
fn room(limit: u64, database: u32) -> u32 {
    let left = limit.saturating_sub(RESERVE + u64::from(database));
    u32::try_from(left.max(limit / 4).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_the_rest_and_for_somebody() {
        assert_eq!(room(1024, 20), 940);
        assert_eq!(room(100, 20), 25);
        assert_eq!(room(3, 20), 1);
        assert_eq!(room(u64::MAX, 20), u32::MAX);
    }
}
