//! Wire types of service clients and their secrets. How long an old secret works is decided by the service.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::ids::ClientId;
use crate::{Validate, Violations};

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
