//! Wire types of administration: search and roles, and the rules of their fields. Who may do what is decided by the
//! service.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::profile::UserStatus;
use super::{AccountRole, rules};
use crate::access::{Permission, Role};
use crate::ids::UserId;
use crate::{Validate, Violations, page};

/// What to search for. Filters narrow each other; none lists everybody, oldest first.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// The beginning of an e-mail address or of a display name; upper and lower case are one.
    #[param(
        nullable = false,
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$",
        example = "ada"
    )]
    pub q: Option<String>,
    #[param(nullable = false, inline)]
    pub status: Option<UserStatus>,
    #[param(nullable = false, inline)]
    pub role: Option<AccountRole>,
    /// How many a page holds.
    #[param(nullable = false, minimum = 1, maximum = 100, example = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(nullable = false, min_length = 1, max_length = 1024)]
    pub cursor: Option<String>,
}

impl Validate for UserQuery {
    fn validate(&self, v: &mut Violations) {
        if let Some(q) = &self.q {
            rules::filled_line(v, "?q", q, rules::NAME_MAX);
        }
        page::check(v, self.limit, self.cursor.as_deref());
    }
}

/// A user as an administrator sees it in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "email": "ada@shop.example", "email_verified": true,
    "status": "active", "roles": ["customer"], "display_name": "Ada Lovelace", "created_at": "2026-11-22T09:00:00Z"
}))]
pub struct UserSummary {
    pub id: UserId,
    pub email: String,
    pub email_verified: bool,
    pub status: UserStatus,
    pub roles: Vec<AccountRole>,
    pub display_name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A user as an administrator sees it alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "email": "ada@shop.example", "email_verified": true,
    "status": "disabled", "disabled_reason": "chargeback under investigation", "roles": ["customer"],
    "display_name": "Ada Lovelace", "phone": null, "locale": "en", "two_factor": false, "live_sessions": 0,
    "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T10:00:00Z"
}))]
pub struct UserDetail {
    pub id: UserId,
    pub email: String,
    pub email_verified: bool,
    pub status: UserStatus,
    /// Why an administrator disabled it.
    pub disabled_reason: Option<String>,
    pub roles: Vec<AccountRole>,
    pub display_name: String,
    pub phone: Option<String>,
    pub locale: String,
    pub two_factor: bool,
    /// Sessions that have not ended, as of now: the `ETag` is that of the account, and stays when one begins or ends.
    pub live_sessions: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Stops an account; its sessions end at once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "chargeback under investigation" }))]
pub struct DisableUser {
    /// Shown to administrators, and kept in the audit log when the account is closed: no place for what identifies a
    /// person.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*[^\u0000-\u0020\u007f-\u009f\u2028-\u202e\u2066-\u2069][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
    )]
    pub reason: String,
}

impl Validate for DisableUser {
    fn validate(&self, v: &mut Violations) {
        rules::filled_line(v, "/reason", &self.reason, 500);
    }
}

/// The whole set of roles a user shall have.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "roles": ["customer", "support"] }))]
pub struct SetRoles {
    #[schema(min_items = 1, max_items = 3)]
    pub roles: Vec<AccountRole>,
}

impl Validate for SetRoles {
    fn validate(&self, v: &mut Violations) {
        v.range("/roles", self.roles.len(), 1, 3);
    }
}

/// A role and what it may do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoleInfo {
    pub role: Role,
    /// What it is for.
    pub about: String,
    pub permissions: Vec<Permission>,
}

/// Every role there is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "items": [{
    "role": "support", "about": "Helps customers: sees accounts, changes none.",
    "permissions": ["users:search", "users:read"]
}] }))]
pub struct RoleList {
    pub items: Vec<RoleInfo>,
}

/// A permission and the roles that grant it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PermissionInfo {
    pub permission: Permission,
    /// What it is for.
    pub about: String,
    pub granted_by: Vec<Role>,
}

/// Every permission there is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "items": [{
    "permission": "users:search", "about": "Search accounts.", "granted_by": ["support", "admin"]
}] }))]
pub struct PermissionList {
    pub items: Vec<PermissionInfo>,
}
