//! Every query, one file a noun. Functions take an executor; the handler opens the transaction. No HTTP in here.

pub mod addresses;
pub mod admin;
pub mod audit;
pub mod clients;
pub mod profile;

/// What became of a change that names the version it is based on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<T> {
    Done(T),
    /// Somebody else changed it since.
    Stale,
    /// There is no such thing, or not for this user.
    Missing,
}
