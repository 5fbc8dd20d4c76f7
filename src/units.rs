//! Simulated time as a type: integer nanoseconds, so that sums are exact and order is total.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A point in simulated time, or a span of it, in nanoseconds from the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time zero, the start of the run.
    pub const ZERO: Nanos = Nanos(0);

    /// From seconds, rounded to the nearest nanosecond; negative and non-finite values become 0.
    pub fn from_secs_f64(seconds: f64) -> Nanos {
        Nanos(nearest(seconds * 1e9))
    }

    /// From milliseconds, rounded to the nearest nanosecond; negative and non-finite values become 0.
    pub fn from_ms_f64(ms: f64) -> Nanos {
        Nanos(nearest(ms * 1e6))
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// In milliseconds.
    pub fn as_ms_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self - earlier`, or zero where `earlier` is later.
    pub fn saturating_sub(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// Reads `250us`, `50ms`, `2.5s`, `1.5m`, `1h` or `0`.
    ///
    /// # Errors
    /// A sentence that says which forms are accepted.
    pub fn parse(text: &str) -> Result<Nanos, String> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let scale = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3600e9,
            "" if number.trim() == "0" => 1.0,
            _ => f64::NAN,
        };
        let nanos = number.trim().parse::<f64>().map_or(f64::NAN, |value| value * scale);
        if nanos.is_finite() && (0.0..1.8e19).contains(&nanos) {
            Ok(Nanos(nanos.round() as u64))
        } else {
            Err(format!("\"{text}\" is not a duration; write for example 250us, 50ms, 2.5s or 1h"))
        }
    }
}

/// `value.round() as u64` up to 2^63, and that beyond it; without the call of a function that `round`
/// is on older processors.
fn nearest(value: f64) -> u64 {
    let whole = value.max(0.0) as i64;
    whole as u64 + u64::from(value - whole as f64 >= 0.5)
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Nanos) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Nanos;
    /// Panics in debug builds when the result would be negative: a clock that went back is our bug.
    fn sub(self, other: Nanos) -> Nanos {
        Nanos(self.0 - other.0)
    }
}

impl fmt::Display for Nanos {
    /// The shortest of the forms that [`Nanos::parse`] reads back without loss.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, scale) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
            if self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nanos, D::Error> {
        let text = String::deserialize(deserializer)?;
        Nanos::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Nanos, nearest};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_integer_is_that_of_round(bits in any::<u64>(), near in 0u64..1 << 60) {
            let halves = near as f64 / 2.0;
            for value in [f64::from_bits(bits), halves, halves.next_down(), halves.next_up()] {
                let expected = (value.round() as u64).min(1 << 63);
                prop_assert_eq!(nearest(value).max(i64::MAX as u64), expected.max(i64::MAX as u64));
                prop_assert!(value > 9e18 || nearest(value) == expected, "{}", value);
            }
        }
    }

    #[test]
    fn durations_are_read_and_printed_back_without_loss() {
        for (text, nanos) in
            [("0", 0), ("250us", 250_000), ("50ms", 50_000_000), ("2.5s", 2_500_000_000)]
        {
            let parsed = Nanos::parse(text).unwrap();
            assert_eq!(parsed, Nanos(nanos));
            assert_eq!(Nanos::parse(&parsed.to_string()).unwrap(), parsed);
        }
        for bad in ["", "5", "-1s", "NaNs", "infs", "1 fortnight", "1e30h"] {
            assert!(Nanos::parse(bad).is_err(), "{bad}");
        }
    }
}
