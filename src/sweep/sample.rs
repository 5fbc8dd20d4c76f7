//! Points drawn at random from ranges.
//!
//! `random` draws every value on its own. `latin-hypercube` cuts each range into as many equal parts
//! as there are points, takes one value from each part, and pairs the parts of different keys at
//! random: every key is covered evenly, however few the points.

use crate::error::{Error, Result};
use crate::rng::{Rng, Stream, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Value;

/// `[sample]`: how many points, from where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSpec {
    /// `latin-hypercube` or `random`.
    pub method: Method,
    /// Number of points, 1 to 100,000.
    pub points: u32,
    /// A range for each key.
    pub ranges: BTreeMap<String, Range>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every value on its own.
    Random,
    /// One value from each of as many parts of a range as there are points.
    LatinHypercube,
}

/// Where the values of a key come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Least value.
    pub low: f64,
    /// Greatest value, above `low`.
    pub high: f64,
    /// Even on a logarithmic scale; `low` must be above 0.
    #[serde(default)]
    pub log: bool,
    /// Whole numbers, both ends included.
    #[serde(default)]
    pub whole: bool,
}

impl Range {
    fn check(&self, key: &str) -> Result<()> {
        let ordered = self.low.is_finite() && self.high.is_finite() && self.low < self.high;
        if ordered && (!self.log || self.low > 0.0) {
            return Ok(());
        }
        Err(Error::input(format!(
            "[sample] {key}: low = {} and high = {} make no range; low must be below high, and \
             above 0 where log = true",
            self.low, self.high
        )))
    }

    /// The value at `share` (0 to below 1) of the way.
    fn at(&self, share: f64) -> Value {
        let (low, high) = match self.whole {
            true => (self.low.ceil(), self.high.floor() + 1.0),
            false => (self.low, self.high),
        };
        let value = match self.log {
            true => low * (high / low).powf(share),
            false => low + (high - low) * share,
        };
        match self.whole {
            true => Value::Integer(value.floor().min(high - 1.0) as i64),
            false => Value::Float(value),
        }
    }
}

/// Draws the points; each key has a stream of its own, so that another key changes no value of it.
///
/// # Errors
/// Where a range or the number of points is out of range.
pub fn draw(spec: &SampleSpec, seed: u64) -> Result<Vec<BTreeMap<String, Value>>> {
    if !(1..=100_000).contains(&spec.points) {
        return Err(Error::input(format!(
            "[sample] points = {} is out of range; it must be 1 to 100000",
            spec.points
        )));
    }
    let mut points = vec![BTreeMap::new(); spec.points as usize];
    for (key, range) in &spec.ranges {
        range.check(key)?;
        let mut rng = stream(seed, Stream::Sample, lane(key));
        for (point, share) in points.iter_mut().zip(shares(spec.method, spec.points, &mut rng)) {
            point.insert(key.clone(), range.at(share));
        }
    }
    Ok(points)
}

fn lane(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes())
}

fn shares(method: Method, points: u32, rng: &mut Rng) -> Vec<f64> {
    let mut parts: Vec<u32> = (0..points).collect();
    // Fisher and Yates' shuffle.
    for last in (1..parts.len()).rev() {
        parts.swap(last, rng.random_range(0..=last));
    }
    let within = |part: u32, rng: &mut Rng| match method {
        Method::Random => rng.random::<f64>(),
        Method::LatinHypercube => (f64::from(part) + rng.random::<f64>()) / f64::from(points),
    };
    parts.into_iter().map(|part| within(part, rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::axis::number;

    fn values(method: Method, range: Range, points: u32) -> Vec<f64> {
        let ranges = BTreeMap::from([("a".to_string(), range)]);
        let drawn = draw(&SampleSpec { method, points, ranges }, 42).unwrap();
        drawn.iter().map(|point| number(&point["a"]).unwrap()).collect()
    }

    #[test]
    fn a_latin_hypercube_has_one_value_in_every_part() {
        let range = Range { low: 10.0, high: 20.0, log: false, whole: false };
        let mut parts: Vec<i64> = values(Method::LatinHypercube, range, 10)
            .iter()
            .map(|value| value.floor() as i64)
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn values_stay_in_their_range() {
        let whole = Range { low: 1.0, high: 4.0, log: false, whole: true };
        let mut seen = values(Method::Random, whole, 200);
        seen.sort_unstable_by(f64::total_cmp);
        seen.dedup();
        assert_eq!(seen, [1.0, 2.0, 3.0, 4.0]);
        let log = Range { low: 0.1, high: 1000.0, log: true, whole: false };
        let values = values(Method::Random, log, 1000);
        assert!(values.iter().all(|value| (0.1..1000.0).contains(value)));
        let below = values.iter().filter(|value| **value < 10.0).count();
        assert!((430..570).contains(&below), "half of the decades: {below}");
    }
}
