//! Blocks of requests in flight, per worker, each counted once however many requests share it.

use super::index::{Holder, RunIndex};
use crate::prompt::BlockRun;

/// How many requests in flight cover the run, by how far: (blocks, requests).
#[derive(Debug, Default)]
pub struct Cover {
    longest: (u32, u32),
    /// The others, descending; boxed, because requests end in the middle of a run rarely.
    #[expect(clippy::box_collection, reason = "half the size")]
    shorter: Option<Box<Vec<(u32, u32)>>>,
}

impl Holder for Cover {
    fn prefix(&self) -> u32 {
        self.longest.0
    }

    fn is_empty(&self) -> bool {
        self.longest.0 == 0
    }
}

impl Cover {
    fn add(&mut self, blocks: u32) {
        if blocks > self.longest.0 {
            let before = std::mem::replace(&mut self.longest, (blocks, 1));
            if before.0 > 0 {
                self.shorter.get_or_insert_default().insert(0, before);
            }
        } else if blocks == self.longest.0 {
            self.longest.1 += 1;
        } else {
            let shorter = self.shorter.get_or_insert_default();
            match place(shorter, blocks) {
                Ok(at) => shorter[at].1 += 1,
                Err(at) => shorter.insert(at, (blocks, 1)),
            }
        }
    }

    fn take(&mut self, blocks: u32) {
        if blocks == self.longest.0 {
            self.longest.1 -= 1;
            if self.longest.1 == 0 {
                let next = self.shorter.as_mut().map(|shorter| shorter.remove(0));
                self.longest = next.unwrap_or((0, 0));
            }
        } else if let Some(shorter) = &mut self.shorter
            && let Ok(at) = place(shorter, blocks)
        {
            shorter[at].1 -= 1;
            if shorter[at].1 == 0 {
                shorter.remove(at);
            }
        }
        if self.shorter.as_ref().is_some_and(|shorter| shorter.is_empty()) {
            self.shorter = None;
        }
    }
}

/// Where so many blocks are, or belong.
fn place(shorter: &[(u32, u32)], blocks: u32) -> Result<usize, usize> {
    shorter.binary_search_by(|(length, _)| blocks.cmp(length))
}

/// Blocks of requests in flight. Runs are those of whole prompts: each begins at its block 0. They are
/// hashed even where they are numbered: few of all runs are in flight, far from each other.
#[derive(Default)]
pub struct ActiveBlocks {
    index: RunIndex<Cover>,
}

impl ActiveBlocks {
    /// Leading blocks of `runs` held by requests in flight, per worker.
    pub fn overlaps(&self, runs: &[BlockRun], overlaps: &mut [u32]) {
        self.index.overlaps(runs, overlaps);
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, runs: &[BlockRun]) {
        self.index.fetch_runs(runs);
    }

    /// A request goes to `worker`; how many blocks that adds.
    pub fn add(&mut self, worker: u32, runs: &[BlockRun]) -> u64 {
        let grown = |run: &BlockRun| {
            self.index.grow(worker, run.content, |cover| {
                let before = cover.prefix();
                cover.add(run.count);
                u64::from(cover.prefix() - before)
            })
        };
        runs.iter().map(grown).sum()
    }

    /// A request leaves `worker`; how many blocks that takes away.
    pub fn remove(&mut self, worker: u32, runs: &[BlockRun]) -> u64 {
        let mut gone = 0;
        for run in runs {
            self.index.update(worker, run.content, |cover| {
                let before = cover.prefix();
                cover.take(run.count);
                gone += u64::from(before - cover.prefix());
            });
        }
        gone
    }
}
