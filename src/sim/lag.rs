//! What workers that lag put down late (`super::worker::lag`), and whom it must be told before.

use super::Simulation;
use super::steps::deliver;
use super::watch::Watcher;
use super::worker::{Known, Passed};
use crate::prompt::{BlockRun, CacheEvent};

impl Simulation<'_> {
    /// Accounts for the steps of a stretch that have ended, and for the blocks that they and the one
    /// under way have taken.
    pub(super) fn settle(&mut self, worker: usize) {
        let recorder = &mut self.recorder;
        let due = self.workers[worker].settle(self.now, |passed| match passed {
            Passed::Step(gap, count) => recorder.gap(gap, count),
            Passed::Span(span) => recorder.busy(worker, span.start, span.end, span.state),
        });
        let cache = self.cache_of(worker);
        if due.ended > 0 {
            self.caches[cache].take(due.ended);
            self.tell(worker);
        }
        if due.under_way > 0 {
            self.caches[cache].take(due.under_way);
            self.collect_events(worker);
        }
        for (content, from) in self.going[worker].drain(..) {
            self.watch.remove(content, Watcher { worker: worker as u32, from });
        }
    }

    /// Watches the runs that lose blocks in the stretch that begins.
    pub(super) fn watch_going(&mut self, worker: usize) {
        let cache = &self.caches[self.cache_of(worker)];
        for (content, from) in cache.next_gone(self.workers[worker].takes()) {
            self.watch.add(content, Watcher { worker: worker as u32, from });
            self.going[worker].push((content, from));
        }
    }

    /// Before `runs` are looked up: whoever puts changes of them down late does so now.
    pub(super) fn ask_watched(&mut self, runs: &[BlockRun]) {
        for run in runs {
            while let Some(worker) = self.watch.take(run) {
                self.disclose(worker as usize);
                let watch = &mut self.watch;
                self.workers[worker as usize]
                    .publish(run.content, |sequence| watch.forget_output(worker, sequence));
            }
        }
    }

    /// A worker that lags puts down all it has put off, up to now.
    pub(super) fn disclose(&mut self, worker: usize) {
        if self.workers[worker].busy {
            self.wake(worker);
        }
        self.settle(worker);
        let cache = self.cache_of(worker);
        self.workers[worker].put_down(&mut self.caches[cache], Known::Ended);
        self.tell(worker);
        self.workers[worker].put_down(&mut self.caches[cache], Known::UnderWay);
        self.collect_events(worker);
    }

    /// What has changed in the cache has been so for a while.
    fn tell(&mut self, worker: usize) {
        let cache = self.cache_of(worker);
        let events = self.caches[cache].events();
        for content in events.iter().filter_map(CacheEvent::content) {
            self.indexes().for_each(|index| index.fetch(content));
        }
        events.iter().for_each(|event| self.truth.apply(worker as u32, event));
        if self.events_wanted {
            deliver(&mut self.routers, worker as u32, events);
        }
        self.caches[cache].drain_events();
    }
}
