//! What the next events will touch, fetched while this one happens (see `crate::ahead`).

use super::Simulation;
use super::event::Event;
use crate::ahead::fetch_at;
use crate::prompt::CacheEvent;
use crate::router::Frontend;
use crate::router::index::PrefixIndex;

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
            Self::fetch_known,
            Self::fetch_runs,
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

    /// The requests that take a step, the piece that loses blocks, and where truth and routers keep what
    /// they know of those that go.
    fn fetch_requests(&self, worker: usize) {
        self.workers[worker].fetch_requests();
        let cache = &self.caches[self.cache_of(worker)];
        cache.fetch_victim();
        for (content, _) in &self.going[worker] {
            cache.fetch_run(*content);
            self.watch.fetch(*content);
            self.indexes().for_each(|index| index.fetch_page(*content));
        }
        self.fetch_events(worker, PrefixIndex::fetch_page);
    }

    /// What the request that ends refers to, the runs of one that enters, and what is known of the
    /// blocks that go.
    fn fetch_runs(&self, worker: usize) {
        let cache = &self.caches[self.cache_of(worker)];
        if let Some(sequence) = self.workers[worker].ending() {
            sequence.fetch();
            cache.fetch_lease(&sequence.lease);
            self.source.fetch_place(sequence.record.id);
            self.routers.iter().for_each(|router| router.fetch_request(sequence.record.id));
        }
        self.workers[worker].entering().iter().for_each(|run| cache.fetch_run(run.content));
        for (content, _) in &self.going[worker] {
            self.indexes().for_each(|index| index.fetch(*content));
        }
        self.fetch_events(worker, PrefixIndex::fetch);
    }

    /// What all know of the request that ends.
    fn fetch_known(&self, worker: usize) {
        if let Some(sequence) = self.workers[worker].ending() {
            self.caches[self.cache_of(worker)].fetch_leased(&sequence.lease);
            self.source.fetch(sequence.record.id);
            self.routers.iter().for_each(|router| router.fetch_active(sequence.prompt()));
            sequence.output().iter().for_each(|run| self.watch.fetch(run.content));
        }
    }

    /// What routers know of the blocks that they will be told of.
    fn fetch_events(&self, worker: usize, look: impl Fn(&PrefixIndex, u64)) {
        for content in self.pending_events[worker].iter().filter_map(CacheEvent::content) {
            self.routers.iter().filter_map(Frontend::event_index).for_each(|at| look(at, content));
        }
    }

    /// All that follow KV events.
    pub(super) fn indexes(&self) -> impl Iterator<Item = &PrefixIndex> {
        self.routers.iter().filter_map(Frontend::event_index).chain([&self.truth])
    }
}
