//! What a running request holds of a cache.

use crate::prompt::BlockRun;

/// Blocks held by one running request, in order of the sequence. Opaque: it must go back through
/// [`super::BlockCache::release`].
#[derive(Debug, Default)]
pub struct Lease {
    /// What it holds last, which is all that growing it touches.
    pub(super) last: Held,
    /// Leading blocks that have content.
    pub(super) stored: u32,
    /// Blocks behind them that have none yet.
    pub(super) blank: u32,
    /// Where the next block to store lies.
    pub(super) cursor: Cursor,
    /// What it holds before the last.
    pub(super) before: Vec<Held>,
}

/// `blocks` blocks of one run from the start of `piece` on, and of those split off behind it since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) piece: u32,
    pub(super) blocks: u32,
}

impl Lease {
    /// Number of leading blocks that have content.
    pub fn stored(&self) -> u32 {
        self.stored
    }

    /// Number of blocks held.
    pub fn blocks(&self) -> u32 {
        self.stored + self.blank
    }

    /// It holds `blocks` blocks by now: those it lacks were taken for it.
    pub fn grow_to(&mut self, blocks: u32) {
        self.blank = blocks - self.stored;
    }

    pub(super) fn push(&mut self, piece: u32, blocks: u32) {
        let before = std::mem::replace(&mut self.last, Held { piece, blocks });
        if before.blocks > 0 {
            self.before.push(before);
        }
    }

    /// The next blocks of `runs`, of one run, at most so that `full` have content.
    pub(super) fn next(&mut self, runs: &[BlockRun], full: u32) -> BlockRun {
        let run = self.cursor.run(runs);
        let index = self.cursor.index;
        let count = (run.count - index).min(full - self.stored);
        BlockRun { content: run.content, first: run.first + index, count }
    }

    /// Moves on by `count` blocks of the run under the cursor.
    pub(super) fn advance(&mut self, count: u32) {
        self.stored += count;
        self.cursor.index += count;
    }
}

/// A place in a list of runs, with a copy of the run it lies in: the list itself is far from all else
/// that a decoding request needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) run: BlockRun,
    /// Blocks of the run passed.
    pub(super) index: u32,
    /// Place of the run after it.
    pub(super) next: u32,
}

impl Default for Cursor {
    fn default() -> Cursor {
        Cursor { run: BlockRun { content: 0, first: 0, count: 0 }, index: 0, next: 0 }
    }
}

impl Cursor {
    /// The run of the next block.
    fn run(&mut self, runs: &[BlockRun]) -> BlockRun {
        if self.index == self.run.count {
            *self = Cursor { run: runs[self.next as usize], index: 0, next: self.next + 1 };
        }
        self.run
    }
}
