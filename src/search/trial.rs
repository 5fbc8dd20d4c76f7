//! One rate tried over several seeds, and what follows from it.

use super::goal::Goal;
use super::load;
use super::steady;
use crate::error::Result;
use crate::scenario::{ArrivalSpec, Scenario};
use crate::sim::{Control, Setup};
use crate::stats::{Interval, interval_95};
use rayon::prelude::*;

/// What one seed showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// At most 0 where the goal was met, see [`Goal::shortfall`].
    pub shortfall: f64,
    /// The queue grew without bound.
    pub overloaded: bool,
    /// Length of the run in durations of a session, see [`steady::Run::spans`].
    pub spans: f64,
}

/// How many seeds a rate may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// So many at first.
    pub first: u32,
    /// So many at most.
    pub most: u32,
}

/// One router at one rate.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The rate.
    pub rate: f64,
    /// One per seed, ascending.
    pub outcomes: Vec<Outcome>,
    /// The goal holds at this rate.
    pub holds: bool,
    /// The 95 % interval over seeds lies on one side; otherwise the mean has decided.
    pub clear: bool,
}

impl Trial {
    /// Shortfall over seeds.
    pub fn shortfall(&self) -> Interval {
        let values: Vec<f64> = self.outcomes.iter().map(|outcome| outcome.shortfall).collect();
        interval_95(&values)
    }

    /// The shortest of its runs, in durations of a session.
    pub fn spans(&self) -> f64 {
        self.outcomes.iter().map(|outcome| outcome.spans).fold(f64::INFINITY, f64::min)
    }

    /// Seeds under which the queue grew without bound.
    pub fn overloaded(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.overloaded).count()
    }
}

/// Whether the goal holds, and whether that is clear. It must hold without overload: a rate is refused
/// when most seeds are overloaded, and clearly accepted only when none is.
fn judge(outcomes: &[Outcome]) -> (bool, bool) {
    let values: Vec<f64> = outcomes.iter().map(|outcome| outcome.shortfall).collect();
    let interval = interval_95(&values);
    let overloaded = outcomes.iter().filter(|outcome| outcome.overloaded).count();
    let holds = interval.mean <= 0.0 && 2 * overloaded < outcomes.len();
    let one_side = interval.mean.abs() > interval.half_width;
    let clear = match holds {
        true => one_side && overloaded == 0,
        false => overloaded == outcomes.len() || (interval.mean > 0.0 && one_side),
    };
    (holds, clear && outcomes.len() > 1)
}

/// Tries a rate, with more seeds while it is not clear.
///
/// # Errors
/// Where a run fails.
pub fn run(
    scenario: &Scenario,
    mode: &str,
    goal: &Goal,
    rate: f64,
    seeds: Seeds,
    control: &Control,
) -> Result<Trial> {
    let at_rate = load::at_rate(scenario, rate)?;
    let mut outcomes = Vec::new();
    let mut wanted = seeds.first.min(seeds.most);
    loop {
        let new: Result<Vec<Outcome>> = (outcomes.len() as u32..wanted)
            .into_par_iter()
            .map(|replicate| outcome(&at_rate, mode, goal, replicate, control))
            .collect();
        outcomes.extend(new?);
        let (holds, clear) = judge(&outcomes);
        if clear || wanted >= seeds.most {
            return Ok(Trial { rate, outcomes, holds, clear });
        }
        wanted = (wanted + 2).min(seeds.most);
    }
}

fn outcome(
    scenario: &Scenario,
    mode: &str,
    goal: &Goal,
    replicate: u32,
    control: &Control,
) -> Result<Outcome> {
    let setup = Setup::new(scenario, mode, scenario.seed.wrapping_add(replicate.into()))?;
    let run = steady::run(&setup, control)?;
    let closed = scenario.workload.arrival.as_ref().is_some_and(ArrivalSpec::is_closed_loop);
    let overloaded = run.overloaded(!closed);
    let shortfall = goal.shortfall(&run.steady(), overloaded);
    Ok(Outcome { shortfall, overloaded, spans: run.spans() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(shortfalls: &[f64], overloaded: usize) -> (bool, bool) {
        let outcomes = shortfalls.iter().enumerate();
        let outcomes: Vec<Outcome> = outcomes
            .map(|(i, shortfall)| Outcome {
                shortfall: *shortfall,
                overloaded: i < overloaded,
                spans: 9.0,
            })
            .collect();
        judge(&outcomes)
    }

    #[test]
    fn the_interval_decides_where_it_can_and_else_the_mean() {
        assert_eq!(judged(&[-1.0, -1.1, -0.9], 0), (true, true));
        assert_eq!(judged(&[1.0, 1.1, 0.9], 0), (false, true));
        assert_eq!(judged(&[-1.0, 0.9, -0.5], 0), (true, false));
        assert_eq!(judged(&[1.0, -0.9, 0.5], 0), (false, false));
        assert_eq!(judged(&[-1.0], 0), (true, false), "one seed says nothing of spread");
    }

    #[test]
    fn latencies_of_an_overloaded_run_do_not_count_as_met() {
        assert_eq!(judged(&[-1.0, -1.1, -0.9], 1), (true, false));
        assert_eq!(judged(&[-1.0, -1.1, -0.9], 2), (false, false));
        assert_eq!(judged(&[-1.0, -1.1, -0.9], 3), (false, true));
    }
}
