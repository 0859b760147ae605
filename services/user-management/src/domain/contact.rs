//! What people may write about themselves: names, telephone numbers, languages, postal addresses. Every check names
//! each field that breaks a rule; the same rules stand in the OpenAPI document. Pure.

use std::net::IpAddr;

use shop_api::problem::FieldError;
use shop_api::users::profile::{AddressInput, UpdateProfile};

/// Most characters of a display name.
pub const NAME_MAX: usize = 100;

/// Every rule that a profile change breaks.
pub fn check_profile(change: &UpdateProfile) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(name) = &change.display_name {
        line(&mut errors, "/display_name", name, NAME_MAX);
    }
    if let Some(Some(number)) = &change.phone {
        phone(&mut errors, number);
    }
    if let Some(locale) = &change.locale
        && !is_locale(locale)
    {
        errors.push(FieldError::new("/locale", "malformed", "is not a language like `en` or `en-GB`"));
    }
    errors
}

/// Every rule that an address breaks.
pub fn check_address(address: &AddressInput) -> Vec<FieldError> {
    let mut errors = Vec::new();
    line(&mut errors, "/label", &address.label, 50);
    required(&mut errors, "/recipient", &address.recipient, 100);
    required(&mut errors, "/line1", &address.line1, 200);
    line(&mut errors, "/line2", &address.line2, 200);
    required(&mut errors, "/city", &address.city, 100);
    line(&mut errors, "/region", &address.region, 100);
    line(&mut errors, "/postal_code", &address.postal_code, 20);
    if let Some(number) = &address.phone {
        phone(&mut errors, number);
    }
    errors
}

/// One line of text that may be empty.
pub fn line(errors: &mut Vec<FieldError>, pointer: &str, text: &str, most: usize) {
    if text.chars().count() > most {
        errors.push(FieldError::new(pointer, "too_long", format!("has more than {most} characters")));
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        errors.push(FieldError::new(pointer, "control_character", "has a line break or another control character"));
    }
}

/// One line of text with something in it.
pub fn required(errors: &mut Vec<FieldError>, pointer: &str, text: &str, most: usize) {
    line(errors, pointer, text, most);
    if text.chars().all(|c| c == ' ' || c.is_ascii_control()) {
        errors.push(FieldError::new(pointer, "required", "is empty"));
    }
}

fn phone(errors: &mut Vec<FieldError>, number: &str) {
    let digits = number.strip_prefix('+').unwrap_or_default().as_bytes();
    let is_e164 =
        (7..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit);
    if !is_e164 {
        errors.push(FieldError::new("/phone", "malformed", "is not a number in E.164 form, like `+442079460000`"));
    }
}

/// A language, and perhaps a region (the part of BCP 47 that mails and screens are chosen by).
fn is_locale(text: &str) -> bool {
    let (language, region) = text.split_once('-').map_or((text, None), |(l, r)| (l, Some(r)));
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.is_none_or(|r| r.len() == 2 && r.bytes().all(|b| b.is_ascii_uppercase()))
}

/// The network an address belongs to, which is as much as the audit log keeps: /24 of IPv4, /48 of IPv6.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> AddressInput {
        AddressInput {
            label: String::new(),
            recipient: "Ada Lovelace".into(),
            line1: "12 St James's Square".into(),
            line2: String::new(),
            city: "London".into(),
            region: String::new(),
            postal_code: "SW1Y 4JH".into(),
            country: "GB".parse().unwrap(),
            phone: None,
            is_default: false,
        }
    }

    fn broken(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect()
    }

    #[test]
    fn every_broken_rule_is_named_at_once() {
        assert!(check_address(&address()).is_empty());
        let wrong = AddressInput {
            recipient: "  ".into(),
            line1: "x".repeat(201),
            city: "Lon\ndon".into(),
            phone: Some("0207".into()),
            ..address()
        };
        assert_eq!(
            broken(&check_address(&wrong)),
            ["/recipient required", "/line1 too_long", "/city control_character", "/phone malformed"]
        );
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        let exact = AddressInput { recipient: "é".repeat(100), ..address() };
        assert!(check_address(&exact).is_empty());
        let over = AddressInput { recipient: "é".repeat(101), ..address() };
        assert_eq!(broken(&check_address(&over)), ["/recipient too_long"]);
    }

    #[test]
    fn numbers_and_languages_have_one_form() {
        for (number, fine) in [
            ("+442079460000", true),
            ("+1234567", true),
            ("+123456", false),
            ("+1234567890123456", false),
            ("442079460000", false),
            ("+0442079460", false),
            ("+44 2079460", false),
            ("+", false),
            ("", false),
        ] {
            let change = UpdateProfile { phone: Some(Some(number.into())), ..UpdateProfile::default() };
            assert_eq!(check_profile(&change).is_empty(), fine, "{number}");
        }
        for (locale, fine) in [("en", true), ("gsw-CH", true), ("en_GB", false), ("EN", false), ("e", false), ("en-", false)] {
            let change = UpdateProfile { locale: Some(locale.into()), ..UpdateProfile::default() };
            assert_eq!(check_profile(&change).is_empty(), fine, "{locale}");
        }
    }

    #[test]
    fn only_the_network_of_an_address_is_kept() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:7:8::9", "2001:db8:7::/48"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()), network);
        }
    }
}
