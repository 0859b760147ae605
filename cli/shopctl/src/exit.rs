//! The exit codes: an API that scripts and pipelines rely on (the table of the release design).
//! Must not decide which error gets which code: each error carries its own.
use std::process::ExitCode;

use serde::Serialize;

/// How a command ended. The number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Done,
    Unexpected,
    Usage,
    GateRefused,
    RolledBack,
    RolloutFailed,
    LockBusy,
    NotAuthorised,
    DeadlinePassed,
    Unreachable,
    Difference,
    GateUnclear,
    BuildFailed,
    MeasurementInvalid,
    Interrupted,
    Terminated,
}

impl Exit {
    /// Every exit with its number and what it tells a script, in the order of the numbers.
    pub const TABLE: [(Self, u8, &'static str); 16] = [
        (Self::Done, 0, "done"),
        (Self::Unexpected, 1, "unexpected error"),
        (Self::Usage, 2, "wrong usage, or a mistake in shop.toml"),
        (Self::GateRefused, 3, "a gate said no"),
        (Self::RolledBack, 4, "rollout failed, rolled back and healthy"),
        (Self::RolloutFailed, 5, "rollout failed, not rolled back"),
        (Self::LockBusy, 6, "another command holds the lock"),
        (Self::NotAuthorised, 7, "not authorised"),
        (Self::DeadlinePassed, 8, "deadline passed, state unknown"),
        (Self::Unreachable, 9, "environment unreachable"),
        (Self::Difference, 10, "a difference was found"),
        (Self::GateUnclear, 11, "a gate could not tell"),
        (Self::BuildFailed, 12, "build or tests failed"),
        (Self::MeasurementInvalid, 13, "measurement invalid"),
        (Self::Interrupted, 130, "interrupted (SIGINT)"),
        (Self::Terminated, 143, "terminated (SIGTERM)"),
    ];

    /// The number that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).expect("TABLE has every variant (tested)").1
    }

    /// The exit with this number, as another process of ours ended with it.
    #[must_use]
    pub fn of(code: Option<i32>) -> Option<Self> {
        Self::TABLE.iter().find(|row| Some(i32::from(row.1)) == code).map(|row| row.0)
    }

    /// The table as the last section of `--help`.
    #[must_use]
    pub fn help() -> String {
        let rows = Self::TABLE.map(|(_, code, meaning)| format!("  {code:>3}  {meaning}"));
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next variant in the order of the table. The compiler asks for a line here when one is added.
    fn after(exit: Exit) -> Option<Exit> {
        match exit {
            Exit::Done => Some(Exit::Unexpected),
            Exit::Unexpected => Some(Exit::Usage),
            Exit::Usage => Some(Exit::GateRefused),
            Exit::GateRefused => Some(Exit::RolledBack),
            Exit::RolledBack => Some(Exit::RolloutFailed),
            Exit::RolloutFailed => Some(Exit::LockBusy),
            Exit::LockBusy => Some(Exit::NotAuthorised),
            Exit::NotAuthorised => Some(Exit::DeadlinePassed),
            Exit::DeadlinePassed => Some(Exit::Unreachable),
            Exit::Unreachable => Some(Exit::Difference),
            Exit::Difference => Some(Exit::GateUnclear),
            Exit::GateUnclear => Some(Exit::BuildFailed),
            Exit::BuildFailed => Some(Exit::MeasurementInvalid),
            Exit::MeasurementInvalid => Some(Exit::Interrupted),
            Exit::Interrupted => Some(Exit::Terminated),
            Exit::Terminated => None,
        }
    }

    #[test]
    fn every_exit_has_its_number() {
        let all = std::iter::successors(Some(Exit::Done), |exit| after(*exit));
        let numbers: Vec<u8> = all.map(Exit::code).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 130, 143]);
    }
}
