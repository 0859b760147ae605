//! Wire types of user-management, one file a part, with the rules that the bare types do not hold.

pub mod admin;
pub mod audit;
pub mod auth;
pub mod clients;
mod email;
pub mod events;
pub mod profile;
mod rules;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::email::{EmailError, check_email};
use crate::access::Role;

/// A role that a person can hold. `service` is not among them: it belongs to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    Customer,
    Support,
    Admin,
}

impl AccountRole {
    /// The stable name, as on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Customer => Self::Customer,
            AccountRole::Support => Self::Support,
            AccountRole::Admin => Self::Admin,
        }
    }
}

impl std::str::FromStr for AccountRole {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "customer" => Ok(Self::Customer),
            "support" => Ok(Self::Support),
            "admin" => Ok(Self::Admin),
            other => Err(format!("no account role is called `{other}`")),
        }
    }
}
