//! What has to be simulated: cells that cannot differ are simulated once for all of them.
//!
//! A sweep over the weights of `kv` that also runs `round-robin` would simulate the very same round
//! robin at every point. Cells share a job when their scenarios agree in all that their router reads.

use super::plan::Shard;
use super::prepare::{Ready, Sweep};
use crate::scenario::{KvLinearSpec, KvSpec, RouterSpec};
use std::collections::BTreeMap;

/// Routers that read nothing of `[router.kv]` and `[router.kv_linear]`; a test holds them to it.
pub const WITHOUT_KV_SETTINGS: &[&str] =
    &["round-robin", "random", "least-loaded", "power-of-two", "oracle-shared-cache"];

/// Cells that one simulation per seed serves; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Their numbers, ascending.
    pub cells: Vec<usize>,
}

/// The jobs of a shard, in order of their first cell; cells of points that cannot be run are in none.
pub fn jobs(sweep: &Sweep, shard: Shard) -> Vec<Job> {
    let mut by_work: BTreeMap<String, usize> = BTreeMap::new();
    let mut jobs: Vec<Job> = Vec::new();
    for (number, cell) in sweep.plan.cells.iter().enumerate() {
        let Ok(ready) = &sweep.points[cell.point] else { continue };
        if !shard.holds(cell.point) {
            continue;
        }
        let place = *by_work.entry(work(ready, &cell.router)).or_insert(jobs.len());
        match jobs.get_mut(place) {
            Some(job) => job.cells.push(number),
            None => jobs.push(Job { cells: vec![number] }),
        }
    }
    jobs
}

/// All that decides the result of a router, as text.
fn work(ready: &Ready, router: &str) -> String {
    let mut scenario = ready.scenario.clone();
    scenario.router.mode = vec![router.into()];
    if WITHOUT_KV_SETTINGS.contains(&router) {
        let own = scenario.router;
        scenario.router =
            RouterSpec { kv: KvSpec::default(), kv_linear: KvLinearSpec::default(), ..own };
    }
    scenario.to_toml()
}
