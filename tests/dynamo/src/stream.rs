//! Queries and events in the forms of both sides.

use crate::indexes::{Block, our_stored, their_removed, their_stored};
use dynamo_kv_router::protocols::{
    KvCacheEvent, KvCacheEventData, LocalBlockHash, RouterEvent, compute_seq_hash_for_block,
};
use kvroute::prompt::{BlockRun, CacheEvent, mix};
use rustc_hash::FxHashMap;

/// Requests come in batches of so many: first all of them are queries, then their events are applied. So time is
/// looked at twice a batch, and the clock costs nothing.
pub const BATCH: usize = 64;

/// A request as it comes and goes.
#[derive(Debug)]
pub struct Turn {
    /// Full blocks of the prompt.
    pub prompt: Vec<BlockRun>,
    /// Who serves it.
    pub worker: u32,
    /// What that worker's cache then says.
    pub events: Vec<CacheEvent>,
    /// Full blocks of prompt and output.
    pub runs: Vec<BlockRun>,
}

/// A query, and the events that follow, in three forms.
#[derive(Debug)]
pub struct Step {
    /// The prompt as kvroute's simulation has it.
    pub runs: Vec<BlockRun>,
    /// As kvroute has it in front of real servers: one run per block, named by its chained hash.
    pub single: Vec<BlockRun>,
    /// As Dynamo has it.
    pub local: Vec<LocalBlockHash>,
    /// Whose events follow.
    pub worker: u32,
    /// Events in runs.
    pub events: Vec<CacheEvent>,
    /// Events in single blocks.
    pub single_events: Vec<CacheEvent>,
    /// Events of Dynamo.
    pub theirs: Vec<RouterEvent>,
}

/// Steps, and what is known of them.
#[derive(Debug, Default)]
pub struct Stream {
    /// In order.
    pub steps: Vec<Step>,
    names: FxHashMap<(u64, u32), u64>,
    events: u64,
    blocks: u64,
    prompt_blocks: u64,
    /// What each worker holds, by brute force.
    held: FxHashMap<u64, Vec<u32>>,
    /// Stored (or removed) blocks of the batch under way: chained hash and worker.
    pending: Vec<(u64, u32, bool)>,
    expected: u64,
}

/// A run of one block named by its chained hash.
fn single(chained: u64) -> BlockRun {
    BlockRun { content: chained, first: 0, count: 1 }
}

impl Stream {
    /// Adds what `turn` asks and causes.
    pub fn push(&mut self, turn: Turn) {
        let blocks = |runs: &[BlockRun]| -> Vec<(u64, u32)> {
            runs.iter().flat_map(|run| (run.first..run.end()).map(|at| (run.content, at))).collect()
        };
        let all = blocks(&turn.runs);
        let local: Vec<LocalBlockHash> =
            all.iter().map(|(run, at)| LocalBlockHash(mix(&[*run, u64::from(*at)]))).collect();
        let chained = compute_seq_hash_for_block(&local);
        let named = |at: usize| Block { ours: all[at], local: local[at], chained: chained[at] };
        let prompt: usize = turn.prompt.iter().map(|run| run.count as usize).sum();
        self.expect(&chained[..prompt]);
        self.names.extend(all.iter().copied().zip(chained.iter().copied()));
        let mut step = Step {
            runs: turn.prompt,
            single: chained[..prompt].iter().map(|hash| single(*hash)).collect(),
            local: local[..prompt].to_vec(),
            worker: turn.worker,
            events: Vec::new(),
            single_events: Vec::new(),
            theirs: Vec::new(),
        };
        for event in &turn.events {
            match event {
                CacheEvent::Stored { run, copy: false } => {
                    let from = all.iter().position(|block| *block == (run.content, run.first));
                    let from = from.expect("only blocks of the request are stored");
                    let blocks: Vec<Block> =
                        (from..from + run.count as usize).map(named).collect();
                    let parent = from.checked_sub(1).map(|before| chained[before]);
                    self.stored(&mut step, parent, &blocks);
                }
                CacheEvent::Removed { run, copy: false } => self.removed(&mut step, *run),
                CacheEvent::Cleared => unreachable!("nobody clears these caches"),
                _ => {}
            }
        }
        self.prompt_blocks += prompt as u64;
        self.steps.push(step);
        if self.steps.len().is_multiple_of(BATCH) {
            self.end_batch();
        }
    }

    fn end_batch(&mut self) {
        for (block, worker, stored) in self.pending.drain(..) {
            let holders = self.held.entry(block).or_default();
            if stored {
                holders.push(worker);
            } else {
                holders.retain(|holder| *holder != worker);
            }
        }
    }

    fn stored(&mut self, step: &mut Step, parent: Option<u64>, blocks: &[Block]) {
        self.blocks += blocks.len() as u64;
        step.events.extend(our_stored(blocks));
        let alone = |block: &Block| CacheEvent::Stored { run: single(block.chained), copy: false };
        step.single_events.extend(blocks.iter().map(alone));
        self.pending.extend(blocks.iter().map(|block| (block.chained, step.worker, true)));
        self.tell(step, their_stored(parent, blocks));
    }

    fn removed(&mut self, step: &mut Step, run: BlockRun) {
        // Leaves go before the prefixes they need.
        let blocks: Vec<Block> = (run.first..run.end())
            .rev()
            .map(|at| {
                let chained = self.names[&(run.content, at)];
                Block { ours: (run.content, at), local: LocalBlockHash(0), chained }
            })
            .collect();
        self.blocks += blocks.len() as u64;
        step.events.push(CacheEvent::Removed { run, copy: false });
        for block in &blocks {
            let run = single(block.chained);
            step.single_events.push(CacheEvent::Removed { run, copy: false });
            self.pending.push((block.chained, step.worker, false));
        }
        self.tell(step, their_removed(&blocks));
    }

    fn tell(&mut self, step: &mut Step, data: KvCacheEventData) {
        self.events += 1;
        let event = KvCacheEvent { event_id: self.events, data, dp_rank: 0 };
        step.theirs.push(RouterEvent::new(u64::from(step.worker), event));
    }

    /// Adds the overlaps of all workers with a prompt.
    fn expect(&mut self, chained: &[u64]) {
        let mut left: Vec<u32> = Vec::new();
        for (place, hash) in chained.iter().enumerate() {
            let Some(holders) = self.held.get(hash).filter(|holders| !holders.is_empty()) else {
                return;
            };
            if place == 0 {
                left.clone_from(holders);
            } else {
                left.retain(|worker| holders.contains(worker));
            }
            self.expected += left.len() as u64;
        }
    }

    /// Sum of all overlaps of all queries.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Number of queries.
    pub fn queries(&self) -> u64 {
        self.steps.len() as u64
    }

    /// Number of stored and removed events, as workers send them.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Blocks stored and removed.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// In words.
    pub fn describe(&self) -> String {
        format!(
            "{} queries of {} blocks each, {} events of {} blocks",
            self.queries(),
            self.prompt_blocks / self.queries().max(1),
            self.events,
            self.blocks / self.events.max(1)
        )
    }
}
