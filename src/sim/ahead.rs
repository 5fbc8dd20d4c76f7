//! Looking ahead: a large cluster does not fit into the processor's caches, and an event begins with
//! reads that wait for each other. What the event after this one will read is read now, all at once
//! and for nothing, so that memory is fetched while this one is worked on.

use super::Simulation;
use super::event::Event;
use std::hint::black_box;

/// Clusters of fewer workers fit.
const FAR: usize = 64;

impl Simulation<'_> {
    /// To be called when an event has been taken from the queue. Changes nothing.
    pub(super) fn look_ahead(&self) {
        if self.workers.len() < FAR {
            return;
        }
        let (Some(Event::StepEnd { worker, .. }) | Some(Event::StepBegin { worker, .. })) =
            self.queue.first()
        else {
            return;
        };
        let at = *worker as usize;
        let cache = &self.caches[self.cache_of(at)];
        black_box(self.workers[at].touch(cache) ^ self.recorder.touch(at));
    }
}
