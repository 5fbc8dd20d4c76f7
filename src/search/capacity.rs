//! Capacity: the highest rate at which a goal holds, by bisection with confidence.
//!
//! Rates are taken from one geometric ladder, `own rate · (1 + tolerance)^k`, the same for all
//! routers, and the seeds of a rate are the same too, so that routers are compared on identical
//! workloads. The search gallops from the scenario's own rate until it has a rate that holds and one
//! that fails, then halves between them until they are neighbours: the lower one is the capacity.
//! It assumes that a goal that fails at a rate fails at all higher ones.
//!
//! A rate is accepted or refused when the 95 % interval over its seeds lies on one side; while it does
//! not, seeds are added, and where their number runs out the mean decides. The range that is given
//! with a capacity reaches from the highest rate tried that was clearly accepted to the lowest
//! that was clearly refused.

use super::goal::Goal;
use super::load::{self, Unit};
use super::steady::LEAST_SPANS;
use super::trial::{self, Seeds, Trial};
use crate::error::{Error, Result};
use crate::scenario::Scenario;
use crate::sim::Control;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The search goes no further than this many times its start, either way.
pub const REACH: f64 = 64.0;

/// Told of every rate as it is decided.
pub type Watch<'a> = &'a (dyn Fn(&str, &Trial) + Sync);

/// What is searched, and how well.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The workload and the cluster, resolved; its rate is where the search begins.
    pub scenario: &'a Scenario,
    /// What must hold.
    pub goal: Goal,
    /// Neighbouring rates differ by this share, 0.001 to 0.5.
    pub tolerance: f64,
    /// Seeds per rate.
    pub seeds: Seeds,
}

/// What was found for one router.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// Router mode.
    pub router: String,
    /// The highest rate that holds; `None` where none does within reach.
    pub rate: Option<f64>,
    /// The highest rate tried that was clearly accepted; 0 where there is none.
    pub low: f64,
    /// The lowest rate tried that was clearly refused; infinite where there is none.
    pub high: f64,
    /// The 95 % intervals decided on both sides of the capacity, and not the means.
    pub clear: bool,
    /// Every rate that was tried, ascending.
    pub trials: Vec<Trial>,
}

impl Capacity {
    /// The capacity rests on runs too short for their sessions: they reached no steady state, and it
    /// is too high.
    pub fn is_unsettled(&self) -> bool {
        let mut trials = self.trials.iter();
        trials.any(|trial| Some(trial.rate) == self.rate && trial.spans() < LEAST_SPANS)
    }
}

/// The capacities of several routers.
#[derive(Clone, Debug)]
pub struct Capacities {
    /// What rates are rates of.
    pub unit: Unit,
    /// In the order of the routers asked for.
    pub routers: Vec<Capacity>,
}

impl Capacities {
    /// One router's.
    pub fn of(&self, router: &str) -> Option<&Capacity> {
        self.routers.iter().find(|capacity| capacity.router == router)
    }
}

impl Search<'_> {
    /// The capacity under each of `modes`, in the thread pool of the caller.
    ///
    /// # Errors
    /// Where the scenario has no rate to vary, or a run fails.
    pub fn run(&self, modes: &[String], control: &Control, watch: Watch) -> Result<Capacities> {
        if !(0.001..=0.5).contains(&self.tolerance) {
            return Err(Error::input(format!(
                "--tolerance {}: give a share from 0.001 to 0.5",
                self.tolerance
            )));
        }
        let (own, unit) = load::rate(self.scenario)?;
        let search = |mode: &String| {
            let ladder = Ladder { search: self, mode, own, control, watch, tried: BTreeMap::new() };
            ladder.climb()
        };
        let routers: Result<Vec<Capacity>> = modes.par_iter().map(search).collect();
        Ok(Capacities { unit, routers: routers? })
    }
}

/// The rates of one router, by their step on the ladder.
struct Ladder<'a> {
    search: &'a Search<'a>,
    mode: &'a str,
    own: f64,
    control: &'a Control,
    watch: Watch<'a>,
    tried: BTreeMap<i32, Trial>,
}

impl Ladder<'_> {
    /// Steps either way that [`REACH`] allows.
    fn reach(&self) -> i32 {
        (REACH.ln() / self.search.tolerance.ln_1p()).ceil() as i32
    }

    fn rate(&self, step: i32) -> f64 {
        self.own * (1.0 + self.search.tolerance).powi(step)
    }

    fn try_step(&mut self, step: i32) -> Result<&Trial> {
        if !self.tried.contains_key(&step) {
            let Search { scenario, goal, seeds, .. } = self.search;
            let rate = self.rate(step);
            let trial = trial::run(scenario, self.mode, goal, rate, *seeds, self.control)?;
            (self.watch)(self.mode, &trial);
            self.tried.insert(step, trial);
        }
        Ok(&self.tried[&step])
    }

    fn climb(mut self) -> Result<Capacity> {
        let (holding, failing) = self.bracket()?;
        let found = match (holding, failing) {
            (Some(low), Some(high)) => Some(self.bisect(low, high)?),
            (only, _) => only,
        };
        self.clear_edges(found)?;
        Ok(self.capacity(found))
    }

    /// Gallops from the scenario's own rate to a step that holds and one that fails.
    fn bracket(&mut self) -> Result<(Option<i32>, Option<i32>)> {
        let holds = self.try_step(0)?.holds;
        let direction = if holds { 1 } else { -1 };
        let (mut last, mut stride) = (0i32, self.first_stride());
        while last.abs() < self.reach() {
            let next = (last + direction * stride).clamp(-self.reach(), self.reach());
            if self.try_step(next)?.holds != holds {
                return Ok((Some(last.min(next)), Some(last.max(next))));
            }
            (last, stride) = (next, stride * 2);
        }
        Ok(if holds { (Some(last), None) } else { (None, Some(last)) })
    }

    /// About a quarter up or down.
    fn first_stride(&self) -> i32 {
        ((1.25f64).ln() / self.search.tolerance.ln_1p()).round().max(1.0) as i32
    }

    /// The highest step that holds, between one that does and one that does not.
    fn bisect(&mut self, mut low: i32, mut high: i32) -> Result<i32> {
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.try_step(middle)?.holds {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where means decided, looks further out on that side for a rate that is clear.
    fn clear_edges(&mut self, found: Option<i32>) -> Result<()> {
        let Some(found) = found else {
            return Ok(());
        };
        for (start, direction) in [(found, -1), (found + 1, 1)] {
            let (mut step, mut stride) = (start, 1);
            while step.abs() <= self.reach() {
                let trial = self.try_step(step)?;
                if trial.clear && trial.holds == (direction < 0) {
                    break;
                }
                step += direction * stride;
                stride *= 2;
            }
        }
        Ok(())
    }

    fn capacity(self, found: Option<i32>) -> Capacity {
        let clear = |step: &i32, trial: &Trial, holds: bool| {
            let side = found.is_none_or(|found| (*step <= found) == holds);
            side && trial.clear && trial.holds == holds
        };
        let low = self.tried.iter().rev().find(|(step, trial)| clear(step, trial, true));
        let high = self.tried.iter().find(|(step, trial)| clear(step, trial, false));
        let decided = |step: i32| self.tried.get(&step).is_none_or(|trial| trial.clear);
        Capacity {
            router: self.mode.into(),
            rate: found.map(|step| self.rate(step)),
            low: low.map_or(0.0, |(_, trial)| trial.rate),
            high: high.map_or(f64::INFINITY, |(_, trial)| trial.rate),
            clear: found.is_none_or(|step| decided(step) && decided(step + 1)),
            trials: self.tried.into_values().collect(),
        }
    }
}
