//! The caches that a trace is held against: one without end, LRU caches, and round robin over
//! several without end. Definitions: requests in order; the hit of a request is its longest run of
//! leading blocks present before it; then all its blocks are touched, hit or not.

use super::TouchOrder;
use super::stack::{Hits, LruStack};
use crate::prompt::{BlockRun, Paths, Segment, total_tokens};
use crate::workload::trace::blocks::runs_with_tail;
use rustc_hash::FxHashMap;

/// Sums over the prompts seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Prompts.
    pub requests: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Blocks, partial ones at the end of prompts included.
    pub blocks: u64,
    /// Different blocks.
    pub unique_blocks: u64,
    /// Full blocks.
    pub full_blocks: u64,
    /// Hits of the cache without end.
    pub infinite: Hits,
    /// Full blocks among them.
    pub full_block_hits: u64,
}

/// Caches without end, filled in turn.
#[derive(Debug)]
struct RoundRobin {
    workers: u32,
    /// Leading blocks held, by worker and run.
    held: FxHashMap<(u64, u64), u32>,
    hits: Hits,
    last: usize,
}

/// All caches, fed with one prompt after the other.
#[derive(Debug)]
pub struct Caches {
    block_tokens: u32,
    paths: Paths,
    numbers: Numbers,
    totals: Totals,
    stacks: Vec<(TouchOrder, LruStack)>,
    round_robin: Vec<RoundRobin>,
    blocks: Vec<u32>,
}

/// Numbers blocks in the order in which they are first seen.
#[derive(Debug, Default)]
struct Numbers {
    /// By run: known up to which block, and the number of the first block that this added.
    known: FxHashMap<u64, Vec<(u32, u32)>>,
    next: u32,
}

impl Numbers {
    /// Appends the numbers of a run's blocks, which begin at its block 0.
    fn append(&mut self, run: &BlockRun, into: &mut Vec<u32>) {
        let stretches = self.known.entry(run.content).or_default();
        let known = stretches.last().map_or(0, |(end, _)| *end);
        if known < run.count {
            stretches.push((run.count, self.next));
            self.next += run.count - known;
        }
        let mut at = 0;
        for (end, first) in stretches {
            let blocks = run.count.min(*end) - at;
            into.extend(*first..*first + blocks);
            at += blocks;
            if at == run.count {
                return;
            }
        }
    }
}

impl Caches {
    /// Empty caches of blocks of `block_tokens`.
    pub fn new(block_tokens: u32, orders: &[TouchOrder], round_robin: &[u32]) -> Caches {
        Caches {
            block_tokens,
            paths: Paths::default(),
            numbers: Numbers::default(),
            totals: Totals::default(),
            stacks: orders.iter().map(|order| (*order, LruStack::default())).collect(),
            round_robin: round_robin.iter().map(|n| RoundRobin::new(*n)).collect(),
            blocks: Vec::new(),
        }
    }

    /// Adds a prompt; returns how many of its leading blocks the cache without end held.
    pub fn add(&mut self, prompt: &[Segment]) -> usize {
        let runs = runs_with_tail(prompt, self.block_tokens);
        let (runs, _) = self.paths.shorten(&runs, runs.len());
        let seen = self.numbers.next;
        self.blocks.clear();
        runs.iter().for_each(|run| self.numbers.append(run, &mut self.blocks));
        let length = total_tokens(prompt);
        let hit = self.blocks.iter().take_while(|block| **block < seen).count();
        let request = self.totals.requests;
        self.count(length, self.blocks.len() as u64, hit);
        self.totals.unique_blocks = u64::from(self.numbers.next);

        let block_tokens = self.block_tokens;
        let tokens = |place: usize| block_length(length, block_tokens, place);
        for (order, stack) in &mut self.stacks {
            stack.look_up(&self.blocks[..hit], tokens);
            match order {
                TouchOrder::Fwd => self.blocks.iter().for_each(|b| stack.touch(*b)),
                TouchOrder::Rev => self.blocks.iter().rev().for_each(|b| stack.touch(*b)),
            }
        }
        for caches in &mut self.round_robin {
            caches.add(request, &runs, length, block_tokens);
        }
        hit
    }

    /// Adds a prompt that shares nothing with any other: it need not be remembered.
    pub fn add_unshared(&mut self, tokens: u64) {
        let blocks = tokens.div_ceil(u64::from(self.block_tokens));
        self.totals.unique_blocks += blocks;
        self.count(tokens, blocks, 0);
    }

    fn count(&mut self, length: u64, blocks: u64, hit: usize) {
        let full = length / u64::from(self.block_tokens);
        self.totals.requests += 1;
        self.totals.tokens += length;
        self.totals.blocks += blocks;
        self.totals.full_blocks += full;
        self.totals.infinite.add_prefix(hit, length, self.block_tokens);
        self.totals.full_block_hits += full.min(hit as u64);
    }

    /// Sums so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The LRU caches, one stack for each touch order.
    pub fn stacks(&self) -> &[(TouchOrder, LruStack)] {
        &self.stacks
    }

    /// For each number of workers: all hits so far, and leading blocks hit by the last prompt.
    pub fn round_robin(&self) -> impl Iterator<Item = (u32, Hits, usize)> {
        self.round_robin.iter().map(|caches| (caches.workers, caches.hits, caches.last))
    }
}

impl RoundRobin {
    fn new(workers: u32) -> RoundRobin {
        RoundRobin { workers, held: FxHashMap::default(), hits: Hits::default(), last: 0 }
    }

    fn add(&mut self, request: u64, runs: &[BlockRun], length: u64, block_tokens: u32) {
        let worker = request % u64::from(self.workers);
        let (mut found, mut goes_on) = (0, true);
        for run in runs {
            let held = self.held.entry((worker, run.content)).or_insert(0);
            if goes_on {
                found += run.count.min(*held) as usize;
                goes_on = *held >= run.count;
            }
            *held = run.count.max(*held);
        }
        self.last = found;
        self.hits.add_prefix(found, length, block_tokens);
    }
}

impl Hits {
    /// Adds the first `blocks` blocks of a prompt of `length` tokens.
    fn add_prefix(&mut self, blocks: usize, length: u64, block_tokens: u32) {
        self.blocks += blocks as u64;
        self.tokens += length.min(blocks as u64 * u64::from(block_tokens));
    }
}

/// Tokens of the block at `place`: only the last one may be short.
fn block_length(length: u64, block_tokens: u32, place: usize) -> u32 {
    let left = length - place as u64 * u64::from(block_tokens);
    left.min(u64::from(block_tokens)) as u32
}
