//! What is measured, from the runs of one setting.

use super::{BASELINE, Effort, Measure, Pair, Range, TESTED};
use crate::error::{Error, Result};
use crate::request::RequestRecord;
use crate::scenario::Scenario;
use crate::search::steady::{self, Run};
use crate::search::trial::Seeds;
use crate::search::{Capacity, Goal, Search};
use crate::sim::Control;
use crate::stats::mean;

/// Resolution of a measured capacity.
const TOLERANCE: f64 = 0.02;

pub(super) struct Found {
    pub baseline: f64,
    pub tested: f64,
    pub range: Range,
    /// A worker was overloaded, where none may be.
    pub hot: bool,
}

/// Everything but capacities: a value per seed and router, and what the promise is about.
pub(super) fn over_seeds(measure: Measure, pairs: &[Pair]) -> Found {
    let value = |run: &Run| value(measure, run);
    let tested: Vec<f64> = pairs.iter().map(|pair| value(&pair.tested)).collect();
    let baseline: Vec<f64> = pairs.iter().map(|pair| value(&pair.baseline)).collect();
    let promised: Vec<f64> = match measure {
        Measure::Ttft => std::iter::zip(&tested, &baseline)
            .map(|(own, base)| 100.0 * (1.0 - own / base))
            .collect(),
        _ => tested.clone(),
    };
    let range = Range::over_seeds(&promised);
    let hot = measure == Measure::HotSpot && pairs.iter().any(|pair| is_hot(&pair.tested));
    Found { baseline: mean(&baseline), tested: mean(&tested), range, hot }
}

fn value(measure: Measure, run: &Run) -> f64 {
    match measure {
        Measure::HitRate => hit_rate(run.steady().into_iter()),
        Measure::FollowUpHitRate => {
            hit_rate(run.steady().into_iter().filter(|record| record.turn > 0))
        }
        Measure::Ttft => mean(&steady::sorted_ms(run.steady().iter().filter_map(|r| r.ttft()))),
        Measure::BusySpread => spread(run),
        Measure::HotSpot => busiest(run),
        Measure::Capacity => unreachable!("a capacity is not the property of one run"),
    }
}

/// Percent of prompt tokens.
fn hit_rate<'a>(records: impl Iterator<Item = &'a RequestRecord>) -> f64 {
    let (mut hits, mut tokens) = (0u64, 0u64);
    for record in records {
        hits += u64::from(record.hit_tokens);
        tokens += u64::from(record.prompt_tokens);
    }
    100.0 * hits as f64 / tokens.max(1) as f64
}

/// (Most busy − least busy worker) / mean, percent.
fn spread(run: &Run) -> f64 {
    let busy: Vec<f64> = run.output.workers.iter().map(|worker| worker.busy_fraction).collect();
    let most = busy.iter().copied().fold(0.0, f64::max);
    let least = busy.iter().copied().fold(f64::INFINITY, f64::min);
    100.0 * (most - least) / mean(&busy)
}

/// Requests in flight on the fullest worker, as a multiple of the mean over workers. By Little's law
/// the mean number in flight on a worker goes as the sum of the E2E of its requests.
fn busiest(run: &Run) -> f64 {
    let mut flight = vec![0.0; run.output.workers.len()];
    for record in run.steady() {
        if let (Some(worker), Some(e2e)) = (record.worker, record.e2e()) {
            flight[worker as usize] += e2e.as_secs_f64();
        }
    }
    flight.iter().copied().fold(0.0, f64::max) / mean(&flight)
}

/// Whether the queue of any worker grew without bound.
fn is_hot(run: &Run) -> bool {
    let steady = run.steady();
    (0..run.output.workers.len() as u32).any(|worker| {
        let own: Vec<&RequestRecord> =
            steady.iter().filter(|record| record.worker == Some(worker)).copied().collect();
        steady::overloaded(&own)
    })
}

/// Change of the highest rate at the scenario's own limits, percent.
pub(super) fn capacity(scenario: &Scenario, effort: Effort, control: &Control) -> Result<Found> {
    let goal = Goal::parse(scenario.slo(), None, 0.0)?;
    let seeds = Seeds { first: effort.seeds.min(3), most: effort.seeds };
    let search = Search { scenario, goal, tolerance: TOLERANCE, seeds };
    let modes = [TESTED, BASELINE].map(String::from);
    let found = search.run(&modes, control, &|_, _| ())?;
    let of = |mode: &str| {
        let capacity = found.of(mode).and_then(|found| Some((found, found.rate?)));
        capacity.ok_or_else(|| {
            Error::Run(format!("{mode} does not meet \"{}\" at any rate", goal.name()))
        })
    };
    let ((own, tested), (base, baseline)) = (of(TESTED)?, of(BASELINE)?);
    Ok(Found { baseline, tested, range: change(own, base, tested / baseline), hot: false })
}

/// What the two ranges allow at least and at most.
fn change(own: &Capacity, base: &Capacity, ratio: f64) -> Range {
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    Range {
        mean: percent(ratio),
        low: percent(own.low / base.high),
        high: percent(own.high / base.low),
    }
}
