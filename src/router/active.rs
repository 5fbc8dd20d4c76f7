//! Blocks of requests in flight, per worker, each counted once however many requests share it.

use super::index::{Holder, RunIndex};
use crate::prompt::BlockRun;

/// How many requests in flight cover the run, by how far: (blocks, requests), longest first.
#[derive(Debug, Default)]
pub struct Cover {
    lengths: Vec<(u32, u32)>,
}

impl Holder for Cover {
    fn prefix(&self) -> u32 {
        self.lengths.first().map_or(0, |(blocks, _)| *blocks)
    }

    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }
}

impl Cover {
    fn add(&mut self, blocks: u32) {
        match self.lengths.binary_search_by(|(length, _)| blocks.cmp(length)) {
            Ok(at) => self.lengths[at].1 += 1,
            Err(at) => self.lengths.insert(at, (blocks, 1)),
        }
    }

    fn take(&mut self, blocks: u32) {
        if let Ok(at) = self.lengths.binary_search_by(|(length, _)| blocks.cmp(length)) {
            self.lengths[at].1 -= 1;
            if self.lengths[at].1 == 0 {
                self.lengths.remove(at);
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
