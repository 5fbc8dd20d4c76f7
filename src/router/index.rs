//! Which workers hold which blocks: the prefix index.
//!
//! Runs are keyed by their chained content, so a query walks the prompt's runs, not its blocks, and
//! touches only workers that hold something of them.
//!
//! On the events of an engine (a block goes only after all behind it) this agrees with Dynamo's
//! indexes block for block; `tests/dynamo` checks it. With lost events it does not: blocks stored
//! behind a gap count here once the gap is closed, Dynamo drops them for good.

use crate::prompt::{BlockRun, CacheEvent, RunMap};
use std::num::NonZeroU32;

/// How much of a run one worker holds.
pub trait Holder: Default {
    /// Leading blocks of the run held.
    fn prefix(&self) -> u32;
    /// Nothing is held.
    fn is_empty(&self) -> bool;
}

/// Who holds something of one run, at least one worker. Most runs are held by one worker alone.
struct Holders<H> {
    one: (Worker, H),
    /// The others, by worker; boxed, because there are many runs and few others.
    #[expect(clippy::box_collection, reason = "a third of the size")]
    others: Option<Box<Vec<(u32, H)>>>,
}

/// Number of a worker, and one: what may be missing takes no more room than what is there.
#[derive(Clone, Copy, PartialEq)]
struct Worker(NonZeroU32);

impl Worker {
    fn new(number: u32) -> Worker {
        Worker(NonZeroU32::MIN.saturating_add(number))
    }

    fn number(self) -> u32 {
        self.0.get() - 1
    }
}

impl<H: Holder> Holders<H> {
    fn new(worker: u32) -> Holders<H> {
        Holders { one: (Worker::new(worker), H::default()), others: None }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &H)> {
        let others = self.others.as_deref().map_or(&[][..], Vec::as_slice);
        let others = others.iter().map(|(worker, held)| (*worker, held));
        std::iter::once((self.one.0.number(), &self.one.1)).chain(others)
    }

    fn get_or_insert(&mut self, worker: u32) -> &mut H {
        if self.one.0.number() == worker {
            return &mut self.one.1;
        }
        let others = self.others.get_or_insert_default();
        let at = place(others, worker).unwrap_or_else(|at| {
            others.insert(at, (worker, H::default()));
            at
        });
        &mut others[at].1
    }

    /// Changes what `worker` holds, if anything; false where now nobody holds anything.
    fn change(&mut self, worker: u32, change: impl FnOnce(&mut H)) -> bool {
        let mut none = Vec::new();
        let others = self.others.as_deref_mut().unwrap_or(&mut none);
        if self.one.0.number() == worker {
            change(&mut self.one.1);
            if self.one.1.is_empty() {
                let Some((worker, held)) = others.pop() else {
                    return false;
                };
                self.one = (Worker::new(worker), held);
            }
        } else if let Ok(at) = place(others, worker) {
            change(&mut others[at].1);
            if others[at].1.is_empty() {
                others.remove(at);
            }
        }
        true
    }
}

/// Where `worker` is, or belongs.
fn place<H>(others: &[(u32, H)], worker: u32) -> Result<usize, usize> {
    others.binary_search_by_key(&worker, |(held_by, _)| *held_by)
}

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
            let mut any = false;
            for (worker, holder) in holders.iter() {
                let overlap = &mut overlaps[worker as usize];
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
        self.runs.get_or_insert_with(content, || Holders::new(worker)).get_or_insert(worker)
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
