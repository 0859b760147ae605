//! Medians, ratios of interleaved rounds, and what they say about a target. Pure.

use serde::Serialize;

/// A round with more foreign CPU than this many cores is left out where enough calm ones remain: a neighbour took
/// more than a seventh of the two cores that the targets are about.
pub(crate) const DISTURBED_CORES: f64 = 0.3;
/// So many calm rounds are enough to leave the disturbed ones out.
const ENOUGH: usize = 3;

/// The middle value; the mean of the two middle ones. `NaN` for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Which side of the bound is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast,
    AtMost,
}

impl Bound {
    pub(crate) fn holds(self, value: f64, target: f64) -> bool {
        match self {
            Self::AtLeast => value >= target,
            Self::AtMost => value <= target,
        }
    }
}

/// What a measurement says about a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Met,
    NotMet,
    CannotTell,
}

impl Answer {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// One round of a comparison: a value, and how busy others kept the machine meanwhile (the worse of both sides).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Round {
    pub(crate) value: f64,
    pub(crate) foreign_cores: f64,
}

/// The rounds that count: the calm ones where there are enough, else all.
pub(crate) fn counted(rounds: &[Round]) -> (Vec<f64>, bool) {
    let calm: Vec<f64> =
        rounds.iter().filter(|r| r.foreign_cores <= DISTURBED_CORES).map(|r| r.value).collect();
    if calm.len() >= ENOUGH.min(rounds.len()) {
        return (calm, true);
    }
    (rounds.iter().map(|r| r.value).collect(), false)
}

/// Judges rounds against a target: the median decides, and at least three quarters of the rounds must agree with it.
/// On a machine that others kept busy nothing is proved: a neighbour may have met one side more than the other.
pub(crate) fn judge(rounds: &[Round], bound: Bound, target: f64) -> (f64, Answer) {
    let (values, calm) = counted(rounds);
    let middle = median(&values);
    if !calm || values.is_empty() || middle.is_nan() {
        return (middle, Answer::CannotTell);
    }
    let good = values.iter().filter(|value| bound.holds(**value, target)).count();
    let met = bound.holds(middle, target);
    let agreeing = if met { good } else { values.len() - good };
    let answer = match (agreeing * 4 >= values.len() * 3, met) {
        (false, _) => Answer::CannotTell,
        (true, true) => Answer::Met,
        (true, false) => Answer::NotMet,
    };
    (middle, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64], foreign_cores: f64) -> Vec<Round> {
        values.iter().map(|value| Round { value: *value, foreign_cores }).collect()
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_clear_result_is_met_or_not_met() {
        assert_eq!(judge(&rounds(&[0.7, 0.72, 0.69], 0.0), Bound::AtLeast, 0.6), (0.7, Answer::Met));
        assert_eq!(judge(&rounds(&[0.5, 0.52, 0.49], 0.0), Bound::AtLeast, 0.6), (0.5, Answer::NotMet));
        assert_eq!(judge(&rounds(&[90.0, 95.0, 80.0], 0.0), Bound::AtMost, 100.0), (90.0, Answer::Met));
    }

    #[test]
    fn rounds_that_disagree_tell_nothing() {
        let (_, answer) = judge(&rounds(&[0.5, 0.61, 0.7, 0.55, 0.62], 0.0), Bound::AtLeast, 0.6);
        assert_eq!(answer, Answer::CannotTell);
    }

    #[test]
    fn a_busy_machine_proves_nothing() {
        assert_eq!(judge(&rounds(&[0.5, 0.52, 0.49], 1.0), Bound::AtLeast, 0.6).1, Answer::CannotTell);
        assert_eq!(judge(&rounds(&[0.7, 0.72, 0.69], 1.0), Bound::AtLeast, 0.6).1, Answer::CannotTell);
    }

    #[test]
    fn disturbed_rounds_are_left_out_where_enough_are_calm() {
        let mut all = rounds(&[0.7, 0.7, 0.7], 0.0);
        all.extend(rounds(&[0.2, 0.2, 0.2, 0.2], 1.5));
        assert_eq!(judge(&all, Bound::AtLeast, 0.6), (0.7, Answer::Met));
    }
}
