//! Which exit code a trouble of the stack is. Must not word it anew: the engine has said what and what next.
use shop_devstack::Trouble;

use crate::error::CommandError;
use crate::exit::Exit;

/// The command's error for a trouble.
#[expect(clippy::needless_pass_by_value, reason = "has the shape that `map_err` takes")]
pub(super) fn of(trouble: Trouble) -> CommandError {
    let kind = match &trouble {
        Trouble::Held { .. } => Exit::LockBusy,
        Trouble::NoSuchService { .. }
        | Trouble::Usage(_)
        | Trouble::Unconfirmed { .. }
        | Trouble::PasswordFile { .. }
        | Trouble::StateFolder { named: true, .. } => Exit::Usage,
        // A service's numbers are those of this table too: 2 for its configuration or its schema, 9 for what it
        // cannot reach.
        Trouble::Command { code: Some(2), .. } => Exit::Usage,
        Trouble::Command { code: Some(9), .. } => Exit::Unreachable,
        Trouble::Command { .. } => Exit::Unexpected,
        Trouble::Unmarked { .. } | Trouble::RoleNeeded { .. } => Exit::GateRefused,
        Trouble::Build { .. } => Exit::BuildFailed,
        Trouble::Interrupted => Exit::Interrupted,
        Trouble::Io(_) => Exit::Unexpected,
        Trouble::NotUp(_)
        | Trouble::NothingToSeed(_)
        | Trouble::PortTaken { .. }
        | Trouble::Environment(_)
        | Trouble::NoPostgres { .. }
        | Trouble::Refused { .. }
        | Trouble::OwnServer { .. }
        | Trouble::StateFolder { .. }
        | Trouble::Broken { .. }
        | Trouble::DataLeft { .. }
        | Trouble::NotReady { .. }
        | Trouble::Extra { .. }
        | Trouble::Image { .. }
        | Trouble::Component(_) => Exit::Unreachable,
    };
    let next = trouble.next();
    let error = CommandError::new(kind, trouble.to_string());
    match next {
        Some(next) => error.hint(next),
        None => error,
    }
}
