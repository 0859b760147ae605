//! What a new password must be: long enough and not one that everybody tries. No composition rules
//! (NIST SP 800-63B-4 §3.1.1.2). Must not keep or show a password longer than its check and hash need it.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Fewest characters of a new password.
pub const MIN_CHARS: usize = 12;
/// Most characters of a password: far above any passphrase, and a bound on what is hashed.
pub const MAX_CHARS: usize = 256;

/// Sorted, lower case, one a line: the 19,640 commonest passwords of public breaches, as Django carries them
/// (BSD licence; made from the list of Royce Williams).
const COMMON: &str = include_str!("common_passwords.txt");

/// A password that passed the rules, in the normal form in which it is hashed.
pub struct NewPassword(Zeroizing<String>);

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("has fewer than 12 characters: a few words in a row are easy to remember")]
    TooShort,
    #[error("has more than 256 characters")]
    TooLong,
    #[error("is one of the passwords that everybody tries")]
    Common,
    #[error("is a short piece said over and over")]
    Repeated,
    #[error("is little more than the e-mail address or the name of the shop")]
    Guessable,
}

impl Weak {
    /// Stable name for the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::Common => "common",
            Self::Repeated => "repeated",
            Self::Guessable => "guessable",
        }
    }
}

/// The form in which passwords are hashed and compared: NFC, so that every keyboard types the same one.
#[must_use]
pub fn normalise(raw: &str) -> Zeroizing<String> {
    Zeroizing::new(raw.nfc().collect())
}

impl NewPassword {
    /// Checks a password that is to become that of the account with this e-mail.
    pub fn check(raw: &str, email: &str) -> Result<Self, Weak> {
        let password = normalise(raw);
        let chars = password.chars().count();
        if chars < MIN_CHARS {
            return Err(Weak::TooShort);
        }
        if chars > MAX_CHARS {
            return Err(Weak::TooLong);
        }
        let lower = Zeroizing::new(password.to_lowercase());
        if is_repeated(&lower) || is_a_row(&lower) {
            return Err(Weak::Repeated);
        }
        if is_common(&lower) || is_common_within_decoration(&lower) || is_made_of_common(&lower) {
            return Err(Weak::Common);
        }
        if is_guessable(&lower, email) {
            return Err(Weak::Guessable);
        }
        Ok(Self(password))
    }

    /// The password itself, for the hash only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(hidden)")
    }
}

/// Binary search over the bytes of the embedded list: no index is built and nothing is kept on the heap.
fn is_common(candidate: &str) -> bool {
    let (mut low, mut high) = (0, COMMON.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let start = COMMON.as_bytes()[..middle].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = COMMON.as_bytes()[start..].split(|&b| b == b'\n').next().unwrap_or_default();
        match line.cmp(candidate.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

/// `Football2026!!` is `football`: at most six digits or signs around a common password do not make it a new one.
fn is_common_within_decoration(lower: &str) -> bool {
    let core = lower.trim_matches(|c: char| !c.is_alphabetic());
    lower.chars().count() - core.chars().count() <= 6 && is_common(core)
}

/// `passwordpassword1`, `football1234567`: two common passwords, or one and a few digits, are the next thing to try.
/// The list alone has few as long as ours must be.
fn is_made_of_common(lower: &str) -> bool {
    let core = lower.trim_end_matches(|c: char| c.is_ascii_digit());
    let long_enough = |part: &str| part.chars().count() >= 4;
    [lower, core].into_iter().any(|text| {
        let splits = text.char_indices().map(|(at, _)| text.split_at(at));
        splits.into_iter().any(|(a, b)| long_enough(a) && long_enough(b) && is_common(a) && is_common(b))
    })
}

/// `123456789012`, `lkjihgfedcba`: each character is the next, or the one before, of its alphabet; digits begin anew.
fn is_a_row(lower: &str) -> bool {
    let follows =
        |a: char, b: char| u32::from(a) + 1 == u32::from(b) || (a, b) == ('9', '0') || (a, b) == ('z', 'a');
    let chars: Vec<char> = lower.chars().collect();
    let pairs = || chars.iter().zip(&chars[1..]);
    pairs().all(|(a, b)| follows(*a, *b)) || pairs().all(|(a, b)| follows(*b, *a))
}

/// A piece of at most four characters, or a common password, said over and over.
fn is_repeated(lower: &str) -> bool {
    let chars: Vec<char> = lower.chars().collect();
    (1..=chars.len() / 2).any(|period| {
        let repeats = chars.iter().zip(&chars[period..]).all(|(a, b)| a == b);
        repeats && (period <= 4 || is_common(&chars[..period].iter().collect::<String>()))
    })
}

/// Without the words that anyone would guess for this account, eight characters must be left.
fn is_guessable(lower: &str, email: &str) -> bool {
    let email = email.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    let words = local.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().count() >= 4);
    // The whole first: without a piece of it, it is not found any more.
    let mut rest = lower.replace(&email, "");
    if local.chars().count() >= 4 {
        rest = rest.replace(local, "");
    }
    rest = rest.replace("shop", "");
    for word in words {
        rest = rest.replace(word, "");
    }
    rest.chars().count() < 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> Weak {
        NewPassword::check(password, "ada.lovelace@example.org").unwrap_err()
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(refused("short-one-1"), Weak::TooShort);
        assert_eq!(refused(&"ab1 ".repeat(65)), Weak::TooLong);
        assert!(NewPassword::check("пароль-дом-лес", "a@b.co").is_ok());
        assert!(NewPassword::check(&format!("{}{}", "a brown fox ".repeat(21), "over"), "a@b.co").is_ok());
    }

    #[test]
    fn what_everybody_tries_is_refused() {
        for password in [
            "1q2w3e4r5t6y",
            "Football2026!!",
            "!!Sunshine!!!!",
            "passwordpassword",
            "PasswordPassword1",
            "football1234567",
            "adminadmin12",
            "zxcvbnmasdfghjkl",
        ] {
            assert!(matches!(refused(password), Weak::Common | Weak::Repeated), "{password}");
        }
        for password in [
            "123456789012",
            "0123456789012",
            "abcdefghijkl",
            "lkjihgfedcba",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "1234123412341234",
            "qwertyqwertyqw",
        ] {
            assert_eq!(refused(password), Weak::Repeated, "{password}");
        }
    }

    #[test]
    fn words_in_a_row_are_fine() {
        for password in ["correct horse battery", "sunshine over monkeys", "violet-otter-9-lamps"] {
            assert!(NewPassword::check(password, "a@b.co").is_ok(), "{password}");
        }
    }

    #[test]
    fn names_of_the_account_and_the_shop_do_not_count() {
        assert_eq!(refused("Lovelace-2026"), Weak::Guessable);
        assert_eq!(refused("shop-ada.lovelace"), Weak::Guessable);
        assert_eq!(refused("Ada.Lovelace@Example.org"), Weak::Guessable);
        let short = NewPassword::check("2026 ada@example.org", "ada@example.org");
        assert_eq!(short.unwrap_err(), Weak::Guessable);
        assert!(NewPassword::check("workshop lantern", "ada@example.org").is_ok());
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let composed = NewPassword::check("caf\u{e9} noir et lait", "a@b.co").unwrap();
        assert_eq!(composed.expose(), normalise("cafe\u{301} noir et lait").as_str());
    }

    #[test]
    fn the_list_is_sorted_complete_and_found() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 10_000);
        assert!(lines.is_sorted());
        assert!(lines.iter().all(|line| is_common(line)));
        assert!(!is_common("") && !is_common("~~~~~~~~~~~~~") && !is_common("correct horse battery"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_check_fail_otherwise(text in "\\PC{0,300}", email in "[a-z.]{0,12}@[a-z]{1,8}\\.org") {
            if let Ok(password) = NewPassword::check(&text, &email) {
                let chars = password.expose().chars().count();
                proptest::prop_assert!((MIN_CHARS..=MAX_CHARS).contains(&chars));
            }
        }
    }
}
