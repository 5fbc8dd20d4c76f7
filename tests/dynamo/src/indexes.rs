//! kvroute's prefix index and Dynamo's three, fed the same events.

use crate::prompts::{Prompt, runs_of};
use dynamo_kv_router::indexer::positional::LevelIndex;
use dynamo_kv_router::protocols::{
    ExternalSequenceBlockHash, KvCacheEvent, KvCacheEventData, KvCacheRemoveData, KvCacheStoreData,
    KvCacheStoredBlockData, LocalBlockHash, OverlapScores, RouterEvent, WorkerWithDpRank,
};
use dynamo_kv_router::{
    ConcurrentRadixTreeCompressed, PositionalIndexer, RadixTree, SyncIndexer, ThreadPoolIndexer,
};
use kvroute::prompt::{BlockRun, CacheEvent};
use kvroute::router::index::PrefixIndex;
use rustc_hash::FxHashMap;

/// A block by all its names.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// kvroute's: (content of the run, index in it).
    pub ours: (u64, u32),
    /// Hash of its tokens.
    pub local: LocalBlockHash,
    /// Hash of the whole prefix.
    pub chained: u64,
}

impl Prompt {
    /// Block number `at`.
    pub fn block(&self, at: usize) -> Block {
        Block { ours: self.blocks[at], local: self.local[at], chained: self.chained[at] }
    }
}

/// Consecutive `blocks` were stored, as kvroute's workers say it.
pub fn our_stored(blocks: &[Block]) -> Vec<CacheEvent> {
    let names: Vec<_> = blocks.iter().map(|block| block.ours).collect();
    runs_of(&names).iter().map(|run| CacheEvent::Stored { run: *run, copy: false }).collect()
}

/// `blocks` were evicted in this order, as kvroute's workers say it.
pub fn our_removed(blocks: &[Block]) -> Vec<CacheEvent> {
    let removed = |block: &Block| {
        let run = BlockRun { content: block.ours.0, first: block.ours.1, count: 1 };
        CacheEvent::Removed { run, copy: false }
    };
    blocks.iter().map(removed).collect()
}

/// Consecutive `blocks` were stored behind the block hashed `parent`, as Dynamo's workers say it.
pub fn their_stored(parent: Option<u64>, blocks: &[Block]) -> KvCacheEventData {
    let stored = |block: &Block| KvCacheStoredBlockData {
        block_hash: ExternalSequenceBlockHash(block.chained),
        tokens_hash: block.local,
        mm_extra_info: None,
    };
    KvCacheEventData::Stored(KvCacheStoreData {
        parent_hash: parent.map(ExternalSequenceBlockHash),
        start_position: None,
        blocks: blocks.iter().map(stored).collect(),
    })
}

/// `blocks` were evicted in this order, as Dynamo's workers say it.
pub fn their_removed(blocks: &[Block]) -> KvCacheEventData {
    let hash = |block: &Block| ExternalSequenceBlockHash(block.chained);
    KvCacheEventData::Removed(KvCacheRemoveData { block_hashes: blocks.iter().map(hash).collect() })
}

/// Overlap of every worker, as each index has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlaps {
    /// kvroute.
    pub ours: Vec<u32>,
    /// `RadixTree`: single-threaded, used by their replay.
    pub radix: Vec<u32>,
    /// `ConcurrentRadixTreeCompressed` behind its thread pool: their production default.
    pub concurrent: Vec<u32>,
    /// `PositionalIndexer`.
    pub positional: Vec<u32>,
}

/// The four indexes.
pub struct Indexes {
    workers: usize,
    ours: PrefixIndex,
    radix: RadixTree,
    concurrent: ThreadPoolIndexer<ConcurrentRadixTreeCompressed>,
    positional: PositionalIndexer,
    positional_workers: FxHashMap<WorkerWithDpRank, LevelIndex>,
    runtime: tokio::runtime::Runtime,
    events: u64,
}

impl Indexes {
    /// Empty indexes of so many workers. The concurrent one applies events of different workers in
    /// an order that is not determined, unless `threads` is 1.
    pub fn new(workers: usize, threads: usize) -> Indexes {
        let tree = ConcurrentRadixTreeCompressed::new();
        Indexes {
            workers,
            ours: PrefixIndex::default(),
            radix: RadixTree::new(),
            concurrent: ThreadPoolIndexer::new(tree, threads, 16),
            positional: PositionalIndexer::new(32),
            positional_workers: FxHashMap::default(),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            events: 0,
        }
    }

    /// Tells Dynamo's indexes; whether the two that answer accepted it.
    fn tell(&mut self, worker: u32, data: KvCacheEventData) -> bool {
        self.events += 1;
        let event = KvCacheEvent { event_id: self.events, data, dp_rank: 0 };
        let event = RouterEvent::new(u64::from(worker), event);
        self.concurrent.enqueue_event(event.clone()).expect("the pool runs");
        let radix = self.radix.apply_event(event.clone());
        let positional = self.positional.apply_event(&mut self.positional_workers, event, None);
        radix.is_ok() && positional.is_ok()
    }

    /// A worker stored the consecutive `blocks` behind the block hashed `parent`.
    pub fn store(&mut self, worker: u32, parent: Option<u64>, blocks: &[Block]) -> bool {
        our_stored(blocks).iter().for_each(|event| self.ours.apply(worker, event));
        self.tell(worker, their_stored(parent, blocks))
    }

    /// A worker evicted `blocks`, in this order.
    pub fn remove(&mut self, worker: u32, blocks: &[Block]) -> bool {
        our_removed(blocks).iter().for_each(|event| self.ours.apply(worker, event));
        self.tell(worker, their_removed(blocks))
    }

    /// A worker emptied its cache.
    pub fn clear(&mut self, worker: u32) -> bool {
        self.ours.apply(worker, &CacheEvent::Cleared);
        self.tell(worker, KvCacheEventData::Cleared)
    }

    /// What each index believes of `prompt`.
    pub fn overlaps(&self, prompt: &Prompt) -> Overlaps {
        let mut ours = vec![0; self.workers];
        self.ours.overlaps(&prompt.runs, &mut ours);
        self.runtime.block_on(self.concurrent.flush_and_wait()).expect("the pool runs");
        let list = |scores: OverlapScores| {
            let score = |worker: usize| {
                let rank = WorkerWithDpRank::from_worker_id(worker as u64);
                scores.scores.get(&rank).copied().unwrap_or(0)
            };
            (0..self.workers).map(score).collect()
        };
        Overlaps {
            ours,
            radix: list(self.radix.find_matches(prompt.local.clone(), false)),
            concurrent: list(self.concurrent.backend().find_matches(&prompt.local, false)),
            positional: list(self.positional.find_matches(&prompt.local, false)),
        }
    }
}
