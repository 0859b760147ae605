//! Money as integer minor units and an ISO 4217 currency. Never a float, never a sum of two currencies.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Currencies whose minor unit is not a hundredth (ISO 4217, list one of 2026-01-01): exponent, codes.
const UNUSUAL: &[(u8, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// Currencies whose minor unit is a hundredth.
const USUAL: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF \
    CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR \
    MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP \
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW \
    ZWG";

/// An ISO 4217 code that is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");
    /// United States dollar.
    pub const USD: Currency = Currency(*b"USD");
    /// Japanese yen.
    pub const JPY: Currency = Currency(*b"JPY");

    /// The code, such as `EUR`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimal digits the minor unit is away from the major one.
    #[must_use]
    pub fn exponent(self) -> u32 {
        let unusual = UNUSUAL.iter().find(|(_, codes)| listed(codes, self.as_str()));
        unusual.map_or(2, |(exponent, _)| u32::from(*exponent))
    }

    /// Every code.
    pub fn all() -> impl Iterator<Item = Currency> {
        let unusual = UNUSUAL.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace());
        USUAL.split_ascii_whitespace().chain(unusual).filter_map(|code| code.parse().ok())
    }
}

fn listed(codes: &str, code: &str) -> bool {
    codes.split_ascii_whitespace().any(|each| each == code)
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let known = listed(USUAL, code) || UNUSUAL.iter().any(|(_, codes)| listed(codes, code));
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(bytes) if known => Ok(Currency(bytes)),
            _ => Err(MoneyError::UnknownCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Z]{3}$"))
            .description(Some("ISO 4217 code"))
            .into()
    }
}

impl ToSchema for Currency {}

/// An amount of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In the currency's minor unit: cents of a euro, but whole yen.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

/// Why an amount could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The two amounts are of different currencies.
    #[error("{0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    /// The result does not fit.
    #[error("the amount is too large")]
    Overflow,
    /// Not a code of ISO 4217 that is in use.
    #[error("unknown currency code")]
    UnknownCurrency,
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Money { amount_minor, currency }
    }

    /// Nothing of a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Money::new(0, currency)
    }

    fn same(self, other: Money) -> Result<(), MoneyError> {
        let same = self.currency == other.currency;
        same.then_some(()).ok_or(MoneyError::CurrencyMismatch(self.currency, other.currency))
    }

    fn or_overflow(self, amount: Option<i64>) -> Result<Money, MoneyError> {
        amount.map(|amount| Money::new(amount, self.currency)).ok_or(MoneyError::Overflow)
    }

    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ or the result does not fit.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        self.or_overflow(self.amount_minor.checked_add(other.amount_minor))
    }

    /// The difference.
    ///
    /// # Errors
    /// When the currencies differ or the result does not fit.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same(other)?;
        self.or_overflow(self.amount_minor.checked_sub(other.amount_minor))
    }

    /// So many of it.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn checked_mul(self, quantity: i64) -> Result<Money, MoneyError> {
        self.or_overflow(self.amount_minor.checked_mul(quantity))
    }
}

/// For people: `12.34 EUR`, `1234 JPY`, `-0.005 KWD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.exponent() as usize;
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let unit = 10_u64.pow(self.currency.exponent());
        let amount = self.amount_minor.unsigned_abs();
        let (major, minor) = (amount / unit, amount % unit);
        match digits {
            0 => write!(f, "{sign}{major} {}", self.currency),
            _ => write!(f, "{sign}{major}.{minor:0digits$} {}", self.currency),
        }
    }
}
