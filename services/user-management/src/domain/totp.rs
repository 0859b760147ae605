//! The second factor: RFC 6238 codes (SHA-1, six digits, 30 s, one step of skew) and recovery codes. Which steps
//! were already used is the database's knowledge (`db::totp`), and the time is handed in.

use std::fmt;

use aws_lc_rs::rand;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::token::SecretHash;

/// Recovery codes of one set.
pub const RECOVERY_CODES: usize = 10;
/// Crockford's alphabet: nothing in it is mistaken for another letter.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The 160-bit seed that an authenticator app and this service share.
pub struct Seed(Zeroizing<[u8; 20]>);

impl Seed {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random source.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 20]);
        rand::fill(&mut *bytes).expect("the system has a random source");
        Self(bytes)
    }

    /// A seed as it was stored; `None` when it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// For sealing only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The seed as people type it into an app.
    #[must_use]
    pub fn base32(&self) -> String {
        Secret::new_stack(*self.0).to_base32()
    }

    /// The 30-second step for which `code` is right at this Unix time: the present one or a neighbour.
    #[must_use]
    pub fn step_of(&self, code: &str, unix_seconds: u64) -> Option<u64> {
        self.generator().check(code, unix_seconds)
    }

    /// The code of this Unix time.
    #[must_use]
    pub fn code_at(&self, unix_seconds: u64) -> String {
        self.generator().generate(unix_seconds).to_string()
    }

    /// What a QR code for an authenticator app holds.
    #[must_use]
    pub fn otpauth_url(&self, issuer: &str, account: &str) -> String {
        let encoded = |text: &str| {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
        };
        let (issuer, account) = (encoded(issuer), encoded(account));
        format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            self.base32()
        )
    }

    fn generator(&self) -> Totp {
        Builder::new().with_secret(Secret::new_stack(*self.0)).build_noncompliant()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// A code that stands in for the app once: 80 random bits as `XXXX-XXXX-XXXX-XXXX`.
#[derive(PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no random source.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0_u8; 16]);
        rand::fill(&mut *bytes).expect("the system has a random source");
        // Five bits of each byte: 32 letters divide 256 evenly, so no letter is likelier than another.
        Self(Zeroizing::new(bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect()))
    }

    /// A code as people type it: any case, with or without dashes, O for 0 and I or L for 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let letters =
            text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            });
        let code: Zeroizing<String> = Zeroizing::new(letters.collect());
        let ours = code.len() == 16 && code.bytes().all(|b| ALPHABET.contains(&b));
        ours.then_some(Self(code))
    }

    /// What is stored.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }

    /// The code for its owner, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, SHA-1, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let seed = Seed::from_bytes(b"12345678901234567890").unwrap();
        for (at, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037"), (20_000_000_000, "353130")]
        {
            assert_eq!(seed.code_at(at), code);
            assert_eq!(seed.step_of(code, at), Some(at / 30));
        }
    }

    #[test]
    fn a_code_lives_one_step_either_way() {
        let seed = Seed::from_bytes(b"12345678901234567890").unwrap();
        let at = 1_111_111_109;
        let code = seed.code_at(at);
        assert_eq!(seed.step_of(&code, at + 30), Some(at / 30));
        assert_eq!(seed.step_of(&code, at - 30), Some(at / 30));
        assert_eq!(seed.step_of(&code, at + 61), None);
        assert_eq!(seed.step_of(&code, at - 61), None);
        for odd in ["", "28708", "2870822", "abcdef", "０８１８０４"] {
            assert_eq!(seed.step_of(odd, at), None, "{odd:?}");
        }
    }

    #[test]
    fn the_address_for_apps_is_escaped() {
        let url =
            Seed::from_bytes(b"12345678901234567890").unwrap().otpauth_url("Our shop", "a+b&c@example.org");
        assert_eq!(
            url,
            "otpauth://totp/Our%20shop:a%2Bb%26c%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Our%20shop&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let code = RecoveryCode::generate();
        let shown = code.reveal();
        assert_eq!(shown.len(), 19);
        assert_eq!(
            RecoveryCode::parse(&shown.to_lowercase().replace('-', " ")),
            Some(RecoveryCode(code.0.clone()))
        );
        assert_eq!(
            RecoveryCode::parse(&shown.replace('0', "o").replace('1', "L")).unwrap().hash(),
            code.hash()
        );
        assert!(RecoveryCode::parse("").is_none() && RecoveryCode::parse(&"U".repeat(16)).is_none());
    }
}
