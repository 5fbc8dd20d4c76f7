//! Draws from a [`Law`]: lengths in tokens, counts, and times.
//!
//! A lognormal law is given by its own mean `m` and coefficient of variation `c`, not by those of
//! the logarithm: σ² = ln(1 + c²), μ = ln m − σ²/2. Lengths and counts are rounded to whole numbers
//! and cut to 1 ..= 2³¹ − 1, times to 0 or more, so a normal law loses its lower tail and its mean
//! moves up a little where that tail is not negligible.

use crate::rng::Rng;
use crate::scenario::Law;
use crate::units::Nanos;
use rand::RngExt;
use rand_distr::{Distribution, Exp, LogNormal, Normal};

/// Longest prompt or output, tokens.
pub const MAX_TOKENS: u32 = i32::MAX as u32;

/// Draws a length in tokens, or a count: 1 ..= 2³¹ − 1.
pub fn whole(law: &Law, rng: &mut Rng) -> u32 {
    let value = match law {
        Law::Uniform { low, high } => whole_uniform(*low, *high, rng),
        _ => real(law, rng).round(),
    };
    value.clamp(1.0, f64::from(MAX_TOKENS)) as u32
}

/// Draws a time; the law is in seconds. Uniform times are continuous, not whole seconds.
pub fn time(law: &Law, rng: &mut Rng) -> Nanos {
    Nanos::from_secs_f64(real(law, rng))
}

/// Every whole number of `low ..= high`, equally likely; the nearest to `low` where there is none.
fn whole_uniform(low: f64, high: f64, rng: &mut Rng) -> f64 {
    let (first, last) = (low.ceil(), high.floor());
    if first > last {
        return low.round();
    }
    // The product may round up to the next whole number.
    (first + (unit(rng) * (last - first + 1.0)).floor()).min(last)
}

/// A number in [0, 1).
fn unit(rng: &mut Rng) -> f64 {
    rng.random()
}

/// Draws the law as it stands, neither rounded nor cut.
fn real(law: &Law, rng: &mut Rng) -> f64 {
    const CHECKED: &str = "the scenario check admits no such law";
    match law {
        Law::Constant { value } => *value,
        Law::Uniform { low, high } => low + unit(rng) * (high - low),
        Law::Exponential { mean } => Exp::new(mean.recip()).expect(CHECKED).sample(rng),
        Law::Normal { mean, std } => Normal::new(*mean, *std).expect(CHECKED).sample(rng),
        Law::Lognormal { mean, cv, max } => LogNormal::from_mean_cv(*mean, *cv)
            .expect(CHECKED)
            .sample(rng)
            .min(max.unwrap_or(f64::INFINITY)),
        Law::Empirical { values, weights } => values[pick(values.len(), weights, rng)],
    }
}

/// A place in a list of `len` entries, by `weights`, or equally likely where there are none.
pub(super) fn pick(len: usize, weights: &[f64], rng: &mut Rng) -> usize {
    if weights.is_empty() {
        return rng.random_range(0..len);
    }
    let mut left = unit(rng) * weights.iter().sum::<f64>();
    for (place, weight) in weights.iter().enumerate() {
        if left < *weight {
            return place;
        }
        left -= weight;
    }
    // Rounding took us past the end: the last entry that can be drawn at all.
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    const DRAWS: u32 = 20_000;

    fn draws(law: &Law) -> Vec<f64> {
        let mut rng = stream(7, Stream::Session, 0);
        (0..DRAWS).map(|_| f64::from(whole(law, &mut rng))).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn cv(values: &[f64]) -> f64 {
        let mean = mean(values);
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt() / mean
    }

    #[test]
    fn every_law_has_the_mean_and_spread_it_promises() {
        let lognormal = |mean, cv| Law::Lognormal { mean, cv, max: None };
        let empirical = Law::Empirical { values: vec![100.0, 500.0], weights: vec![3.0, 1.0] };
        for (law, want_mean, want_cv) in [
            (Law::Constant { value: 77.0 }, 77.0, 0.0),
            (Law::Uniform { low: 100.0, high: 300.0 }, 200.0, 0.290),
            (Law::Exponential { mean: 900.0 }, 900.0, 1.0),
            (Law::Normal { mean: 800.0, std: 80.0 }, 800.0, 0.1),
            (lognormal(1000.0, 0.5), 1000.0, 0.5),
            (lognormal(1000.0, 0.0), 1000.0, 0.0),
            (empirical, 200.0, 0.866),
        ] {
            let values = draws(&law);
            let (mean, cv) = (mean(&values), cv(&values));
            assert!((mean / want_mean - 1.0).abs() < 0.02, "{law:?}: {mean}");
            assert!((cv - want_cv).abs() < 0.02, "{law:?}: {cv}");
        }
    }

    #[test]
    fn lengths_stay_within_their_bounds() {
        let inside = |law: &Law, low: f64, high: f64| {
            let values = draws(law);
            assert!(
                values.iter().all(|v| (low..=high).contains(v)),
                "{law:?} left {low} to {high}"
            );
        };
        inside(&Law::Normal { mean: 0.0, std: 5.0 }, 1.0, 100.0);
        inside(&Law::Constant { value: 0.0 }, 1.0, 1.0);
        inside(&Law::Constant { value: 3e9 }, f64::from(MAX_TOKENS), f64::from(MAX_TOKENS));
        let cut = Law::Lognormal { mean: 50.0, cv: 3.0, max: Some(60.0) };
        inside(&cut, 1.0, 60.0);
        let dice = Law::Uniform { low: 1.0, high: 6.0 };
        inside(&dice, 1.0, 6.0);
        let values = draws(&dice);
        assert!((1..=6).all(|face| values.contains(&f64::from(face))));
    }

    #[test]
    fn times_are_continuous_and_never_negative() {
        let mut rng = stream(7, Stream::Session, 1);
        let law = Law::Normal { mean: 0.0, std: 1.0 };
        let times: Vec<Nanos> = (0..1000).map(|_| time(&law, &mut rng)).collect();
        let zeros = times.iter().filter(|time| **time == Nanos::ZERO).count();
        assert!((400..600).contains(&zeros), "{zeros}");
        let law = Law::Uniform { low: 0.0, high: 1.0 };
        assert!((0..9).any(|_| !time(&law, &mut rng).0.is_multiple_of(1_000_000_000)));
    }
}
