//! The promises made for KV-aware routing, measured against round robin.
//!
//! Each claim is measured at one or more settings: a scenario file with a source for every length, and
//! a load that is a stated share of what round robin can carry there. All settings run under `kv` and
//! `round-robin` over the same seeds; only requests in steady state count.

pub mod catalogue;
mod measure;
mod verdict;

pub use catalogue::{CLAIMS, Claim, Measure, Promise, Setting};
pub use verdict::{Range, Standing, verdict};

use crate::compare;
use crate::error::{Error, Result};
use crate::scenario::Scenario;
use crate::search::steady::{self, Run};
use crate::sim::{Control, Setup};
use rayon::prelude::*;

/// The router under test.
pub const TESTED: &str = "kv";
/// What it is compared with.
pub const BASELINE: &str = "round-robin";

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seeds, 2 or more.
    pub seeds: u32,
    /// Requests of every run; the scenario's own where absent.
    pub requests: Option<u64>,
}

/// A claim at one setting.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which claim.
    pub claim: &'static Claim,
    /// Where.
    pub setting: &'static Setting,
    /// Mean over seeds under round robin, in the measure's unit.
    pub baseline: f64,
    /// The same under KV-aware routing.
    pub tested: f64,
    /// What the promise is about, with its 95 % interval.
    pub range: Range,
    /// How it stands to the promise.
    pub standing: Standing,
}

/// What both routers showed under each seed.
pub(crate) struct Pair {
    pub tested: Run,
    pub baseline: Run,
}

/// Measures every claim at all its settings, in their order, in the thread pool of the caller.
///
/// # Errors
/// Where a run fails or is interrupted, or fewer than two seeds are asked for.
pub fn run(effort: Effort, control: &Control) -> Result<Vec<Measured>> {
    if effort.seeds < 2 {
        return Err(Error::input("one seed gives no interval; give --seeds 2 or more"));
    }
    let all: Vec<(&Claim, &Setting)> = CLAIMS
        .iter()
        .flat_map(|claim| claim.settings.iter().map(move |setting| (claim, setting)))
        .collect();
    all.into_par_iter().map(|(claim, setting)| one(claim, setting, effort, control)).collect()
}

fn one(
    claim: &'static Claim,
    setting: &'static Setting,
    effort: Effort,
    control: &Control,
) -> Result<Measured> {
    let scenario = scenario(setting, effort.requests)?;
    let found = match claim.measure {
        Measure::Capacity => measure::capacity(&scenario, effort, control)?,
        _ => measure::over_seeds(claim.measure, &pairs(&scenario, effort, control)?),
    };
    let standing = match found.hot {
        true => Standing::Fails,
        false => Standing::of(&found.range, &claim.promise),
    };
    let measure::Found { baseline, tested, range, .. } = found;
    Ok(Measured { claim, setting, baseline, tested, range, standing })
}

/// The scenario of a setting, resolved.
///
/// # Errors
/// Where it is not valid.
pub fn scenario(setting: &Setting, requests: Option<u64>) -> Result<Scenario> {
    let mut draft = setting.draft()?;
    if let Some(requests) = requests {
        draft.set_text(&format!("workload.requests={requests}"))?;
    }
    Ok(compare::prepare(draft.finish()?)?.scenario)
}

fn pairs(scenario: &Scenario, effort: Effort, control: &Control) -> Result<Vec<Pair>> {
    let run = |mode: &str, seed: u64| steady::run(&Setup::new(scenario, mode, seed)?, control);
    (0..u64::from(effort.seeds))
        .into_par_iter()
        .map(|replicate| {
            let seed = scenario.seed.wrapping_add(replicate);
            let (tested, baseline) = rayon::join(|| run(TESTED, seed), || run(BASELINE, seed));
            Ok(Pair { tested: tested?, baseline: baseline? })
        })
        .collect()
}
