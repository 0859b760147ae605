//! Quantities with their units: CPU, memory, percentages, durations. Whole numbers inside, so that comparing and
//! printing are exact.
use std::fmt;
use std::str::FromStr;

/// CPU time in thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cpu {
    millicores: u32,
}

impl Cpu {
    /// Thousandths of a core.
    #[must_use]
    pub fn millicores(self) -> u32 {
        self.millicores
    }
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millicores = match text.strip_suffix('m') {
            Some(number) => whole(number)?,
            None => decimal(text, 3)?,
        };
        let millicores = u32::try_from(millicores).map_err(|_| "it is too large".to_owned())?;
        if millicores == 0 { Err("it must be more than nothing".to_owned()) } else { Ok(Self { millicores }) }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millicores.is_multiple_of(1000) {
            write!(formatter, "{}", self.millicores / 1000)
        } else {
            write!(formatter, "{}m", self.millicores)
        }
    }
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Memory {
    bytes: u64,
}

const MEMORY_UNITS: [(&str, u64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

impl Memory {
    /// Bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = MEMORY_UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
            .ok_or("it needs one of the units Ki, Mi, Gi")?;
        let bytes = whole(number)?.checked_mul(*unit).ok_or("it is too large")?;
        if bytes == 0 { Err("it must be more than nothing".to_owned()) } else { Ok(Self { bytes }) }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suffix, unit) = MEMORY_UNITS
            .iter()
            .find(|(_, unit)| self.bytes.is_multiple_of(*unit))
            .expect("made from a whole number of one of the units");
        write!(formatter, "{}{suffix}", self.bytes / unit)
    }
}

/// A share of a hundred, kept in thousandths of a percent: 99.9 % is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Percent {
    thousandths: u32,
}

impl Percent {
    /// As a share of one: 99.9 % is 0.999.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.thousandths) / 100_000.0
    }

    /// Whole percents, rounded down.
    #[must_use]
    pub fn whole(self) -> u32 {
        self.thousandths / 1000
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').ok_or("it must end with %")?;
        match u32::try_from(decimal(number, 3)?) {
            Ok(thousandths) if thousandths <= 100_000 => Ok(Self { thousandths }),
            _ => Err("it is more than 100%".to_owned()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.thousandths / 1000, self.thousandths % 1000);
        if fraction == 0 {
            return write!(formatter, "{whole}%");
        }
        let fraction = format!("{fraction:03}");
        write!(formatter, "{whole}.{}%", fraction.trim_end_matches('0'))
    }
}

/// A span of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration {
    millis: u64,
}

const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

/// Nothing in a platform file lasts longer than a week.
const LONGEST: u64 = 7 * 24 * 3_600_000;

impl Duration {
    /// Milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// Whole seconds, rounded up: what Kubernetes takes.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.millis.div_ceil(1000)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.millis)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = TIME_UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
            .ok_or("it needs one of the units ms, s, m, h")?;
        let millis = whole(number)?.checked_mul(*unit).filter(|millis| *millis <= LONGEST);
        Ok(Self { millis: millis.ok_or("it is longer than a week")? })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest =
            TIME_UNITS.iter().filter(|(_, unit)| self.millis.is_multiple_of(*unit)).max_by_key(|(_, u)| *u);
        let (suffix, unit) = largest.filter(|_| self.millis > 0).unwrap_or(&("s", 1000));
        write!(formatter, "{}{suffix}", self.millis / unit)
    }
}

text_type! {
    Cpu: "CPU such as \"250m\" or \"1.5\"", "^([0-9]+m|[0-9]+(\\.[0-9]{1,3})?)$";
    Memory: "memory such as \"64Mi\"", "^[0-9]+(Ki|Mi|Gi)$";
    Percent: "a percentage such as \"99.9%\"", "^[0-9]+(\\.[0-9]{1,3})?%$";
    Duration: "a duration such as \"500ms\", \"40s\" or \"5m\"", "^[0-9]+(ms|s|m|h)$";
}

fn whole(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(format!("{text:?} is not a whole number"));
    }
    text.parse().map_err(|_| "it is too large".to_owned())
}

/// `text` times ten to the power of `places`, exactly; more places than that are refused.
fn decimal(text: &str, places: u32) -> Result<u64, String> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let not_a_number = || format!("{text:?} is not a number");
    if fraction.len() > places as usize {
        return Err(format!("it has more than {places} decimal places"));
    }
    let scale = 10_u64.pow(places);
    let shift = 10_u64.pow(places - fraction.len() as u32);
    let integer = whole(integer).map_err(|_| not_a_number())?;
    let fraction = whole(fraction).map_err(|_| not_a_number())?;
    integer
        .checked_mul(scale)
        .and_then(|scaled| scaled.checked_add(fraction * shift))
        .ok_or("it is too large".to_owned())
}
