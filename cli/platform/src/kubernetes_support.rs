//! When which Kubernetes version is in standard support on EKS: data, with dates and sources.
//! Must not read a clock: a law asks for a day.
use crate::types::KubernetesVersion;

/// One line of the support calendar.
struct Support {
    version: KubernetesVersion,
    /// First day offered, then the last day of standard support; extended support costs $365 a month more.
    from: time::Date,
    until: time::Date,
}

const fn row(minor: u16, from: time::Date, until: time::Date) -> Support {
    Support { version: KubernetesVersion::new(minor), from, until }
}

/// Read on 2026-11-22 from <https://endoflife.date/amazon-eks> and the rule of 14 months at
/// <https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html>.
/// 1.36 was on offer by June 2026; its end is that rule's, until the provider prints the day.
const CALENDAR: [Support; 7] = [
    row(30, time::macros::date!(2024 - 05 - 23), time::macros::date!(2025 - 07 - 23)),
    row(31, time::macros::date!(2024 - 09 - 26), time::macros::date!(2025 - 11 - 26)),
    row(32, time::macros::date!(2025 - 01 - 23), time::macros::date!(2026 - 03 - 23)),
    row(33, time::macros::date!(2025 - 05 - 29), time::macros::date!(2026 - 07 - 29)),
    row(34, time::macros::date!(2025 - 10 - 02), time::macros::date!(2026 - 12 - 02)),
    row(35, time::macros::date!(2026 - 01 - 27), time::macros::date!(2027 - 03 - 27)),
    row(36, time::macros::date!(2026 - 06 - 01), time::macros::date!(2027 - 08 - 01)),
];

/// Whether `version` is in standard support on `day`; if not, why.
pub(crate) fn supported(version: KubernetesVersion, day: time::Date) -> Result<(), String> {
    let Some(row) = CALENDAR.iter().find(|row| row.version == version) else {
        return Err(format!("Kubernetes {version} is not in the support calendar"));
    };
    match day {
        _ if day < row.from => Err(format!("Kubernetes {version} is on offer from {} on", row.from)),
        _ if day > row.until => {
            Err(format!("standard support of Kubernetes {version} ended on {}", row.until))
        }
        _ => Ok(()),
    }
}

/// The versions in standard support on `day`, oldest first.
pub(crate) fn on_offer(day: time::Date) -> impl Iterator<Item = KubernetesVersion> {
    CALENDAR.iter().filter(move |row| (row.from..=row.until).contains(&day)).map(|row| row.version)
}
