//! An index without KV events: a routed prefix is believed to stay on its worker for a while.
//!
//! As Dynamo's approximate mode: every routed run is (re)entered with the time of the decision and
//! forgotten `ttl` later; beyond `max_blocks` per worker the least recently routed runs go first,
//! tails before the prefixes they need.

use super::index::PrefixIndex;
use crate::prompt::BlockRun;
use crate::units::Nanos;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// What is believed about one run on one worker.
struct Belief {
    /// Number of its latest routing; older queue entries are stale.
    stamp: u64,
    blocks: u32,
}

/// One worker's beliefs in order of routing.
#[derive(Default)]
struct Believed {
    runs: FxHashMap<u64, Belief>,
    queue: VecDeque<(Nanos, u64, u64)>,
    blocks: u64,
}

/// See the module's documentation.
pub struct ApproximateIndex {
    index: PrefixIndex,
    workers: Vec<Believed>,
    /// When something was routed to whom, oldest first: whose beliefs may have expired.
    routings: VecDeque<(Nanos, u32)>,
    ttl: Nanos,
    max_blocks: u64,
    stamp: u64,
}

impl ApproximateIndex {
    /// An index over `workers` workers that believes at most `max_blocks` blocks cached on each.
    pub fn new(workers: usize, ttl: Nanos, max_blocks: u64) -> ApproximateIndex {
        ApproximateIndex {
            index: PrefixIndex::default(),
            workers: (0..workers).map(|_| Believed::default()).collect(),
            routings: VecDeque::new(),
            ttl,
            max_blocks,
            stamp: 0,
        }
    }

    /// Leading blocks of `runs` believed cached, per worker, at `now`.
    pub fn overlaps(&mut self, now: Nanos, runs: &[BlockRun], overlaps: &mut [u32]) {
        while let Some((at, worker)) = self.routings.front().copied()
            && at + self.ttl <= now
        {
            self.routings.pop_front();
            self.expire(worker as usize, now);
        }
        self.index.overlaps(runs, overlaps);
    }

    /// A prompt went to `worker`.
    pub fn routed(&mut self, worker: u32, now: Nanos, runs: &[BlockRun]) {
        self.routings.push_back((now, worker));
        for run in runs.iter().rev() {
            self.stamp += 1;
            let believed = &mut self.workers[worker as usize];
            let belief = believed.runs.entry(run.content).or_insert(Belief { stamp: 0, blocks: 0 });
            believed.blocks += u64::from(run.count.saturating_sub(belief.blocks));
            belief.blocks = belief.blocks.max(run.count);
            belief.stamp = self.stamp;
            believed.queue.push_back((now, run.content, self.stamp));
            self.index.grow(worker, run.content, |held| held.insert(0, run.end()));
        }
        while self.workers[worker as usize].blocks > self.max_blocks {
            self.forget_oldest(worker as usize);
        }
    }

    fn expire(&mut self, worker: usize, now: Nanos) {
        while let Some((routed, ..)) = self.workers[worker].queue.front() {
            if *routed + self.ttl > now {
                return;
            }
            self.forget_oldest(worker);
        }
    }

    /// Drops the front of the queue, and the run with it where it was not routed again since.
    fn forget_oldest(&mut self, worker: usize) {
        let believed = &mut self.workers[worker];
        let Some((_, content, stamp)) = believed.queue.pop_front() else {
            return;
        };
        if believed.runs.get(&content).is_some_and(|belief| belief.stamp == stamp) {
            let blocks = believed.runs.remove(&content).map_or(0, |belief| belief.blocks);
            believed.blocks -= u64::from(blocks);
            self.index.update(worker as u32, content, |held| held.remove(0, u32::MAX));
        }
    }
}
