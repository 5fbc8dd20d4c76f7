//! Blocks of requests in flight, per worker, each counted once however many requests share it.

use super::index::{Holder, RunIndex};
use crate::prompt::BlockRun;

/// How many requests in flight cover the run, by how far: (blocks, requests).
#[derive(Debug, Default)]
pub struct Cover {
    longest: (u32, u32),
    /// The others, descending: requests end in the middle of a run rarely.
    shorter: Vec<(u32, u32)>,
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
                self.shorter.insert(0, before);
            }
        } else if blocks == self.longest.0 {
            self.longest.1 += 1;
        } else {
            match self.place(blocks) {
                Ok(at) => self.shorter[at].1 += 1,
                Err(at) => self.shorter.insert(at, (blocks, 1)),
            }
        }
    }

    fn place(&self, blocks: u32) -> Result<usize, usize> {
        self.shorter.binary_search_by(|(length, _)| blocks.cmp(length))
    }

    fn take(&mut self, blocks: u32) {
        if blocks == self.longest.0 {
            self.longest.1 -= 1;
            if self.longest.1 == 0 {
                let next = !self.shorter.is_empty();
                self.longest = if next { self.shorter.remove(0) } else { (0, 0) };
            }
        } else if let Ok(at) = self.place(blocks) {
            self.shorter[at].1 -= 1;
            if self.shorter[at].1 == 0 {
                self.shorter.remove(at);
            }
        }
    }
}

/// Blocks of requests in flight. Runs are those of whole prompts: each begins at its block 0.
#[derive(Default)]
pub struct ActiveBlocks {
    index: RunIndex<Cover>,
}

impl ActiveBlocks {
    /// For runs named by one [`crate::prompt::Paths`].
    pub fn numbered() -> ActiveBlocks {
        ActiveBlocks { index: RunIndex::numbered() }
    }

    /// Leading blocks of `runs` held by requests in flight, per worker.
    pub fn overlaps(&self, runs: &[BlockRun], overlaps: &mut [u32]) {
        self.index.overlaps(runs, overlaps);
    }

    /// A request goes to `worker`; how many blocks that adds.
    pub fn add(&mut self, worker: u32, runs: &[BlockRun]) -> u64 {
        let grown = |run: &BlockRun| {
            let cover = self.index.holder(worker, run.content);
            let before = cover.prefix();
            cover.add(run.count);
            u64::from(cover.prefix() - before)
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
