//! Statistics of samples: percentiles, spread, Student intervals, least squares.
//!
//! Percentiles interpolate linearly between order statistics (numpy's default). The Student
//! distribution has a closed form for whole degrees of freedom (Abramowitz & Stegun 26.7.3 and
//! 26.7.4), which is inverted by bisection, so no table and no approximation is involved.

use crate::rng::Rng;
use rand::RngExt;
use std::f64::consts::PI;

/// The `q`-quantile (0 to 1) of an ascending slice, linearly interpolated; NaN where it is empty.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// Arithmetic mean; 0 where there is nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / values.len() as f64
}

/// `part / whole`; 0 where the whole is nothing.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Standard deviation of the values themselves (divisor n, numpy's default).
pub fn population_std(values: &[f64]) -> f64 {
    (sum_of_squared_deviations(values) / values.len().max(1) as f64).sqrt()
}

/// Standard deviation estimated from a sample (divisor n − 1); 0 for fewer than two values.
pub fn sample_std(values: &[f64]) -> f64 {
    let divisor = values.len().saturating_sub(1).max(1);
    (sum_of_squared_deviations(values) / divisor as f64).sqrt()
}

fn sum_of_squared_deviations(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Standard deviation (divisor n) / mean; 0 where the mean is 0.
pub fn coefficient_of_variation(values: &[f64]) -> f64 {
    let mean = mean(values);
    if mean == 0.0 { 0.0 } else { population_std(values) / mean }
}

/// A mean with the half width of its two-sided confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; infinite for a single value, which says nothing of spread.
    pub half_width: f64,
}

impl Interval {
    /// Whether 0 lies inside: the mean may be chance.
    pub fn contains_zero(&self) -> bool {
        self.mean.abs() <= self.half_width
    }
}

/// 95 % Student interval for the mean of `values`; for paired differences, the values are those.
pub fn interval_95(values: &[f64]) -> Interval {
    let half_width = match values.len() {
        0 | 1 => f64::INFINITY,
        n => t_quantile(0.975, n as u64 - 1) * sample_std(values) / (n as f64).sqrt(),
    };
    Interval { mean: mean(values), half_width }
}

/// Resamples behind a bootstrap interval.
const RESAMPLES: usize = 1000;

/// 95 % percentile bootstrap interval for the mean of `values`: no law is assumed, but with few
/// values it is too narrow (it never leaves their range). `None` for fewer than two values.
pub fn bootstrap_95(values: &[f64], rng: &mut Rng) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut resample = || {
        let drawn = (0..values.len()).map(|_| values[rng.random_range(0..values.len())]);
        drawn.sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_unstable_by(f64::total_cmp);
    Some((quantile(&means, 0.025), quantile(&means, 0.975)))
}

/// The `p`-quantile (0.5 ≤ p < 1) of Student's t with `df` ≥ 1 degrees of freedom.
pub fn t_quantile(p: f64, df: u64) -> f64 {
    let within = 2.0 * p - 1.0;
    let (mut low, mut high) = (0.0, 1.0);
    while t_within(high, df) < within && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if t_within(middle, df) < within {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Probability that |T| ≤ `t`. Odd degrees of freedom start the series at cos θ, even ones at 1.
fn t_within(t: f64, df: u64) -> f64 {
    let angle = (t / (df as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = df % 2 == 1;
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut k = if odd { 3 } else { 2 };
    while k <= df && term > 1e-18 {
        sum += term;
        term *= cos * cos * (k - 1) as f64 / k as f64;
        k += 2;
    }
    match (odd, df) {
        (true, 1) => angle * 2.0 / PI,
        (true, _) => (angle + sin * sum) * 2.0 / PI,
        (false, _) => sin * sum,
    }
}

/// Slope of the least squares line through `points`; 0 where all x are equal.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len().max(1) as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
    }
    if xx == 0.0 { 0.0 } else { xy / xx }
}

/// Count, sums and extremes kept beside a histogram, whose own are only approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactSums {
    /// Number of values.
    pub count: u64,
    /// Their sum.
    pub sum: u128,
    /// Sum of their squares.
    pub sum_squares: u128,
    /// Smallest value; 0 where there is none.
    pub min: u64,
    /// Largest value.
    pub max: u64,
}

impl ExactSums {
    /// Adds `n` times the same value.
    pub fn record_n(&mut self, value: u64, n: u64) {
        if n == 0 {
            return;
        }
        let wide = u128::from(value);
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += n;
        self.sum += wide * u128::from(n);
        self.sum_squares += wide * wide * u128::from(n);
    }

    /// Adds all values of another one.
    pub fn merge(&mut self, other: &ExactSums) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
    }

    /// Mean; 0 where there is nothing.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }

    /// Standard deviation (divisor n). In integers where they suffice: the textbook formula
    /// subtracts two nearly equal numbers, and equal values must give exactly 0.
    pub fn std(&self) -> f64 {
        let n = u128::from(self.count.max(1));
        let exact = n
            .checked_mul(self.sum_squares)
            .zip(self.sum.checked_mul(self.sum))
            .map(|(squares, sum)| (squares - sum) as f64 / (n as f64 * n as f64));
        let variance =
            exact.unwrap_or_else(|| self.sum_squares as f64 / n as f64 - self.mean() * self.mean());
        variance.max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_numpy() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        // np.percentile(values, [0, 1, 10, 50, 75, 99, 100])
        for (percent, expected) in [
            (0.0, 1.0),
            (1.0, 1.04),
            (10.0, 1.4),
            (50.0, 4.0),
            (75.0, 8.0),
            (99.0, 15.68),
            (100.0, 16.0),
        ] {
            assert!((quantile(&values, percent / 100.0) - expected).abs() < 1e-12);
        }
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn deviations_agree_with_numpy() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(population_std(&values), 2.0);
        assert!((sample_std(&values) - 2.138_089_935).abs() < 1e-9);
        assert_eq!(coefficient_of_variation(&values), 0.4);
        assert_eq!(coefficient_of_variation(&[0.0, 0.0]), 0.0);
        assert_eq!(sample_std(&[3.0]), 0.0);
    }

    #[test]
    fn t_quantiles_agree_with_the_printed_table() {
        for (df, expected) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (7, 2.365),
            (8, 2.306),
            (9, 2.262),
            (10, 2.228),
            (15, 2.131),
            (20, 2.086),
            (29, 2.045),
            (30, 2.042),
            (40, 2.021),
            (60, 2.000),
            (99, 1.984),
            (100, 1.984),
            (10_000, 1.960),
        ] {
            let got = t_quantile(0.975, df);
            assert!((got - expected).abs() < 1e-3, "df {df}: {got}, {expected}");
        }
        assert!((t_quantile(0.95, 5) - 2.015).abs() < 1e-3);
    }

    #[test]
    fn t_quantiles_fall_towards_the_normal_one() {
        let mut before = f64::INFINITY;
        for df in 1..=200 {
            let now = t_quantile(0.975, df);
            assert!(now < before && now > 1.959, "{df}: {now}");
            before = now;
        }
    }

    #[test]
    fn an_interval_of_paired_differences() {
        let interval = interval_95(&[1.0, 2.0, 3.0]);
        assert_eq!(interval.mean, 2.0);
        assert!((interval.half_width - 4.302_65 / 3f64.sqrt()).abs() < 1e-4);
        assert!(interval.contains_zero());
        assert!(!interval_95(&[2.0, 2.1, 1.9]).contains_zero());
        assert!(interval_95(&[5.0]).contains_zero());
    }

    #[test]
    fn a_bootstrap_interval_is_near_the_normal_one_and_says_nothing_of_one_value() {
        let mut rng = crate::rng::stream(1, crate::rng::Stream::Bootstrap, 0);
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let (low, high) = bootstrap_95(&values, &mut rng).unwrap();
        let half = 1.96 * population_std(&values) / 10.0;
        assert!((low - (49.5 - half)).abs() < 0.6, "{low}");
        assert!((high - (49.5 + half)).abs() < 0.6, "{high}");
        assert_eq!(bootstrap_95(&[3.0, 3.0], &mut rng), Some((3.0, 3.0)));
        assert_eq!(bootstrap_95(&[3.0], &mut rng), None);
    }

    #[test]
    fn slopes() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 3.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }

    #[test]
    fn side_sums_are_exact() {
        let mut sums = ExactSums::default();
        sums.record_n(10_000_000, 1_000_000);
        assert_eq!((sums.std(), sums.mean()), (0.0, 1e7));
        sums.record_n(30_000_000, 1_000_000);
        sums.record_n(5, 0);
        assert_eq!((sums.std(), sums.min, sums.max), (1e7, 10_000_000, 30_000_000));
    }
}
