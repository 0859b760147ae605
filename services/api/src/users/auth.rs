//! Wire types of signing in: registration, log-in, tokens, sessions, second factor.
//!
//! Types that hold a secret have no `Debug`, so that none can reach a log by accident.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::rules;
use crate::ids::SessionId;
use crate::{Validate, Violations};

/// Asks for an account. The answer is the same whether or not the address has one already.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@shop.example", "password": "correct horse battery staple", "display_name": "Ada Lovelace"
}))]
pub struct Register {
    #[schema(max_length = 254, format = "email")]
    pub email: String,
    /// 12 to 256 characters, not a common password, not made of the e-mail address.
    #[schema(min_length = 12, max_length = 256, pattern = r"^[^\u0000]*$")]
    pub password: String,
    /// No control characters.
    #[serde(default)]
    #[schema(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$")]
    pub display_name: String,
}

/// Names an account by its e-mail address.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@shop.example" }))]
pub struct EmailOnly {
    #[schema(max_length = 254, format = "email")]
    pub email: String,
}

/// What is answered whether or not there is such an account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "message": "if the address can be used, a mail with the next step is on its way" }))]
pub struct MailOnItsWay {
    pub message: String,
}

/// The token of a mailed link.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "token": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc" }))]
pub struct MailToken {
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000]*$")]
    pub token: String,
}

/// A new password, with the token of the mailed link instead of the old one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "token": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc", "new_password": "violet-otter-under-9-lamps"
}))]
pub struct ResetPassword {
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000]*$")]
    pub token: String,
    /// 12 to 256 characters, not a common password, not made of the e-mail address.
    #[schema(min_length = 12, max_length = 256, pattern = r"^[^\u0000]*$")]
    pub new_password: String,
}

/// Signs in. With a second factor, one of the two codes is needed as well: send the same again with it after
/// `second_factor_required`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@shop.example", "password": "correct horse battery staple" }))]
pub struct Login {
    #[schema(max_length = 254, format = "email")]
    pub email: String,
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub password: String,
    /// Six digits of the authenticator app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{6}$")]
    pub totp_code: Option<String>,
    /// One of the ten codes for when the app is lost; it works once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = r"^[^\u0000]*$")]
    pub recovery_code: Option<String>,
}

/// Asks for a new pair of tokens.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refresh_token": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc" }))]
pub struct Refresh {
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000]*$")]
    pub refresh_token: String,
}

/// How an access token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum TokenType {
    Bearer,
}

/// What a signed-in client holds. The refresh token works once and comes back renewed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "token_type": "Bearer", "access_token": "eyJhbGciOiJFZERTQSIs…", "expires_in": 900,
    "refresh_token": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc", "refresh_expires_at": "2026-12-06T09:00:00Z",
    "session_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a75"
}))]
pub struct Tokens {
    pub token_type: TokenType,
    /// A signed JWT (RFC 9068) for the `Authorization` header.
    pub access_token: String,
    /// Seconds for which the access token is good.
    pub expires_in: u32,
    /// Opaque. Keep it where scripts cannot read it.
    pub refresh_token: String,
    /// When the session ends unless it is refreshed before.
    #[serde(with = "time::serde::rfc3339")]
    pub refresh_expires_at: OffsetDateTime,
    pub session_id: SessionId,
}

/// The only grant of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    ClientCredentials,
}

/// A service asks for a token of its own (RFC 6749 §4.4), as a form. The credentials may come as HTTP Basic instead.
/// Unknown parameters are ignored, as §3.2 demands.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "grant_type": "client_credentials", "client_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a74",
    "client_secret": "q3Vv0Yx1k0m8t6cJw1n3l5p7r9sUuWwXxYyZzAaBbCc"
}))]
pub struct TokenRequest {
    pub grant_type: GrantType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\u0000]*$")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\u0000]*$")]
    pub client_secret: Option<String>,
}

/// A service's token (RFC 6749 §5.1).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "token_type": "Bearer", "access_token": "eyJhbGciOiJFZERTQSIs…", "expires_in": 900
}))]
pub struct ServiceToken {
    pub token_type: TokenType,
    pub access_token: String,
    /// Seconds for which it is good.
    pub expires_in: u32,
}

/// One public key (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// Always `EdDSA`.
    pub alg: String,
    /// Always `sig`.
    pub r#use: String,
    /// The thumbprint of the key (RFC 7638).
    pub kid: String,
    /// The key itself, base64url.
    pub x: String,
}

/// Every key under which a good token may be signed: the present one, the next and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "keys": [{
    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}] }))]
pub struct Jwks {
    pub keys: Vec<Jwk>,
}

/// A signed-in device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: SessionId,
    /// True for the session of this very request.
    pub current: bool,
    /// As the browser or program called itself.
    pub user_agent: String,
    /// Where it signed in from.
    pub address: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The last refresh.
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Every live session of a user, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "items": [{
    "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a75", "current": true, "user_agent": "Mozilla/5.0",
    "address": "203.0.113.7", "created_at": "2026-11-22T09:00:00Z", "last_used_at": "2026-11-22T09:00:00Z",
    "expires_at": "2026-12-06T09:00:00Z"
}] }))]
pub struct SessionList {
    /// All of them: an account has a hundred at most, and the one that was used longest ago gives way.
    pub items: Vec<Session>,
}

/// Says once more who one is before something that a stolen access token must not do.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "correct horse battery staple" }))]
pub struct ConfirmPassword {
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub password: String,
}

/// Closes the account, said once more by who one is.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "correct horse battery staple" }))]
pub struct CloseAccount {
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub password: String,
    /// Needed with a second factor in force: of the app, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\u0000]*$")]
    pub code: Option<String>,
}

/// A second factor that waits for its first code.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "otpauth_url": "otpauth://totp/Shop:ada%40shop.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Shop"
}))]
pub struct TotpStarted {
    /// The seed, base32, for typing into an app.
    pub secret: String,
    /// The same for a QR code.
    pub otpauth_url: String,
}

/// A code of the authenticator app.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "123456" }))]
pub struct TotpCode {
    #[schema(pattern = "^[0-9]{6}$")]
    pub code: String,
}

/// Says once more who one is, with the second factor: the password, and a code of the app or a recovery code.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "correct horse battery staple", "code": "123456" }))]
pub struct ConfirmWithCode {
    #[schema(min_length = 1, max_length = 1024, pattern = r"^[^\u0000]*$")]
    pub password: String,
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\u0000]*$")]
    pub code: String,
}

/// The codes for when the app is lost, shown this once; each works once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "recovery_codes": ["7K3M-ZQ9T-X4B2-W8HN"] }))]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

/// Most characters of a password and of an opaque token: bounds on what is looked at, not the rules of a new password.
/// Those count composed characters, and decomposed text has up to four times as many.
pub(super) const PASSWORD: usize = 1024;
const TOKEN: usize = 128;

/// The service asks every rule itself: those of an address and of a new password are more than lengths, and a broken
/// length must not hide them.
impl Validate for Register {}

impl Register {
    /// The rules of the name alone.
    pub fn validate_name(&self, v: &mut Violations) {
        rules::line(v, "/display_name", &self.display_name, rules::NAME_MAX);
    }
}

impl Validate for EmailOnly {
    fn validate(&self, v: &mut Violations) {
        rules::email(v, &self.email);
    }
}

impl Validate for MailToken {
    fn validate(&self, v: &mut Violations) {
        v.length("/token", &self.token, 1, TOKEN);
    }
}

impl Validate for ResetPassword {
    fn validate(&self, v: &mut Violations) {
        v.length("/token", &self.token, 1, TOKEN);
        rules::new_password(v, &self.new_password);
    }
}

impl Validate for Login {
    fn validate(&self, v: &mut Violations) {
        rules::email(v, &self.email);
        v.length("/password", &self.password, 1, PASSWORD);
        if let Some(code) = &self.totp_code {
            digits(v, "/totp_code", code);
        }
        if let Some(code) = &self.recovery_code {
            v.length("/recovery_code", code, 1, 64);
        }
        let one = self.totp_code.is_none() || self.recovery_code.is_none();
        v.check(one, "/recovery_code", "one_of_two", "is one way and totp_code another: send one of them");
    }
}

impl Validate for Refresh {
    fn validate(&self, v: &mut Violations) {
        v.length("/refresh_token", &self.refresh_token, 1, TOKEN);
    }
}

impl Validate for TokenRequest {
    fn validate(&self, v: &mut Violations) {
        if let Some(id) = &self.client_id {
            v.length("/client_id", id, 1, 64);
        }
        if let Some(secret) = &self.client_secret {
            v.length("/client_secret", secret, 1, TOKEN);
        }
    }
}

impl Validate for ConfirmPassword {
    fn validate(&self, v: &mut Violations) {
        v.length("/password", &self.password, 1, PASSWORD);
    }
}

impl Validate for CloseAccount {
    fn validate(&self, v: &mut Violations) {
        v.length("/password", &self.password, 1, PASSWORD);
        second_factor(v, self.code.as_deref());
    }
}

impl Validate for TotpCode {
    fn validate(&self, v: &mut Violations) {
        digits(v, "/code", &self.code);
    }
}

impl Validate for ConfirmWithCode {
    fn validate(&self, v: &mut Violations) {
        v.length("/password", &self.password, 1, PASSWORD);
        second_factor(v, Some(&self.code));
    }
}

/// A code of either kind, where there is one.
pub(super) fn second_factor(v: &mut Violations, code: Option<&str>) {
    if let Some(code) = code {
        v.length("/code", code, 1, 64);
    }
}

fn digits(v: &mut Violations, pointer: &str, code: &str) {
    let six = code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit());
    v.check(six, pointer, "malformed", "must be six digits");
}
