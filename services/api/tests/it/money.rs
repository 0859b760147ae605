//! Money is exact, of one currency, and knows its digits.
use proptest::prelude::*;
use shop_api::{Currency, Money, MoneyError};

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

#[test]
fn digits_follow_the_currency() {
    for (code, amount, shown) in [
        ("EUR", 1234, "12.34 EUR"),
        ("EUR", -5, "-0.05 EUR"),
        ("JPY", 1234, "1234 JPY"),
        ("JPY", -7, "-7 JPY"),
        ("KWD", 1, "0.001 KWD"),
        ("CLF", 12345, "1.2345 CLF"),
        ("USD", i64::MIN, "-92233720368547758.08 USD"),
    ] {
        assert_eq!(Money::new(amount, currency(code)).to_string(), shown);
    }
}

#[test]
fn only_codes_in_use_are_currencies() {
    let all: Vec<_> = Currency::all().collect();
    assert!(all.len() > 150, "{}", all.len());
    assert!(all.iter().all(|code| code.as_str().len() == 3 && code.exponent() <= 4));
    for bad in ["eur", "EU", "EURO", "XXX", "", "E R", "€"] {
        assert_eq!(bad.parse::<Currency>(), Err(MoneyError::UnknownCurrency), "{bad}");
    }
}

#[test]
fn amounts_of_two_currencies_do_not_meet() {
    let (euro, yen) = (Money::new(1, Currency::EUR), Money::new(1, Currency::JPY));
    assert_eq!(euro.checked_add(yen), Err(MoneyError::CurrencyMismatch(Currency::EUR, Currency::JPY)));
    assert!(euro.checked_sub(yen).is_err());
}

#[test]
fn the_wire_has_integers_only() {
    let euro: Money = serde_json::from_str(r#"{"amount_minor":1999,"currency":"EUR"}"#).unwrap();
    assert_eq!(euro, Money::new(1999, Currency::EUR));
    for bad in [
        r#"{"amount_minor":19.99,"currency":"EUR"}"#,
        r#"{"amount_minor":"1999","currency":"EUR"}"#,
        r#"{"amount_minor":1999,"currency":"EURO"}"#,
        r#"{"amount_minor":9223372036854775808,"currency":"EUR"}"#,
        r#"{"amount_minor":1,"currency":"EUR","amount":1}"#,
    ] {
        assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn sums_are_exact_or_refused(a: i64, b: i64, n: i64) {
        let (one, other) = (Money::new(a, Currency::EUR), Money::new(b, Currency::EUR));
        let exact = |amount: i128| i64::try_from(amount).map(|amount| Money::new(amount, Currency::EUR)).map_err(|_| MoneyError::Overflow);
        prop_assert_eq!(one.checked_add(other), exact(i128::from(a) + i128::from(b)));
        prop_assert_eq!(one.checked_sub(other), exact(i128::from(a) - i128::from(b)));
        prop_assert_eq!(one.checked_mul(n), exact(i128::from(a) * i128::from(n)));
    }
}
