//! What the next events will touch, fetched while this one happens (see `crate::ahead`).

use super::Simulation;
use super::event::Event;
use crate::ahead::fetch_at;
use crate::cache::Lease;

/// Fewer workers than this fit into the processor's caches.
const MANY: usize = 64;

/// Most changes looked at of a step.
const FEW: usize = 4;

impl Simulation<'_> {
    /// `event` happens now. The nearer one is, the more is known of where it will lead: each look
    /// follows what the one before it has fetched.
    pub(super) fn look_ahead(&self, event: Event) {
        if self.workers.len() < MANY {
            return;
        }
        if let Event::StepEnd { worker, .. } = event {
            self.fetch_changes(worker as usize);
        }
        let looks =
            [Self::fetch_blocks, Self::fetch_requests, Self::fetch_lists, Self::fetch_worker];
        for (others, look) in [0, 2, 4, 7].into_iter().zip(looks) {
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
        self.recorder.fetch(worker, self.now);
    }

    /// The requests that take or fill a block next, and the piece that they will take it from.
    fn fetch_requests(&self, worker: usize) {
        self.workers[worker].fetch_crossing();
        self.caches[self.cache_of(worker)].fetch_victim();
    }

    /// The blocks that they hold, and what routers keep of those they will be told of.
    fn fetch_blocks(&self, worker: usize) {
        let cache = &self.caches[self.cache_of(worker)];
        self.workers[worker].crossing().for_each(|lease| cache.fetch_lease(lease));
        cache.fetch_victims_run();
        for event in self.pending_events[worker].iter().take(FEW) {
            self.routers.iter().for_each(|router| router.fetch(event));
        }
    }

    /// What is known of the blocks that will come and go.
    fn fetch_changes(&self, worker: usize) {
        let stored = self.workers[worker].crossing().map(Lease::content);
        let gone = self.caches[self.cache_of(worker)].next_gone();
        stored.chain(gone).for_each(|content| self.truth.fetch(content));
    }
}
