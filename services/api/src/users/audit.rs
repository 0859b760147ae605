//! Wire types of the audit log, and the rules of their fields. Who may read it is decided by the service.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::ids::{AuditId, UserId};
use crate::{Validate, Violations, page};

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
        page::check(v, self.limit, self.cursor.as_deref());
    }
}

/// One line of the audit log. It is never changed, and kept for as long as the shop says, ninety days at the least.
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
