//! Routers that go by polled metrics look at the workers every `router.metrics_interval`.

use super::event::Event;
use super::{LAST_INSTANT, Simulation};
use crate::error::Result;
use crate::router::polled::Polled;
use crate::units::Nanos;

impl Simulation<'_> {
    /// Shows all routers what the workers' metrics are now, and sets the time of the next look.
    pub(super) fn poll(&mut self) -> Result<()> {
        let Some(interval) = self.setup.scenario.router.metrics_interval else {
            return Ok(());
        };
        for worker in 0..self.workers.len() {
            let state = self.workers[worker].state(&self.caches[self.cache_of(worker)]);
            let requests = (state.running + state.waiting) as u32;
            let metrics = Polled { requests, used_blocks: Some(state.used_blocks) };
            self.routers.iter_mut().for_each(|router| router.on_polled(worker as u32, metrics));
        }
        if let Some(next) = self.next_poll(interval)? {
            self.queue.push(next, Event::Poll);
        }
        Ok(())
    }

    /// The first time on the grid of `interval` at which anything can look different: looks between now
    /// and the next event would show the same again. `None` where nothing is left to happen.
    fn next_poll(&mut self, interval: Nanos) -> Result<Option<Nanos>> {
        let event = self.queue.peek().map(|(at, _)| at);
        let next = event.into_iter().chain(self.next_arrival()?).min();
        let looks = |next: Nanos| next.0.div_ceil(interval.0).max(self.now.0 / interval.0 + 1);
        let at = next.map(|next| Nanos(looks(next).saturating_mul(interval.0)));
        Ok(at.filter(|at| *at <= LAST_INSTANT))
    }
}
