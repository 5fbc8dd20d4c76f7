//! Which workers hold which blocks: the prefix index.
//!
//! Runs are keyed by their chained content, so a query walks the prompt's runs, not its blocks, and
//! touches only workers that hold something of them.
//!
//! On the events of an engine (a block goes only after all behind it) this agrees with Dynamo's
//! indexes block for block; `tests/dynamo` checks it. With lost events it does not: blocks stored
//! behind a gap count here once the gap is closed, Dynamo drops them for good.

use crate::prompt::{BlockRun, CacheEvent};
use rustc_hash::FxHashMap;

/// How much of a run one worker holds.
pub trait Holder: Default {
    /// Leading blocks of the run held.
    fn prefix(&self) -> u32;
    /// Nothing is held.
    fn is_empty(&self) -> bool;
}

/// Holders of runs, by content and worker.
pub struct RunIndex<H> {
    runs: FxHashMap<u64, Vec<(u32, H)>>,
}

impl<H> Default for RunIndex<H> {
    fn default() -> Self {
        RunIndex { runs: FxHashMap::default() }
    }
}

impl<H: Holder> RunIndex<H> {
    /// Leading blocks of `runs` held, per worker, into `overlaps` (one entry per worker).
    pub fn overlaps(&self, runs: &[BlockRun], overlaps: &mut [u32]) {
        overlaps.fill(0);
        let mut before = 0;
        for run in runs {
            let Some(holders) = self.runs.get(&run.content) else {
                return;
            };
            let mut any = false;
            for (worker, holder) in holders {
                let overlap = &mut overlaps[*worker as usize];
                if *overlap == before {
                    let here = holder.prefix().min(run.count);
                    *overlap += here;
                    any |= here == run.count;
                }
            }
            before += run.count;
            if !any {
                return;
            }
        }
    }

    /// What `worker` holds of the run `content`, made where there is nothing.
    pub fn holder(&mut self, worker: u32, content: u64) -> &mut H {
        let holders = self.runs.entry(content).or_default();
        let at = holders.iter().position(|(held_by, _)| *held_by == worker).unwrap_or_else(|| {
            holders.push((worker, H::default()));
            holders.len() - 1
        });
        &mut holders[at].1
    }

    /// Changes what `worker` holds of the run `content`, and forgets it where nothing is left.
    pub fn update(&mut self, worker: u32, content: u64, change: impl FnOnce(&mut H)) {
        let Some(holders) = self.runs.get_mut(&content) else {
            return;
        };
        let Some(at) = holders.iter().position(|(held_by, _)| *held_by == worker) else {
            return;
        };
        change(&mut holders[at].1);
        if holders[at].1.is_empty() {
            holders.swap_remove(at);
            if holders.is_empty() {
                self.runs.remove(&content);
            }
        }
    }

    /// Forgets everything `worker` holds.
    pub fn clear(&mut self, worker: u32) {
        self.runs.retain(|_, holders| {
            holders.retain(|(held_by, _)| *held_by != worker);
            !holders.is_empty()
        });
    }
}

/// A set of block indices: `0 .. prefix`, and islands behind it (rare: only when blocks are evicted
/// out of order).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockSet {
    prefix: u32,
    /// Ascending, disjoint, not touching each other or the prefix: `from .. to`.
    islands: Vec<(u32, u32)>,
}

impl BlockSet {
    /// Adds `from .. to`.
    pub fn insert(&mut self, from: u32, to: u32) {
        if from <= self.prefix {
            self.prefix = self.prefix.max(to);
        } else {
            let start = self.islands.partition_point(|island| island.1 < from);
            let end = self.islands.partition_point(|island| island.0 <= to);
            let merged = self.islands[start..end]
                .iter()
                .fold((from, to), |all, island| (all.0.min(island.0), all.1.max(island.1)));
            self.islands.splice(start..end, [merged]);
        }
        while let Some((_, to)) = self.islands.first().filter(|island| island.0 <= self.prefix) {
            self.prefix = self.prefix.max(*to);
            self.islands.remove(0);
        }
    }

    /// Takes out `from .. to`.
    pub fn remove(&mut self, from: u32, to: u32) {
        if self.islands.is_empty() && to >= self.prefix {
            self.prefix = self.prefix.min(from);
            return;
        }
        let pieces = std::iter::once((0, self.prefix)).chain(self.islands.iter().copied());
        let left = pieces
            .flat_map(|(a, b)| [(a, b.min(from)), (a.max(to), b)])
            .filter(|(a, b)| a < b)
            .collect::<Vec<_>>();
        *self = BlockSet::default();
        left.into_iter().for_each(|(a, b)| self.insert(a, b));
    }
}

impl Holder for BlockSet {
    fn prefix(&self) -> u32 {
        self.prefix
    }

    fn is_empty(&self) -> bool {
        self.prefix == 0 && self.islands.is_empty()
    }
}

/// The index of cached prefixes.
pub type PrefixIndex = RunIndex<BlockSet>;

impl PrefixIndex {
    /// Follows a worker's cache.
    pub fn apply(&mut self, worker: u32, event: &CacheEvent) {
        match event {
            CacheEvent::Stored { run, copy: false } => {
                self.holder(worker, run.content).insert(run.first, run.end());
            }
            CacheEvent::Removed { run, copy: false } => {
                self.update(worker, run.content, |held| held.remove(run.first, run.end()));
            }
            CacheEvent::Cleared => self.clear(worker),
            CacheEvent::Stored { copy: true, .. } | CacheEvent::Removed { copy: true, .. } => {}
        }
    }
}
