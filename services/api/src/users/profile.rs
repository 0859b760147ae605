//! Wire types of a user’s own account: profile, e-mail, password, addresses, export; and the rules of their fields.
//!
//! What needs the database or a secret (is the password right, is the address taken) is decided by the service.

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::audit::AuditEntry;
use super::auth::{PASSWORD, Session, second_factor};
use super::{AccountRole, rules};
use crate::country::Country;
use crate::ids::{AddressId, UserId};
use crate::{Validate, Violations};

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// May sign in.
    Active,
    /// Stopped by an administrator; may be enabled again.
    Disabled,
    /// Closed by its owner and anonymised; never comes back.
    Deleted,
}

impl UserStatus {
    /// The stable name, as on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

impl std::str::FromStr for UserStatus {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "active" => Ok(Self::Active),
            "disabled" => Ok(Self::Disabled),
            "deleted" => Ok(Self::Deleted),
            other => Err(format!("no account status is called `{other}`")),
        }
    }
}

/// The signed-in user's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "email": "ada@shop.example", "email_verified": true,
    "status": "active", "roles": ["customer"], "display_name": "Ada Lovelace", "phone": "+442079460000",
    "locale": "en-GB", "two_factor": false,
    "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z"
}))]
pub struct Account {
    pub id: UserId,
    pub email: String,
    /// False until the address was proved by the link in its mail.
    pub email_verified: bool,
    pub status: UserStatus,
    pub roles: Vec<AccountRole>,
    /// Empty until the user gives one.
    pub display_name: String,
    pub phone: Option<String>,
    /// BCP 47 language and region, for whoever shows something to the user; mails are in English.
    pub locale: String,
    /// True when signing in asks for a TOTP code.
    pub two_factor: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A change of the profile: what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "display_name": "Ada King", "phone": null }))]
pub struct UpdateProfile {
    /// No control characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub display_name: Option<String>,
    /// E.164; `null` takes the number away.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = r"^\+[1-9][0-9]{6,14}$")]
    pub phone: Option<Option<String>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, pattern = r"^[a-z]{2,3}(-[A-Z]{2})?$")]
    pub locale: Option<String>,
}

impl UpdateProfile {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.display_name.is_none() && self.phone.is_none() && self.locale.is_none()
    }
}

impl Validate for UpdateProfile {
    fn validate(&self, v: &mut Violations) {
        if let Some(name) = &self.display_name {
            rules::line(v, "/display_name", name, rules::NAME_MAX);
        }
        if let Some(Some(number)) = &self.phone {
            rules::phone(v, "/phone", number);
        }
        if let Some(locale) = &self.locale {
            rules::locale(v, "/locale", locale);
        }
    }
}

/// Present and not `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// Present, and perhaps `null`: "take it away" is not "leave it".
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// A new password in place of the present one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "correct horse battery staple", "new_password": "violet-otter-under-9-lamps" }))]
pub struct ChangePassword {
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub current_password: String,
    /// Needed with a second factor in force: of the app, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\u0000]*$")]
    pub code: Option<String>,
    /// 12 to 256 characters, not a common password, not made of the e-mail address.
    #[schema(min_length = 12, max_length = 256, pattern = r"^[^\u0000]*$")]
    pub new_password: String,
}

impl Validate for ChangePassword {
    fn validate(&self, v: &mut Violations) {
        v.length("/current_password", &self.current_password, 1, PASSWORD);
        second_factor(v, self.code.as_deref());
        rules::new_password(v, &self.new_password);
    }
}

/// Asks for another e-mail address; it takes effect when the mail sent there was answered.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada.king@shop.example", "password": "correct horse battery staple" }))]
pub struct ChangeEmail {
    #[schema(max_length = 254, format = "email")]
    pub email: String,
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub password: String,
    /// Needed with a second factor in force: of the app, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\u0000]*$")]
    pub code: Option<String>,
}

impl Validate for ChangeEmail {
    fn validate(&self, v: &mut Violations) {
        rules::email(v, &self.email);
        v.length("/password", &self.password, 1, PASSWORD);
        second_factor(v, self.code.as_deref());
    }
}

/// A postal address as its owner writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "label": "Home", "recipient": "Ada Lovelace", "line1": "12 St James's Square", "city": "London",
    "postal_code": "SW1Y 4JH", "country": "GB", "is_default": true
}))]
pub struct AddressInput {
    /// What the owner calls it; empty where there is nothing to say, as in the other optional texts.
    #[serde(default)]
    #[schema(max_length = 50, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub label: String,
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*[^\u0000-\u0020\u007f-\u009f\u2028-\u202e\u2066-\u2069][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
    )]
    pub recipient: String,
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*[^\u0000-\u0020\u007f-\u009f\u2028-\u202e\u2066-\u2069][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
    )]
    pub line1: String,
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub line2: String,
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*[^\u0000-\u0020\u007f-\u009f\u2028-\u202e\u2066-\u2069][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
    )]
    pub city: String,
    /// State, province or county, where the country uses one.
    #[serde(default)]
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub region: String,
    /// Empty where the country has none.
    #[serde(default)]
    #[schema(max_length = 20, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub postal_code: String,
    pub country: Country,
    /// E.164.
    #[serde(default)]
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    pub phone: Option<String>,
    /// True makes this the default in place of the one before. The first address is the default in any case.
    #[serde(default)]
    pub is_default: bool,
}

impl Validate for AddressInput {
    fn validate(&self, v: &mut Violations) {
        rules::line(v, "/label", &self.label, 50);
        rules::filled_line(v, "/recipient", &self.recipient, 100);
        rules::filled_line(v, "/line1", &self.line1, 200);
        rules::line(v, "/line2", &self.line2, 200);
        rules::filled_line(v, "/city", &self.city, 100);
        rules::line(v, "/region", &self.region, 100);
        rules::line(v, "/postal_code", &self.postal_code, 20);
        if let Some(number) = &self.phone {
            rules::phone(v, "/phone", number);
        }
    }
}

/// A saved address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a71", "label": "Home", "recipient": "Ada Lovelace",
    "line1": "12 St James's Square", "line2": "", "city": "London", "region": "", "postal_code": "SW1Y 4JH",
    "country": "GB", "phone": null, "is_default": true,
    "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z"
}))]
pub struct Address {
    pub id: AddressId,
    pub label: String,
    pub recipient: String,
    pub line1: String,
    pub line2: String,
    pub city: String,
    pub region: String,
    pub postal_code: String,
    pub country: Country,
    pub phone: Option<String>,
    pub is_default: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Every address of a user; there are at most fifty, so there are no pages.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "items": [{
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a71", "label": "Home", "recipient": "Ada Lovelace",
    "line1": "12 St James's Square", "line2": "", "city": "London", "region": "", "postal_code": "SW1Y 4JH",
    "country": "GB", "phone": null, "is_default": true,
    "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z"
}] }))]
pub struct AddressList {
    pub items: Vec<Address>,
}

/// How an account is protected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Security {
    #[serde(with = "time::serde::rfc3339")]
    pub password_changed_at: OffsetDateTime,
    /// Since when signing in asks for a TOTP code.
    #[serde(with = "time::serde::rfc3339::option")]
    pub two_factor_since: Option<OffsetDateTime>,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: i64,
    /// An address that was asked for and not proved yet.
    pub pending_email: Option<String>,
    /// When the account was last used from each network it is known at; of the networks only hashes are kept.
    /// The thousand it was used from last.
    pub known_places: Vec<KnownPlace>,
}

/// A network from which the account signed in before.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KnownPlace {
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
}

/// Everything that is held about a user here. What cannot be told apart from random bytes (hashes of passwords and
/// tokens, the sealed second factor) is named and left out.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "exported_at": "2026-11-22T10:00:00Z",
    "account": {
        "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "email": "ada@shop.example", "email_verified": true,
        "status": "active", "roles": ["customer"], "display_name": "Ada Lovelace", "phone": null, "locale": "en",
        "two_factor": false, "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z"
    },
    "security": {
        "password_changed_at": "2026-11-22T09:00:00Z", "two_factor_since": null, "recovery_codes_left": 0,
        "pending_email": null, "known_places": [{ "last_seen_at": "2026-11-22T09:00:00Z" }]
    },
    "addresses": [], "sessions": [], "activity": []
}))]
pub struct Export {
    #[serde(with = "time::serde::rfc3339")]
    pub exported_at: OffsetDateTime,
    pub account: Account,
    pub security: Security,
    pub addresses: Vec<Address>,
    pub sessions: Vec<Session>,
    /// The audit log as far as it tells of this user, newest first.
    pub activity: Vec<AuditEntry>,
}
