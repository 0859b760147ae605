//! Wire types of administration: search, roles, audit log, service clients; and the rules of their fields. Who may do
//! what is decided by the service.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::profile::UserStatus;
use super::{AccountRole, rules};
use crate::access::{Permission, Role};
use crate::ids::{AuditId, ClientId, UserId};
use crate::page::MAX_LIMIT;
use crate::{Validate, Violations};

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
        pattern = r"^[^\u0000-\u001f\u007f]*$",
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
        page(v, self.limit, self.cursor.as_deref());
    }
}

fn page(v: &mut Violations, limit: Option<u32>, cursor: Option<&str>) {
    if let Some(limit) = limit {
        v.range("?limit", limit, 1, MAX_LIMIT);
    }
    if let Some(cursor) = cursor {
        v.length("?cursor", cursor, 1, 1024);
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
    /// Sessions that have not ended.
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
    /// Kept in the audit log and shown to administrators.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$"
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

/// Which entries of the audit log to list, newest first.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Entries about this user, or made by it.
    #[param(nullable = false, value_type = Option<UserId>, inline)]
    pub user: Option<UserId>,
    /// One action, for example `user.disabled`.
    #[param(nullable = false, max_length = 60, pattern = "^[a-z_]+[.][a-z_]+$", example = "user.disabled")]
    pub action: Option<String>,
    /// How many a page holds.
    #[param(nullable = false, minimum = 1, maximum = 100, example = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(nullable = false, min_length = 1, max_length = 1024)]
    pub cursor: Option<String>,
}

impl Validate for AuditQuery {
    fn validate(&self, v: &mut Violations) {
        if let Some(action) = &self.action {
            let word =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let fits = action.len() <= 60
                && action.split_once('.').is_some_and(|(noun, verb)| word(noun) && word(verb));
            v.check(fits, "?action", "malformed", "must be an action like user.disabled");
        }
        page(v, self.limit, self.cursor.as_deref());
    }
}

/// One line of the audit log. It is never changed or removed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a72", "at": "2026-11-22T10:00:00Z",
    "actor": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a01", "subject": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70",
    "action": "user.disabled", "request_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a73",
    "address_prefix": "203.0.113.0/24", "detail": { "reason": "chargeback under investigation" }
}))]
pub struct AuditEntry {
    pub id: AuditId,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who did it; absent for the service itself and for people not signed in.
    pub actor: Option<Uuid>,
    /// To whom.
    pub subject: Option<Uuid>,
    pub action: String,
    pub request_id: Option<String>,
    /// The network the request came from, never the whole address.
    pub address_prefix: Option<String>,
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// A service that shall get tokens of its own.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "order-management" }))]
pub struct NewClient {
    /// Unique among living clients.
    #[schema(pattern = "^[a-z][a-z0-9-]{1,62}$")]
    pub name: String,
}

impl Validate for NewClient {
    fn validate(&self, v: &mut Violations) {
        let fits = (2..=63).contains(&self.name.len())
            && self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        v.check(fits, "/name", "malformed", "must be a name like order-management");
    }
}

/// A service client, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Client {
    pub id: ClientId,
    pub name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Secrets that work now: one, or two while a rotation overlaps.
    pub secrets: Vec<ClientSecret>,
}

/// When a secret was made and until when it works; the secret itself is kept only as a hash.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClientSecret {
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Absent for the newest.
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// Every living service client; there are few, so there are no pages.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "items": [{
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a74", "name": "order-management", "created_at": "2026-11-22T09:00:00Z",
    "secrets": [{ "created_at": "2026-11-22T09:00:00Z", "expires_at": null }]
}] }))]
pub struct ClientList {
    pub items: Vec<Client>,
}

/// A new secret, shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "client_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a74", "name": "order-management",
    "client_secret": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc"
}))]
pub struct ClientCredentials {
    pub client_id: ClientId,
    pub name: String,
    pub client_secret: String,
}
