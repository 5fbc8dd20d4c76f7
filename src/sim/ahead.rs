//! What the next events will touch, fetched while this one happens (see `crate::ahead`).

use super::Simulation;
use super::event::Event;
use crate::ahead::fetch_at;

/// Fewer workers than this fit into the processor's caches.
const MANY: usize = 64;

impl Simulation<'_> {
    /// Looks at the soonest events. The nearer one is, the more is known of where it will lead: each
    /// look follows what the one before it has fetched.
    pub(super) fn look_ahead(&self) {
        if self.workers.len() < MANY {
            return;
        }
        let looks = [
            Self::fetch_changes,
            Self::fetch_ending,
            Self::fetch_requests,
            Self::fetch_lists,
            Self::fetch_worker,
        ];
        for (others, look) in [0, 1, 3, 5, 7].into_iter().zip(looks) {
            if let Some(Event::StepEnd { worker, .. }) = self.queue.soon(others) {
                look(self, *worker as usize);
            }
        }
    }

    /// The worker itself.
    fn fetch_worker(&self, worker: usize) {
        self.workers[worker].fetch();
        self.caches[self.cache_of(worker)].fetch();
    }

    /// Its lists.
    fn fetch_lists(&self, worker: usize) {
        self.workers[worker].fetch_lists();
        self.caches[self.cache_of(worker)].fetch_lists();
        fetch_at(&self.pending_events[worker], 0);
        fetch_at(&self.going[worker], 0);
        self.recorder.fetch(worker, self.now);
    }

    /// The requests that take a step, and the piece that loses blocks.
    fn fetch_requests(&self, worker: usize) {
        self.workers[worker].fetch_requests();
        self.caches[self.cache_of(worker)].fetch_victim();
    }

    /// What the request that ends refers to.
    fn fetch_ending(&self, worker: usize) {
        if let Some(lease) = self.workers[worker].fetch_ending() {
            self.caches[self.cache_of(worker)].fetch_lease(lease);
        }
    }

    /// What is known of the blocks that come and go, and what routers will be told of.
    fn fetch_changes(&self, worker: usize) {
        for (content, _) in &self.going[worker] {
            self.truth.fetch(*content);
            self.routers.iter().for_each(|router| router.fetch(*content));
        }
        for event in &self.pending_events[worker] {
            self.routers.iter().for_each(|router| router.fetch_event(event));
        }
    }
}
