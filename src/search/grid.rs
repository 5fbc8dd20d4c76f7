//! A grid of measured points: the best one, and those that cannot be told from it.
//!
//! "Not significantly worse" is Hsu's comparison with the best: point i belongs to the set unless it is
//! worse than the best one by more than a one-sided Student bound on their paired differences (same
//! seed, same workload), with the 5 % shared among all comparisons (Bonferroni). So the set
//! holds the true best point with a confidence of at least 95 %, however many points there are
//! and although the best one was picked after looking. With one seed nothing is significant and the
//! set is the whole grid.

use crate::stats::{Interval, interval_95, mean, sample_std, t_quantile};
use std::fmt;

/// A setting's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Level {
    /// A number: levels have an order.
    Number(f64),
    /// A name: they have none.
    Name(String),
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Number(number) => write!(out, "{number}"),
            Level::Name(name) => write!(out, "{name}"),
        }
    }
}

/// One point of a grid.
#[derive(Clone, Debug)]
pub struct Point {
    /// What was set: name and value, the same names in the same order at every point.
    pub settings: Vec<(String, Level)>,
    /// What was measured: name and a value per seed, the same seeds in the same order everywhere.
    pub metrics: Vec<(String, Vec<f64>)>,
    /// The queue grew without bound: its values are no result.
    pub overloaded: bool,
}

impl Point {
    /// The values of a metric; empty where it was not measured.
    pub fn values(&self, metric: &str) -> &[f64] {
        self.metrics
            .iter()
            .find(|(name, _)| name == metric)
            .map_or(&[], |(_, values)| values.as_slice())
    }

    /// Whether the point may be compared under `objective`: not overloaded, and measured.
    pub fn counts(&self, objective: &Objective) -> bool {
        let values = self.values(&objective.metric);
        !self.overloaded && !values.is_empty() && values.iter().all(|value| value.is_finite())
    }
}

/// A metric and which way is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Name among [`Point::metrics`].
    pub metric: String,
    /// What people call it: `TTFT p99`.
    pub label: String,
    /// More is better.
    pub maximize: bool,
}

impl Objective {
    /// Values turned so that less is better.
    pub(super) fn costs(&self, point: &Point) -> Vec<f64> {
        let sign = if self.maximize { -1.0 } else { 1.0 };
        point.values(&self.metric).iter().map(|value| sign * value).collect()
    }
}

/// The outcome of [`best`]; numbers are places in the list of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The point with the best mean.
    pub place: usize,
    /// All that are not significantly worse, itself included, ascending.
    pub equals: Vec<usize>,
    /// Left out: overloaded or without a value.
    pub excluded: Vec<usize>,
}

/// The best point under an objective; `None` where no point counts.
pub fn best(points: &[Point], objective: &Objective) -> Option<Best> {
    let (counted, excluded): (Vec<usize>, Vec<usize>) =
        (0..points.len()).partition(|place| points[*place].counts(objective));
    let cost = |place: &usize| mean(&objective.costs(&points[*place]));
    let place = counted.iter().copied().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    let comparisons = counted.len().saturating_sub(1);
    let equals = counted
        .into_iter()
        .filter(|other| {
            *other == place || !is_worse(&points[*other], &points[place], objective, comparisons)
        })
        .collect();
    Some(Best { place, equals, excluded })
}

/// Whether `point` is significantly worse than `other`, as one of so many comparisons.
pub fn is_worse(point: &Point, other: &Point, objective: &Objective, comparisons: usize) -> bool {
    let differences = differences(point, other, objective);
    if differences.len() < 2 {
        return false;
    }
    let n = differences.len();
    let bound = t_quantile(1.0 - 0.05 / comparisons.max(1) as f64, n as u64 - 1);
    mean(&differences) > bound * sample_std(&differences) / (n as f64).sqrt()
}

/// By how much `point` is worse than `other`, in percent of the latter's value, with the plain 95 %
/// interval of the paired differences.
pub fn cost_percent(point: &Point, other: &Point, objective: &Objective) -> Interval {
    let scale = 100.0 / mean(&objective.costs(other)).abs();
    let interval = interval_95(&differences(point, other, objective));
    Interval { mean: interval.mean * scale, half_width: interval.half_width * scale }
}

/// Cost of `point` less that of `other`, seed by seed.
fn differences(point: &Point, other: &Point, objective: &Objective) -> Vec<f64> {
    let (own, theirs) = (objective.costs(point), objective.costs(other));
    std::iter::zip(own, theirs).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
pub(super) mod samples {
    //! Grids with a known truth.

    use super::*;

    /// Lower is better.
    pub fn ttft() -> Objective {
        Objective { metric: "ttft".into(), label: "TTFT p99".into(), maximize: false }
    }

    /// Overlap weight × temperature over five seeds: `truth(weight, temperature)`, a seed effect that
    /// all points share, and `noise` of their own.
    pub fn grid(truth: impl Fn(f64, f64) -> f64, noise: f64) -> Vec<Point> {
        let mut points = Vec::new();
        for weight in [0.0, 0.5, 1.0, 2.0, 4.0] {
            for temperature in [0.0, 0.2, 0.5, 1.0] {
                let own = |seed: u32| {
                    let hash = crate::prompt::mix(&[points.len() as u64, u64::from(seed)]);
                    noise * ((hash % 2001) as f64 / 1000.0 - 1.0)
                };
                let value = |seed| truth(weight, temperature) + 5.0 * f64::from(seed) + own(seed);
                points.push(Point {
                    settings: vec![
                        ("overlap weight".into(), Level::Number(weight)),
                        ("temperature".into(), Level::Number(temperature)),
                    ],
                    metrics: vec![("ttft".into(), (0..5).map(value).collect())],
                    overloaded: false,
                });
            }
        }
        points
    }

    /// Best at weights 1 and 2 and temperature 0.
    pub fn clear() -> Vec<Point> {
        grid(
            |weight, temperature| {
                let weight = match weight {
                    0.0 => 62.0,
                    0.5 => 31.0,
                    4.0 => 12.0,
                    _ => 0.0,
                };
                100.0 + weight + 60.0 * temperature
            },
            1.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{clear, grid, ttft};
    use super::*;

    #[test]
    fn a_clear_optimum_is_found_with_its_equal_and_no_other() {
        let points = clear();
        let best = best(&points, &ttft()).unwrap();
        assert_eq!(best.equals, [8, 12], "weights 1 and 2 at temperature 0");
        assert!(best.equals.contains(&best.place));
        let cost = cost_percent(&points[4], &points[8], &ttft());
        assert!(
            (cost.mean - 100.0 * 31.0 / 110.0).abs() < 2.0 && cost.half_width < 3.0,
            "{cost:?}"
        );
    }

    #[test]
    fn where_all_is_noise_all_points_are_equal() {
        let points = grid(|_, _| 100.0, 5.0);
        assert_eq!(best(&points, &ttft()).unwrap().equals.len(), points.len());
    }

    #[test]
    fn overloaded_and_unmeasured_points_are_no_result() {
        let mut points = clear();
        points[8].overloaded = true;
        points[12].metrics.clear();
        let best = best(&points, &ttft()).unwrap();
        assert_eq!(best.excluded, [8, 12]);
        assert!([9, 13, 16].contains(&best.place), "weight 4, or temperature 0.2, is next");
        points.iter_mut().for_each(|point| point.overloaded = true);
        assert_eq!(super::best(&points, &ttft()), None);
    }

    #[test]
    fn one_seed_makes_nothing_significant_and_more_can_be_better() {
        let mut points = clear();
        points.iter_mut().for_each(|point| point.metrics[0].1.truncate(1));
        assert_eq!(best(&points, &ttft()).unwrap().equals.len(), points.len());
        let goodput = Objective { maximize: true, ..ttft() };
        assert_eq!(best(&clear(), &goodput).unwrap().place, 3, "weight 0, temperature 1");
    }
}
