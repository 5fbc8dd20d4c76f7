//! The rule that ends the replication of a cell early.
//!
//! After each seed from the third on: the half width of the 95 % Student interval of the chosen
//! metric over the seeds so far, divided by their mean. Where it is at most the given share, the cell
//! needs no more seeds. Baselines never stop, so that every seed of every cell has its pair. The rule
//! reads the seeds of its own cell in order and nothing else, so shards and resumed runs agree on it.
//! (Looking again after every seed makes the interval a little too narrow: a stop is for economy, and
//! a claim is worth a run of its own.)

use super::plan::Plan;
use super::row::Outcome;
use crate::stats::interval_95;

/// Seeds before which no cell stops.
pub const LEAST_SEEDS: usize = 3;

/// When a cell needs no more seeds.
#[derive(Clone, Debug)]
pub struct StopRule {
    share: Option<f64>,
    metric: usize,
    /// By cell: it is what others are compared with.
    is_baseline: Vec<bool>,
}

impl StopRule {
    /// The rule of a plan, which has been checked.
    pub fn new(plan: &Plan) -> StopRule {
        let mut is_baseline = vec![false; plan.cells.len()];
        plan.cells.iter().for_each(|cell| is_baseline[cell.baseline] = true);
        StopRule {
            share: plan.spec.stop_share().unwrap_or(None),
            metric: plan.spec.metric().unwrap_or(0),
            is_baseline,
        }
    }

    /// Whether there is any.
    pub fn is_on(&self) -> bool {
        self.share.is_some()
    }

    /// Whether a cell with these outcomes, in order of seeds, needs no more.
    pub fn stops(&self, cell: usize, outcomes: &[&Outcome]) -> bool {
        let Some(share) = self.share.filter(|_| !self.is_baseline[cell]) else { return false };
        if outcomes.len() < LEAST_SEEDS {
            return false;
        }
        let value = |outcome: &&Outcome| outcome.as_ref().ok().and_then(|row| row[self.metric]);
        let values: Option<Vec<f64>> = outcomes.iter().map(value).collect();
        values.is_some_and(|values| {
            let interval = interval_95(&values);
            interval.half_width <= share * interval.mean.abs()
        })
    }
}
