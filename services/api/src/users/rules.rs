//! Rules that several of these requests share. The same rules stand in the schemas; a test compares them.

use super::check_email;
use crate::Violations;

/// Most characters of a name, and of the beginning of one that is searched for.
pub(super) const NAME_MAX: usize = 100;

/// One line of text that may be empty.
pub(super) fn line(v: &mut Violations, pointer: &str, text: &str, max: usize) {
    v.length(pointer, text, 0, max);
    let plain = !text.chars().any(is_control);
    v.check(plain, pointer, "control_character", "must have no line break or other control character");
}

/// What ends a line, or turns the order of what is read: a name with one shows as another.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line of text with something in it.
pub(super) fn filled_line(v: &mut Violations, pointer: &str, text: &str, max: usize) {
    line(v, pointer, text, max);
    let filled = text.chars().any(|c| c != ' ' && !is_control(c));
    v.check(filled, pointer, "required", "must not be empty");
}

/// An e-mail address.
pub(super) fn email(v: &mut Violations, text: &str) {
    if let Err(error) = check_email(text) {
        v.add("/email", "malformed", error.to_string());
    }
}

/// A new password beside other fields. What is wrong with it alone is said by its own code, `weak_password`; only where
/// something else is wrong too, its length stands in the same list.
pub(super) fn new_password(v: &mut Violations, password: &str) {
    if !v.is_empty() {
        v.length("/new_password", password, 12, 256);
    }
}

/// E.164: a plus sign and 7 to 15 digits, no nought in front.
pub(super) fn phone(v: &mut Violations, pointer: &str, number: &str) {
    let digits = number.strip_prefix('+').unwrap_or_default().as_bytes();
    let fits = (7..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
    v.check(fits, pointer, "malformed", "must be a number in E.164 form, like +442079460000");
}

/// A language, and perhaps a region: the part of BCP 47 that mails and screens are chosen by.
pub(super) fn locale(v: &mut Violations, pointer: &str, text: &str) {
    let (language, region) = text.split_once('-').map_or((text, None), |(l, r)| (l, Some(r)));
    let fits = (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.is_none_or(|r| r.len() == 2 && r.bytes().all(|b| b.is_ascii_uppercase()));
    v.check(fits, pointer, "malformed", "must be a language like en or en-GB");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(rule: impl FnOnce(&mut Violations)) -> Vec<String> {
        let mut violations = Violations::default();
        rule(&mut violations);
        violations.into_errors().into_iter().map(|error| error.code).collect()
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert!(broken(|v| filled_line(v, "/x", &"é".repeat(100), 100)).is_empty());
        assert_eq!(broken(|v| filled_line(v, "/x", &"é".repeat(101), 100)), ["too_long"]);
        assert_eq!(broken(|v| filled_line(v, "/x", "  ", 100)), ["required"]);
        for hidden in ["Lon\ndon", "Lon\u{85}don", "Lon\u{2028}don", "\u{202e}nodnoL"] {
            assert_eq!(broken(|v| line(v, "/x", hidden, 100)), ["control_character"], "{hidden:?}");
        }
        assert!(broken(|v| line(v, "/x", "", 100)).is_empty());
    }

    #[test]
    fn numbers_and_languages_have_one_form() {
        for good in ["+442079460000", "+1234567", "+123456789012345"] {
            assert!(broken(|v| phone(v, "/phone", good)).is_empty(), "{good}");
        }
        for bad in ["+123456", "+1234567890123456", "442079460000", "+0442079460", "+44 2079460", "+", ""] {
            assert_eq!(broken(|v| phone(v, "/phone", bad)), ["malformed"], "{bad}");
        }
        for good in ["en", "en-GB", "gsw-CH"] {
            assert!(broken(|v| locale(v, "/locale", good)).is_empty(), "{good}");
        }
        for bad in ["en_GB", "EN", "e", "en-", "en-gb", "", "deutsch"] {
            assert_eq!(broken(|v| locale(v, "/locale", bad)), ["malformed"], "{bad}");
        }
    }
}
