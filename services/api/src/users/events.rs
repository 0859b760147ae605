//! The domain events of user-management that end access tokens before their time, for those who tell them and those
//! who follow.

use serde::Deserialize;

use crate::SessionId;

/// Sessions ended before their time: their access tokens are refused from now on.
pub const SESSION_REVOKED: &str = "session.revoked";

/// An account has other roles. Its sessions go on, but the access tokens that they have say otherwise.
pub const ROLES_CHANGED: &str = "user.roles_changed";

/// What both of them carry beside others: a follower reads no more, so that a role it has never heard of stops nobody.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Affected {
    /// The sessions whose tokens they are.
    pub sessions: Vec<SessionId>,
}
