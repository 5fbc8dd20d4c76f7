//! Which workers hold which blocks: the prefix index.
//!
//! Runs are keyed by their chained content, so a query walks the prompt's runs, not its blocks, and
//! touches only workers that hold something of them.
//!
//! On the events of an engine (a block goes only after all behind it) this agrees with Dynamo's
//! indexes block for block; `tests/dynamo` checks it. With lost events it does not: blocks stored
//! behind a gap count here once the gap is closed, Dynamo drops them for good.

use super::holders::Holders;
use crate::prompt::{BlockRun, CacheEvent, RunMap};
use smallvec::SmallVec;

pub use super::holders::Holder;

/// Runs of a prompt that are looked for all at once: most prompts have no more.
const FIRST: usize = 12;

/// Holders of runs, by content and worker.
pub struct RunIndex<H> {
    runs: RunMap<Holders<H>>,
}

/// For runs whose contents are hashes.
impl<H> Default for RunIndex<H> {
    fn default() -> Self {
        RunIndex { runs: RunMap::default() }
    }
}

impl<H: Holder> RunIndex<H> {
    /// For runs named by one [`crate::prompt::Paths`].
    pub fn numbered() -> RunIndex<H> {
        RunIndex { runs: RunMap::numbered() }
    }

    /// Leading blocks of `runs` held, per worker, into `overlaps` (one entry per worker).
    pub fn overlaps(&self, runs: &[BlockRun], overlaps: &mut [u32]) {
        overlaps.fill(0);
        let mut before = 0;
        for run in runs {
            let Some(holders) = self.runs.get(run.content) else {
                return;
            };
            if !holders.add_to(overlaps, before, run.count) {
                return;
            }
            before += run.count;
        }
    }

    /// Leading blocks of `runs` that `worker` holds.
    pub fn overlap_of(&self, runs: &[BlockRun], worker: u32) -> u32 {
        let mut overlap = 0;
        for run in runs {
            let held = self.runs.get(run.content).map_or(0, |holders| holders.prefix_of(worker));
            overlap += held.min(run.count);
            if held < run.count {
                break;
            }
        }
        overlap
    }

    /// The most that [`RunIndex::overlaps`] finds for any worker, without asking all of them: whoever
    /// holds something of a late run mostly holds all before it, and few do.
    pub fn best_overlap(&self, runs: &[BlockRun]) -> u32 {
        let held = runs.iter().map_while(|run| Some((run.count, self.runs.get(run.content)?)));
        let held: SmallVec<[(u32, &Holders<H>); 8]> = held.collect();
        let mut before: u32 = held.iter().map(|(count, _)| count).sum();
        let mut best = 0;
        for (place, (count, holders)) in held.iter().enumerate().rev() {
            let most = before;
            before -= count;
            holders.any(|worker, prefix| {
                let overlap = before + prefix.min(*count);
                let holds = |(count, run): &(u32, &Holders<H>)| run.prefix_of(worker) >= *count;
                if overlap > best && prefix > 0 && held[..place].iter().all(holds) {
                    best = overlap;
                }
                best >= most
            });
            if best >= before {
                break;
            }
        }
        best
    }

    /// See `crate::ahead`: the two looks that lead to a run, in order.
    pub fn fetch_page(&self, content: u64) {
        self.runs.fetch_page(content);
    }

    /// The second.
    pub fn fetch(&self, content: u64) {
        self.runs.fetch(content);
    }

    /// The same for the first of some runs.
    pub fn fetch_runs(&self, runs: &[BlockRun]) {
        runs.iter().take(FIRST).for_each(|run| self.runs.fetch(run.content));
    }

    /// Changes what `worker` holds of the run `content`, from nothing if need be; afterwards it must
    /// hold something.
    pub fn grow<R>(&mut self, worker: u32, content: u64, change: impl FnOnce(&mut H) -> R) -> R {
        self.runs.get_or_insert_with(content, || Holders::new(worker)).grow(worker, change)
    }

    /// Changes what `worker` holds of the run `content`, and forgets it where nothing is left.
    pub fn update(&mut self, worker: u32, content: u64, change: impl FnOnce(&mut H)) {
        self.runs.change(content, |holders| holders.change(worker, change));
    }

    /// Forgets everything `worker` holds.
    pub fn clear(&mut self, worker: u32) {
        self.runs.retain(|holders| holders.change(worker, |held| *held = H::default()));
    }
}

/// A set of block indices: `0 .. prefix`, and islands behind it (rare: only when blocks are evicted
/// out of order).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockSet {
    prefix: u32,
    /// Ascending, disjoint, not touching each other or the prefix: `from .. to`. Boxed, because there
    /// are many sets and few islands.
    #[expect(clippy::box_collection, reason = "a third of the size")]
    islands: Option<Box<Vec<(u32, u32)>>>,
}

impl BlockSet {
    /// Adds `from .. to`.
    pub fn insert(&mut self, from: u32, to: u32) {
        if from <= self.prefix {
            self.prefix = self.prefix.max(to);
        } else {
            let islands = self.islands.get_or_insert_default();
            let start = islands.partition_point(|island| island.1 < from);
            let end = islands.partition_point(|island| island.0 <= to);
            let merged = islands[start..end]
                .iter()
                .fold((from, to), |all, island| (all.0.min(island.0), all.1.max(island.1)));
            islands.splice(start..end, [merged]);
        }
        if let Some(islands) = &mut self.islands {
            while let Some((_, to)) = islands.first().filter(|island| island.0 <= self.prefix) {
                self.prefix = self.prefix.max(*to);
                islands.remove(0);
            }
            if islands.is_empty() {
                self.islands = None;
            }
        }
    }

    /// Takes out `from .. to`.
    pub fn remove(&mut self, from: u32, to: u32) {
        if self.islands.is_none() && to >= self.prefix {
            self.prefix = self.prefix.min(from);
            return;
        }
        let islands = self.islands.take().map_or_else(Vec::new, |islands| *islands);
        let pieces = std::iter::once((0, self.prefix)).chain(islands);
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
        self.prefix == 0 && self.islands.is_none()
    }
}

/// The index of cached prefixes.
pub type PrefixIndex = RunIndex<BlockSet>;

impl PrefixIndex {
    /// Follows a worker's cache.
    pub fn apply(&mut self, worker: u32, event: &CacheEvent) {
        match event {
            CacheEvent::Stored { run, copy: false } => {
                self.grow(worker, run.content, |held| held.insert(run.first, run.end()));
            }
            CacheEvent::Removed { run, copy: false } => {
                self.update(worker, run.content, |held| held.remove(run.first, run.end()));
            }
            CacheEvent::Cleared => self.clear(worker),
            CacheEvent::Stored { copy: true, .. } | CacheEvent::Removed { copy: true, .. } => {}
        }
    }
}
