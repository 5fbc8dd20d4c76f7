//! The head of the waiting queue that found too few blocks, so that its prompt need not be looked up
//! again at every step.
//!
//! It needs blocks for its known sequence less its active hits. Active hits grow only where a block
//! of its prompt is stored, or taken by an admission; and nobody is admitted past the head. Until
//! then what was found bounds them from above, so the request stays out as long as even that many do
//! not suffice. It does not hold where workers share a cache.

use super::Sequence;
use crate::cache::BlockCache;
use crate::prompt::{BlockRun, CacheEvent};
use crate::request::RequestId;
use rustc_hash::FxHashSet;

/// See the module's documentation.
#[derive(Default)]
pub struct Blocked {
    /// Which request, if one is blocked.
    request: Option<RequestId>,
    /// Blocks it needs even if all it found active stays so.
    needs: u32,
    /// Its runs.
    contents: FxHashSet<u64>,
}

impl Blocked {
    /// `head` was looked up and needs `needs` blocks.
    pub fn remember(&mut self, head: &Sequence, needs: u32) {
        self.request = Some(head.record.id);
        self.needs = needs;
        self.contents.clear();
        self.contents.extend(head.runs.iter().map(|run: &BlockRun| run.content));
    }

    /// Whoever was blocked may no longer be.
    pub fn forget(&mut self) {
        self.request = None;
    }

    /// Takes note of what happened in the cache since it was last emptied of events.
    pub fn observe(&mut self, cache: &BlockCache) {
        let stored = |event: &CacheEvent| match event {
            CacheEvent::Stored { run, copy: false } => self.contents.contains(&run.content),
            _ => false,
        };
        if self.request.is_some() && cache.events().iter().any(stored) {
            self.request = None;
        }
    }

    /// Whether `head` surely finds too few blocks.
    pub fn stays(&self, head: &Sequence, cache: &BlockCache) -> bool {
        self.request.is_some_and(|id| id == head.record.id) && self.needs > cache.available()
    }
}
