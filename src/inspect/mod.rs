//! What a trace holds: sizes, lengths, arrivals, and how much of it caches could reuse.
//!
//! One pass computes everything. Blocks are counted as published work on the traces counts them
//! (the partial block at the end of a prompt is a block), which is not quite what an engine caches;
//! `full_blocks` and `full_block_hits` leave the partial ones out.

pub mod caches;
mod merge;
pub mod stack;
mod stats;
mod text;

pub use stats::{Arrivals, Distribution};

use crate::error::{Error, Result};
use crate::prompt::total_tokens;
use crate::scenario::WorkloadSpec;
use crate::units::Nanos;
use crate::workload::Turn;
use crate::workload::trace::{self, TraceFacts};
use caches::{Caches, Totals};
use merge::Merged;
use serde::Serialize;
use stack::LruStack;
use stats::Clock;

/// Block size where neither the trace nor the user has one: that of a worker by default.
const DEFAULT_BLOCK_TOKENS: u32 = 16;

/// LRU capacities where none are given, percent of all different blocks.
const LADDER: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];

/// In which order the blocks of a request become the most recently used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TouchOrder {
    /// Last block first, as vLLM frees them: leaves are evicted before the prefixes they need.
    Rev,
    /// First block first: prefixes are evicted before what builds on them.
    Fwd,
}

impl TouchOrder {
    /// The word on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            TouchOrder::Rev => "rev",
            TouchOrder::Fwd => "fwd",
        }
    }
}

/// What to compute.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tokens in a block; the trace's own when absent.
    pub block_tokens: Option<u32>,
    /// LRU capacities in blocks; a ladder when empty.
    pub capacities: Vec<u64>,
    /// Touch orders of the LRU caches.
    pub orders: Vec<TouchOrder>,
    /// Numbers of workers for round robin over caches without end.
    pub round_robin: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            block_tokens: None,
            capacities: Vec::new(),
            orders: vec![TouchOrder::Rev, TouchOrder::Fwd],
            round_robin: vec![4, 8],
        }
    }
}

/// What a trace holds; the JSON of `kvroute trace inspect --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Requests.
    pub requests: u64,
    /// Tokens in all prompts.
    pub prompt_tokens: u64,
    /// Tokens in all outputs.
    pub output_tokens: u64,
    /// Tokens in a block.
    pub block_tokens: u32,
    /// Blocks of all prompts, partial ones included.
    pub blocks: u64,
    /// Different blocks.
    pub unique_blocks: u64,
    /// Blocks of all prompts, partial ones left out.
    pub full_blocks: u64,
    /// One cache without end.
    pub infinite: Infinite,
    /// LRU caches.
    pub lru: Vec<Lru>,
    /// Round robin over caches without end.
    pub round_robin_infinite: Vec<RoundRobin>,
    /// Lengths of prompts and outputs.
    pub lengths: Lengths,
    /// Arrivals; absent where the trace does not record them.
    pub arrivals: Option<Arrivals>,
    /// The file: hash, format, and what was left out.
    pub trace: TraceFacts,
}

/// Hits of one cache without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Infinite {
    /// Leading blocks found.
    pub hit_blocks: u64,
    /// Tokens in them.
    pub hit_tokens: u64,
    /// Full blocks among them.
    pub full_block_hits: u64,
}

/// Hits of an LRU cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lru {
    /// Its capacity.
    pub capacity_blocks: u64,
    /// Its touch order.
    pub touch_order: TouchOrder,
    /// Leading blocks found.
    pub hit_blocks: u64,
    /// Tokens in them.
    pub hit_tokens: u64,
}

/// Hits of round robin over caches without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RoundRobin {
    /// Number of caches.
    pub workers: u32,
    /// Leading blocks found.
    pub hit_blocks: u64,
    /// Tokens in them.
    pub hit_tokens: u64,
}

/// Lengths in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lengths {
    /// Of prompts.
    pub prompt_tokens: Distribution,
    /// Of outputs.
    pub output_tokens: Distribution,
}

/// Reads the trace that `spec` names and computes what `options` ask for.
///
/// # Errors
/// Where the trace cannot be read or holds something wrong.
pub fn inspect(spec: &WorkloadSpec, options: &Options) -> Result<Report> {
    let mut stream = trace::open_hashed(spec)?;
    let native = trace::native_block_tokens(stream.format());
    let block_tokens = options.block_tokens.or(native).unwrap_or(DEFAULT_BLOCK_TOKENS);
    if block_tokens == 0 || options.round_robin.contains(&0) {
        return Err(Error::input("--block-tokens and --round-robin must be 1 or more"));
    }
    let shared = trace::has_prefixes(stream.format());
    let mut collected =
        Collected::new(Caches::new(block_tokens, &options.orders, &options.round_robin));
    let mut requests = Merged::new(&mut stream);
    while let Some((at, turn)) = requests.next()? {
        collected.add(at, &turn, shared);
    }
    let facts = stream.finish(spec)?;
    Ok(collected.report(block_tokens, options, facts))
}

/// Everything that one pass gathers.
struct Collected {
    caches: Caches,
    prompts: Vec<u32>,
    outputs: Vec<u32>,
    clock: Clock,
}

impl Collected {
    fn new(caches: Caches) -> Collected {
        Collected { caches, prompts: Vec::new(), outputs: Vec::new(), clock: Clock::default() }
    }

    fn add(&mut self, at: Option<Nanos>, turn: &Turn, shared: bool) {
        let length = total_tokens(&turn.prompt);
        if shared {
            self.caches.add(&turn.prompt);
        } else {
            self.caches.add_unshared(length);
        }
        let capped = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        self.prompts.push(capped(length));
        self.outputs.push(capped(total_tokens(&turn.output)));
        if let Some(at) = at {
            self.clock.add(at);
        }
    }

    fn report(self, block_tokens: u32, options: &Options, trace: TraceFacts) -> Report {
        let totals = self.caches.totals();
        Report {
            requests: totals.requests,
            prompt_tokens: totals.tokens,
            output_tokens: self.outputs.iter().map(|tokens| u64::from(*tokens)).sum(),
            block_tokens,
            blocks: totals.blocks,
            unique_blocks: totals.unique_blocks,
            full_blocks: totals.full_blocks,
            infinite: Infinite {
                hit_blocks: totals.infinite.blocks,
                hit_tokens: totals.infinite.tokens,
                full_block_hits: totals.full_block_hits,
            },
            lru: lru(&self.caches, &capacities(options, &totals)),
            round_robin_infinite: round_robin(&self.caches),
            lengths: Lengths {
                prompt_tokens: Distribution::of(self.prompts),
                output_tokens: Distribution::of(self.outputs),
            },
            arrivals: self.clock.finish(),
            trace,
        }
    }
}

fn capacities(options: &Options, totals: &Totals) -> Vec<u64> {
    if !options.capacities.is_empty() {
        return options.capacities.clone();
    }
    let rung = |percent: &u64| (totals.unique_blocks * percent).div_ceil(100).max(1);
    let mut ladder: Vec<u64> = LADDER.iter().map(rung).collect();
    ladder.dedup();
    ladder
}

fn lru(caches: &Caches, capacities: &[u64]) -> Vec<Lru> {
    let entry = |capacity: u64, order: TouchOrder, stack: &LruStack| {
        let hits = stack.hits(capacity);
        Lru {
            capacity_blocks: capacity,
            touch_order: order,
            hit_blocks: hits.blocks,
            hit_tokens: hits.tokens,
        }
    };
    let stacks = caches.stacks();
    capacities
        .iter()
        .flat_map(|capacity| stacks.iter().map(|(order, s)| entry(*capacity, *order, s)))
        .collect()
}

fn round_robin(caches: &Caches) -> Vec<RoundRobin> {
    caches
        .round_robin()
        .map(|(workers, hits, _)| RoundRobin {
            workers,
            hit_blocks: hits.blocks,
            hit_tokens: hits.tokens,
        })
        .collect()
}
