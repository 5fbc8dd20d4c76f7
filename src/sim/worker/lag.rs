//! Blocks put down late.
//!
//! While nobody but the requests of a worker can see what its cache gains and loses by their
//! decoding, the worker *lags*: blocks are taken when a stretch of steps ends, and the blocks that an
//! output fills get their content when its request does. What others see of it must be asked for
//! before (`crate::sim::watch`). A worker lags as long as
//! - all its requests are *private*: nobody else names a block that their outputs fill, so no lookup,
//!   no copy and no eviction depends on when these get their content;
//! - blocks are not scarce, so that nobody is preempted.

use super::{Sequence, Worker};
use crate::cache::BlockCache;

/// Up to when the blocks that outputs have filled are put down.
#[derive(Clone, Copy, PartialEq)]
pub enum Known {
    /// The steps that have ended.
    Ended,
    /// The step under way too.
    UnderWay,
}

impl Worker {
    /// Decides whether the worker lags in the step that comes; true where it did and does no more, so
    /// that all it has put off must be put down before.
    pub fn stops_lagging(&mut self, cache: &BlockCache) -> bool {
        let lags = self.config.lags && self.public == 0 && !self.is_scarce(cache);
        std::mem::replace(&mut self.lags, lags) && !lags
    }

    /// Whether somebody may lack a block in the step that comes: each request takes one to go on
    /// decoding, or what is prefilled, and some of one's block is taken already.
    fn is_scarce(&self, cache: &BlockCache) -> bool {
        let requests = self.running.len() as u32;
        let prefilled = self.config.max_batched_tokens / self.config.block_tokens;
        cache.available() <= prefilled.saturating_add(2 * requests)
    }

    /// Gives content to the blocks that outputs have filled; [`Worker::settle`] must have been called.
    pub fn put_down(&mut self, cache: &mut BlockCache, known: Known) {
        let under_way = known == Known::UnderWay;
        let cruised = self.cruise.on.then(|| {
            let begun = self.cruise.tell(&mut self.running);
            if under_way { begun } else { self.cruise.steps }
        });
        for sequence in &mut self.running {
            let scheduled = if self.busy && under_way { sequence.scheduled } else { 0 };
            let tokens = sequence.computed + cruised.unwrap_or(scheduled);
            cache.fill(&mut sequence.lease, &sequence.runs, tokens / self.config.block_tokens);
        }
    }

    /// Somebody else names a block of run `content`: whose output fills it is not private any more, and
    /// taken note of no longer by `unwatch`.
    pub fn publish(&mut self, content: u64, mut unwatch: impl FnMut(&Sequence)) {
        for sequence in self.running.iter_mut().chain(&mut self.waiting) {
            let fills = sequence.output().iter().any(|run| run.content == content);
            if sequence.private && fills {
                sequence.private = false;
                self.public += 1;
                unwatch(sequence);
            }
        }
    }
}
