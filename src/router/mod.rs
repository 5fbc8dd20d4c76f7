//! Routers: policies that choose a worker for a request.
//!
//! A policy sees what a real router could see, never the truth: the request without its output, the
//! router's own bookkeeping of requests in flight, and an index of cached prefixes fed by KV events
//! or by its own decisions. Only policies named `oracle-*` may ask for the truth. The bookkeeping is
//! the same for all and lives in [`frontend`]; a policy is one file: a pure choice over terms.

pub mod active;
pub mod approximate;
pub mod frontend;
pub mod index;
pub mod pick;
pub mod polled;

mod holders;
mod kv;
mod kv_linear;
mod least_loaded;
mod oracle_shared_cache;
mod power_of_two;
mod random;
mod round_robin;

pub use frontend::{Decision, Frontend};

use crate::error::{Error, Result, did_you_mean};
use crate::prompt::BlockRun;
use crate::request::RequestId;
use crate::rng::Rng;
use crate::scenario::RouterSpec;
use crate::units::Nanos;

/// What a router knows of a request.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'a> {
    /// Its number.
    pub id: RequestId,
    /// Its session.
    pub session: u64,
    /// Now.
    pub now: Nanos,
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// Full blocks of the prompt.
    pub runs: &'a [BlockRun],
    /// Best overlap any worker truly has, blocks: for oracles alone.
    pub true_best_overlap: u32,
}

/// A router's own bookkeeping about one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Requests sent and not completed.
    pub requests: u32,
    /// Prompt tokens to compute (prompt less believed hits) of requests without a first token.
    pub prefill_tokens: u64,
    /// Different full prompt blocks of requests in flight.
    pub active_blocks: u64,
}

/// The bookkeeping about all workers, one array for each number: scores are made from them many
/// workers at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// [`WorkerLoad::requests`] of each.
    pub requests: Vec<u32>,
    /// [`WorkerLoad::prefill_tokens`] of each.
    pub prefill_tokens: Vec<u64>,
    /// [`WorkerLoad::active_blocks`] of each.
    pub active_blocks: Vec<u64>,
}

impl Loads {
    /// Idle workers.
    pub fn idle(workers: usize) -> Loads {
        std::iter::repeat_n(WorkerLoad::default(), workers).collect()
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.requests.len()
    }
}

impl FromIterator<WorkerLoad> for Loads {
    fn from_iter<I: IntoIterator<Item = WorkerLoad>>(loads: I) -> Loads {
        let mut all = Loads::default();
        for load in loads {
            all.requests.push(load.requests);
            all.prefill_tokens.push(load.prefill_tokens);
            all.active_blocks.push(load.active_blocks);
        }
        all
    }
}

/// A router's view of the cluster at a decision. Slices have one entry per worker.
#[derive(Clone, Copy, Debug)]
pub struct ClusterView<'a> {
    /// Bookkeeping per worker.
    pub loads: &'a Loads,
    /// Leading prompt blocks believed cached, per worker; empty where the policy needs no index.
    pub overlaps: &'a [u32],
    /// Leading prompt blocks held by requests in flight, per worker; empty where not needed.
    pub active_overlaps: &'a [u32],
    /// Tokens per block.
    pub block_tokens: u32,
    /// KV blocks per worker.
    pub kv_blocks: u32,
}

/// Where a policy's index of cached prefixes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexSource {
    /// It keeps none.
    None,
    /// Workers' KV events.
    Events,
    /// Its own decisions: a routed prefix is believed to stay for a while.
    Decisions,
    /// The truth, for oracles.
    Truth,
}

/// What a policy needs kept for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Its index.
    pub index: IndexSource,
    /// Active blocks per worker.
    pub active_blocks: bool,
    /// One KV cache shared by all workers (a bound, not a cluster one can build).
    pub shared_cache: bool,
    /// Believed hits lessen the prefill load that a routed request adds.
    pub books_hits: bool,
}

impl Needs {
    /// Nothing but request counts.
    pub const NOTHING: Needs = Needs {
        index: IndexSource::None,
        active_blocks: false,
        shared_cache: false,
        books_hits: true,
    };
}

/// One worker as a candidate, for logs and `explain`.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its load in the policy's own measure.
    pub load: f64,
    /// The terms of its score, by name.
    pub terms: Vec<(&'static str, f64)>,
    /// The score.
    pub score: f64,
}

/// Why a decision fell as it did; filled only where somebody asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Lower scores win (a cost) or higher ones.
    pub lower_wins: bool,
    /// Per worker considered: (worker from 0, candidate).
    pub candidates: Vec<(u32, Candidate)>,
    /// Candidates that shared the best score.
    pub ties: u32,
    /// How the choice was made, in words.
    pub reason: String,
}

/// A policy.
pub trait Router: Send {
    /// What must be kept for it.
    fn needs(&self) -> Needs;

    /// Chooses a worker, from 0. `explain` is filled where it is given.
    fn route(
        &mut self,
        request: &RouteRequest,
        view: &ClusterView,
        rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32;
}

/// A policy's name, one line about it, and how to make one.
pub struct Entry {
    /// Name in `router.mode`.
    pub name: &'static str,
    /// One line for help texts.
    pub about: &'static str,
    build: fn(&RouterSpec) -> Box<dyn Router>,
}

/// All policies.
pub const ROUTERS: &[Entry] = &[
    kv::ENTRY,
    kv_linear::ENTRY,
    round_robin::ENTRY,
    random::ENTRY,
    least_loaded::ENTRY,
    power_of_two::ENTRY,
    oracle_shared_cache::ENTRY,
];

/// The policy called `name`.
///
/// # Errors
/// Where there is none: the known ones and the nearest.
pub fn build(name: &str, spec: &RouterSpec) -> Result<Box<dyn Router>> {
    let known = ROUTERS.iter().map(|entry| entry.name);
    ROUTERS.iter().find(|entry| entry.name == name).map(|entry| (entry.build)(spec)).ok_or_else(
        || {
            let names: Vec<&str> = known.clone().collect();
            Error::input(format!(
                "router \"{name}\" is not known; choose from {}{}",
                names.join(", "),
                did_you_mean(name, known)
            ))
        },
    )
}

#[cfg(test)]
mod tests;
