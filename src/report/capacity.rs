//! The result of a capacity search: a table for the terminal, and `summary.json`.

use super::columns::aligned;
use super::describe;
use super::format::{number, short};
use crate::scenario::Scenario;
use crate::search::steady::LEAST_SPANS;
use crate::search::trial::Trial;
use crate::search::{Capacities, Capacity, Goal};
use serde::Serialize;

/// `summary.json` of a capacity search.
#[derive(Debug, Serialize)]
pub struct CapacitySummary {
    schema_version: &'static str,
    scenario: Scenario,
    goal: String,
    rate_unit: &'static str,
    routers: Vec<RouterCapacity>,
}

#[derive(Debug, Serialize)]
struct RouterCapacity {
    router: String,
    /// Null where no rate within reach holds.
    capacity: Option<f64>,
    range: [Option<f64>; 2],
    decided_by: &'static str,
    trials: Vec<TrialSummary>,
}

#[derive(Debug, Serialize)]
struct TrialSummary {
    rate: f64,
    seeds: usize,
    overloaded_seeds: usize,
    holds: bool,
    decided_by: &'static str,
    value: String,
    shortfall: f64,
    shortfall_half_width: Option<f64>,
}

fn decided_by(clear: bool) -> &'static str {
    if clear { "95 % interval" } else { "mean" }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The summary of `found`.
pub fn summary(scenario: &Scenario, goal: &Goal, found: &Capacities) -> CapacitySummary {
    let trial = |trial: &Trial| TrialSummary {
        rate: trial.rate,
        seeds: trial.outcomes.len(),
        overloaded_seeds: trial.overloaded(),
        holds: trial.holds,
        decided_by: decided_by(trial.clear),
        value: goal.describe(trial.shortfall().mean),
        shortfall: trial.shortfall().mean,
        shortfall_half_width: finite(trial.shortfall().half_width),
    };
    let router = |capacity: &Capacity| RouterCapacity {
        router: capacity.router.clone(),
        capacity: capacity.rate,
        range: [finite(capacity.low), finite(capacity.high)],
        decided_by: decided_by(capacity.clear),
        trials: capacity.trials.iter().map(trial).collect(),
    };
    CapacitySummary {
        schema_version: "1",
        scenario: scenario.clone(),
        goal: goal.name(),
        rate_unit: found.unit.suffix(),
        routers: found.routers.iter().map(router).collect(),
    }
}

/// One rate of a search, for the log: `kv at 34.2/s holds: p99 TTFT 812 ms (3 seeds)`.
pub fn trial_line(goal: &Goal, suffix: &str, router: &str, trial: &Trial) -> String {
    let verdict = if trial.holds { "holds" } else { "fails" };
    let how = if trial.clear { "" } else { ", by the mean alone" };
    let overloaded = match (goal, trial.overloaded()) {
        (Goal::NotOverloaded, n) => format!("{n} of {} seeds overloaded", trial.outcomes.len()),
        (_, 0) => goal.describe(trial.shortfall().mean),
        (_, n) => format!("{}, {n} overloaded", goal.describe(trial.shortfall().mean)),
    };
    let seeds = trial.outcomes.len();
    format!(
        "{router} at {}{suffix} {verdict}: {overloaded} ({seeds} seeds{how})",
        short(trial.rate)
    )
}

/// The table. Routers are compared with round robin, or the first where it is absent.
pub fn render(scenario: &Scenario, goal: &Goal, found: &Capacities) -> String {
    let requests = scenario.workload.requests.unwrap_or(0);
    let base = found.of("round-robin").or(found.routers.first());
    let Some(base) = base else {
        return "no routers\n".into();
    };
    let head = ["router", "capacity", "range", &format!("against {}", base.router), "decided by"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for capacity in &found.routers {
        rows.push(vec![
            capacity.router.clone(),
            rate(capacity, found.unit.suffix()),
            range(capacity),
            against(capacity, base),
            decided_by(capacity.clear).into(),
        ]);
    }
    format!(
        "{}\nThe highest rate with: {}\n\n{}{}",
        describe(scenario, requests),
        goal.name(),
        aligned(&rows, &[false, true, true, true, false]),
        warning(found)
    )
}

/// Runs that were too short for what they hold.
fn warning(found: &Capacities) -> String {
    if !found.routers.iter().any(Capacity::is_unsettled) {
        return String::new();
    }
    format!(
        "\nWARNING: sessions started for less than {LEAST_SPANS} times as long as they last, so there was no \
         steady state and the capacities are too high; raise --num-requests.\n"
    )
}

fn rate(capacity: &Capacity, suffix: &str) -> String {
    let beyond = capacity.trials.last().is_some_and(|trial| trial.holds);
    match capacity.rate {
        None => "none".into(),
        Some(rate) if beyond => format!("≥ {}{suffix}", short(rate)),
        Some(rate) => format!("{}{suffix}", short(rate)),
    }
}

fn range(capacity: &Capacity) -> String {
    let high = finite(capacity.high).map_or("∞".into(), short);
    format!("{} to {high}", short(capacity.low))
}

/// Change in percent, and the least and the most that the two ranges allow.
fn against(capacity: &Capacity, base: &Capacity) -> String {
    let (Some(own), Some(theirs)) = (capacity.rate, base.rate) else {
        return String::new();
    };
    if capacity.router == base.router {
        return String::new();
    }
    let percent = |ratio: f64| match 100.0 * (ratio - 1.0) {
        change if change.is_infinite() => "∞".into(),
        change if change < 0.0 => number(change, 0),
        change => format!("+{}", number(change, 0)),
    };
    format!(
        "{} % ({} to {})",
        percent(own / theirs),
        percent(capacity.low / base.high),
        percent(capacity.high / base.low)
    )
}
