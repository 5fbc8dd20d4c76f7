//! Conservation of blocks, checked where debug assertions are on: every block of a cache is either
//! held, cached and free, or blank; the counter of held blocks is right; and the references to
//! blocks are exactly those of running requests.
//!
//! Counting is linear in the blocks ever used, so small caches are counted at every step and large
//! ones at one step in [`LARGE_EVERY`].

use super::Simulation;
use super::worker::Worker;

/// Blocks up to which a cache is small.
const SMALL: u32 = 512;

/// Steps between two counts of a large cache.
const LARGE_EVERY: u64 = 4096;

impl Simulation<'_> {
    /// Called at both ends of every step of `worker`.
    pub(super) fn check_conservation(&mut self, worker: usize) {
        if !cfg!(debug_assertions) {
            return;
        }
        self.steps += 1;
        let at = self.cache_of(worker);
        let cache = &self.caches[at];
        if cache.capacity() > SMALL && !self.steps.is_multiple_of(LARGE_EVERY) {
            return;
        }
        let (used, cached, blank) = cache.census();
        assert_eq!(used + cached + blank, cache.capacity(), "blocks came or went");
        assert_eq!(used, cache.in_use(), "the counter of held blocks is wrong");
        let holders =
            if self.caches.len() == 1 { &self.workers[..] } else { &self.workers[at..=at] };
        let leased: u64 = holders.iter().map(Worker::leased_blocks).sum();
        assert_eq!(cache.references(), leased, "references are not those of running requests");
    }
}
