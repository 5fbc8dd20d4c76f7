//! From a measured range to a verdict.

use super::{Measured, Promise};
use crate::stats::interval_95;

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The value.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Range {
    /// The Student interval over seeds.
    pub fn over_seeds(values: &[f64]) -> Range {
        let interval = interval_95(values);
        let (low, high) =
            (interval.mean - interval.half_width, interval.mean + interval.half_width);
        Range { mean: interval.mean, low, high }
    }
}

/// How a range stands to a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All of the interval keeps the promise.
    Holds,
    /// All of the interval is better than the best that was promised.
    Exceeds,
    /// All of the interval falls short.
    Fails,
    /// The border of the promise lies inside the interval.
    Undecided,
}

impl Standing {
    /// A promise of a range is kept by what reaches its lower end.
    pub fn of(range: &Range, promise: &Promise) -> Standing {
        let (kept, broken) = match promise {
            Promise::Between(low, _) => (range.low >= *low, range.high < *low),
            Promise::AtMost(limit) => (range.high <= *limit, range.low > *limit),
        };
        match promise {
            Promise::Between(_, high) if range.low > *high => Standing::Exceeds,
            _ if kept => Standing::Holds,
            _ if broken => Standing::Fails,
            _ => Standing::Undecided,
        }
    }

    /// The promise is kept.
    pub fn is_kept(self) -> bool {
        matches!(self, Standing::Holds | Standing::Exceeds)
    }

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Holds => "yes",
            Standing::Exceeds => "yes, more",
            Standing::Fails => "no",
            Standing::Undecided => "undecided",
        }
    }
}

/// The verdict on a claim, from all its settings.
pub fn verdict(settings: &[&Measured]) -> String {
    let kept: Vec<&&Measured> =
        settings.iter().filter(|measured| measured.standing.is_kept()).collect();
    if kept.len() == settings.len() {
        return "holds".into();
    }
    if !kept.is_empty() {
        let when: Vec<&str> = kept.iter().map(|measured| measured.setting.when).collect();
        return format!("holds only when {}", when.join(", or when "));
    }
    match settings.iter().any(|measured| measured.standing == Standing::Undecided) {
        true => "not decided with so few seeds".into(),
        false => "does not hold".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_interval_must_keep_a_promise() {
        let standing = |low, high, promise| {
            Standing::of(&Range { mean: 0.5 * (low + high), low, high }, &promise)
        };
        let hits = Promise::Between(60.0, 80.0);
        assert_eq!(standing(61.0, 65.0, hits), Standing::Holds);
        assert_eq!(standing(75.0, 85.0, hits), Standing::Holds);
        assert_eq!(standing(81.0, 85.0, hits), Standing::Exceeds);
        assert_eq!(standing(55.0, 65.0, hits), Standing::Undecided);
        assert_eq!(standing(50.0, 59.0, hits), Standing::Fails);
        let spread = Promise::AtMost(20.0);
        assert_eq!(standing(3.0, 5.0, spread), Standing::Holds);
        assert_eq!(standing(19.0, 21.0, spread), Standing::Undecided);
        assert_eq!(standing(21.0, 25.0, spread), Standing::Fails);
    }
}
