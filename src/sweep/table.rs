//! The results of a sweep: rows by cell and seed, and what statistics makes of them.
//!
//! Means are over seeds, with 95 % Student intervals and percentile bootstrap intervals. Differences
//! are paired: seed by seed, since cells see the same workload under the same seed. A difference whose
//! Student interval contains 0 is not significant. A cell is *steady* unless one of its seeds was
//! overloaded: then its latencies say how long the run was, and nothing else. It is never best.

use super::metric::{Better, METRICS};
use super::plan::{Cell, Plan, Shard};
use super::row::{Outcome, Row};
use super::run::Rows;
use super::stop::StopRule;
use crate::prompt::mix;
use crate::rng::{Stream, stream};
use crate::stats::{Interval, bootstrap_95, interval_95, mean};

/// A mean over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Number of seeds.
    pub seeds: usize,
    /// Mean with its Student interval.
    pub t: Interval,
    /// Bootstrap interval; `None` for a single seed.
    pub bootstrap: Option<(f64, f64)>,
}

/// A mean of paired differences.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean difference with its Student interval.
    pub t: Interval,
    /// Bootstrap interval; `None` for a single pair.
    pub bootstrap: Option<(f64, f64)>,
    /// Mean of the baseline over the same seeds.
    pub base: f64,
}

impl Difference {
    /// In per cent of the baseline; `None` where that is 0.
    pub fn percent(&self) -> Option<f64> {
        (self.base != 0.0).then(|| 100.0 * self.t.mean / self.base.abs())
    }

    /// Whether chance is ruled out at 95 %; `None` for a single pair, which cannot tell. Values that
    /// are equal in every seed do not differ.
    pub fn significant(&self) -> Option<bool> {
        (self.pairs > 1).then(|| !self.t.contains_zero())
    }
}

/// All rows of a sweep.
#[derive(Clone, Debug)]
pub struct Table {
    /// What was swept.
    pub plan: Plan,
    rows: Rows,
}

impl Table {
    /// Puts rows with their plan.
    pub fn new(plan: Plan, rows: Rows) -> Table {
        Table { plan, rows }
    }

    /// The cells, numbered from 0.
    pub fn cells(&self) -> &[Cell] {
        &self.plan.cells
    }

    /// Every row, by cell, then seed.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let row = |((cell, seed), outcome): (&(usize, u64), &Outcome)| Row {
            cell: *cell,
            seed: *seed,
            outcome: outcome.clone(),
        };
        self.rows.iter().map(row)
    }

    /// The rows of one cell, by seed.
    pub fn outcomes(&self, cell: usize) -> impl Iterator<Item = (u64, &Outcome)> {
        self.rows.range((cell, 0)..=(cell, u64::MAX)).map(|((_, seed), outcome)| (*seed, outcome))
    }

    /// The first point with a row missing, within a shard; early stops are no gaps.
    pub fn first_gap(&self, shard: Shard) -> Option<usize> {
        let stop = StopRule::new(&self.plan);
        let has_gap = |(number, _): &(usize, &Cell)| {
            let outcomes: Vec<&Outcome> =
                self.outcomes(*number).map(|(_, outcome)| outcome).collect();
            outcomes.len() < self.plan.seeds.len() && !stop.stops(*number, &outcomes)
        };
        let cells = self.plan.cells.iter().enumerate();
        cells.filter(|(_, cell)| shard.holds(cell.point)).find(has_gap).map(|(_, cell)| cell.point)
    }

    /// Values of a metric, by seed; seeds without it are missing.
    pub fn values(&self, cell: usize, metric: usize) -> Vec<(u64, f64)> {
        let value = |(seed, outcome): (u64, &Outcome)| {
            outcome.as_ref().ok().and_then(|values| values[metric]).map(|value| (seed, value))
        };
        self.outcomes(cell).filter_map(value).collect()
    }

    /// The mean of a metric over seeds; `None` where no seed has it.
    pub fn estimate(&self, cell: usize, metric: usize) -> Option<Estimate> {
        let values = seeds_apart(self.values(cell, metric));
        let mut rng = stream(self.first_seed(), Stream::Bootstrap, lane(cell, metric, 0));
        (!values.is_empty()).then(|| Estimate {
            seeds: values.len(),
            t: interval_95(&values),
            bootstrap: bootstrap_95(&values, &mut rng),
        })
    }

    /// The mean alone; `None` where no seed has it.
    pub fn mean(&self, cell: usize, metric: usize) -> Option<f64> {
        let values = seeds_apart(self.values(cell, metric));
        (!values.is_empty()).then(|| mean(&values))
    }

    /// `cell` − `base`, seed by seed; `None` where they have no seed in common.
    pub fn compare(&self, cell: usize, base: usize, metric: usize) -> Option<Difference> {
        let others = self.values(base, metric);
        let pair = |(seed, value): (u64, f64)| {
            let place = others.binary_search_by_key(&seed, |(other, _)| *other).ok()?;
            Some((value - others[place].1, others[place].1))
        };
        let pairs: Vec<(f64, f64)> =
            self.values(cell, metric).into_iter().filter_map(pair).collect();
        let (paired, bases): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let mut rng = stream(self.first_seed(), Stream::Bootstrap, lane(cell, metric, base + 1));
        (!paired.is_empty()).then(|| Difference {
            pairs: paired.len(),
            t: interval_95(&paired),
            bootstrap: bootstrap_95(&paired, &mut rng),
            base: mean(&bases),
        })
    }

    /// The difference from its baseline; `None` for a baseline itself.
    pub fn difference(&self, cell: usize, metric: usize) -> Option<Difference> {
        let base = self.plan.cells[cell].baseline;
        (base != cell).then(|| self.compare(cell, base, metric)).flatten()
    }

    /// Seeds of a cell that were overloaded.
    pub fn overloaded(&self, cell: usize) -> usize {
        let flag = METRICS.iter().position(|metric| metric.name == "overloaded");
        let values = flag.map(|flag| self.values(cell, flag)).unwrap_or_default();
        values.iter().filter(|(_, value)| *value > 0.0).count()
    }

    /// Why a cell failed, where one of its seeds did.
    pub fn failure(&self, cell: usize) -> Option<&str> {
        self.outcomes(cell).find_map(|(_, outcome)| outcome.as_ref().err().map(String::as_str))
    }

    /// Whether a cell's numbers describe a steady state: no seed failed or was overloaded.
    pub fn is_steady(&self, cell: usize) -> bool {
        self.overloaded(cell) == 0 && self.failure(cell).is_none()
    }

    /// Of these cells, the steady one with the best mean; the first among equals.
    pub fn best(&self, cells: &[usize], metric: usize) -> Option<usize> {
        let better = METRICS[metric].better;
        let steady = cells.iter().copied().filter(|cell| self.is_steady(*cell));
        let means = steady.filter_map(|cell| Some((cell, self.mean(cell, metric)?)));
        let best = means.reduce(|best, next| match better.prefers(next.1, best.1) {
            true => next,
            false => best,
        });
        best.filter(|_| better != Better::Neither).map(|(cell, _)| cell)
    }

    /// Of these cells, those that cannot be told from `best` by this metric, itself included. With a
    /// single seed nothing can be told.
    pub fn ties(&self, cells: &[usize], best: usize, metric: usize) -> Vec<usize> {
        let ties = |cell: &usize| {
            let differs = self.compare(*cell, best, metric).and_then(|gap| gap.significant());
            *cell == best || differs == Some(false)
        };
        cells.iter().copied().filter(|cell| self.is_steady(*cell)).filter(ties).collect()
    }

    fn first_seed(&self) -> u64 {
        self.plan.seeds.first().copied().unwrap_or(0)
    }
}

/// A bootstrap stream of its own for each cell, metric and base.
fn lane(cell: usize, metric: usize, base: usize) -> u64 {
    mix(&[cell as u64, metric as u64, base as u64])
}

fn seeds_apart(values: Vec<(u64, f64)>) -> Vec<f64> {
    values.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
