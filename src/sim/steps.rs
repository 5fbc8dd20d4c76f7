//! Steps of workers within the event loop: begun, ended, told to recorder, truth and routers.

use super::Simulation;
use super::event::Event;
use super::worker::Work;
use crate::error::Result;
use crate::prompt::CacheEvent;
use crate::router::Frontend;
use crate::units::Nanos;
use rand::RngExt;

impl Simulation<'_> {
    /// A worker has something new to do, as soon as the step under way ends.
    pub(super) fn wake(&mut self, worker: usize) {
        if self.workers[worker].busy {
            if let Some(end) = self.workers[worker].cut_stretch(self.now) {
                self.ends_at(worker, end);
            }
        } else if !self.woken[worker] {
            self.woken[worker] = true;
            let place = if self.caches.len() == 1 { 0 } else { worker as u32 };
            self.queue.push(self.now, Event::StepBegin { worker: worker as u32, place });
        }
    }

    /// The steps of `worker` under way end at `end`, whatever was planned before.
    fn ends_at(&mut self, worker: usize, end: Nanos) {
        self.plans[worker] = self.plans[worker].wrapping_add(1);
        let plan = self.plans[worker];
        self.queue.push(end, Event::StepEnd { worker: worker as u32, plan });
    }

    pub(super) fn begin_step(&mut self, worker: usize) -> Result<()> {
        self.woken[worker] = false;
        let cache = self.cache_of(worker);
        if self.workers[worker].stops_lagging(&self.caches[cache]) {
            self.disclose(worker);
        }
        let latency = self.latency.as_ref();
        let (cache, report) = (&mut self.caches[cache], &mut self.report);
        let work = self.workers[worker].begin(self.now, cache, latency, report);
        if let Work::Stretch(end) = work {
            self.watch_going(worker);
            self.ends_at(worker, end);
            return Ok(());
        }
        self.collect_events(worker);
        self.record_step(worker);
        self.check_conservation(worker);
        let Work::Step(duration) = work else {
            if self.workers[worker].has_work() {
                self.stalled.push(worker as u32);
            }
            return Ok(());
        };
        let end = self.now + duration;
        self.on_clock(end)?;
        let state = self.workers[worker].state(&self.caches[self.cache_of(worker)]);
        self.recorder.busy(worker, self.now, end, state);
        self.ends_at(worker, end);
        Ok(())
    }

    /// What the step has changed in the cache is true at once, and told at its end.
    pub(super) fn collect_events(&mut self, worker: usize) {
        let cache = self.cache_of(worker);
        let events = self.caches[cache].events();
        let contents = events.iter().filter_map(CacheEvent::content);
        contents.clone().for_each(|content| self.truth.fetch_page(content));
        contents.for_each(|content| self.truth.fetch(content));
        events.iter().for_each(|event| self.truth.apply(cache as u32, event));
        if self.events_wanted {
            self.pending_events[worker].extend_from_slice(events);
        }
        self.caches[cache].drain_events();
    }

    fn record_step(&mut self, worker: usize) {
        let report = &self.report;
        if report.preempted > 0 {
            self.recorder.preempted(worker, report.preempted);
        }
        for new in &report.admitted {
            self.recorder.admitted(
                worker,
                self.now,
                new.arrival,
                new.prompt_tokens,
                new.hit_tokens,
            );
        }
    }

    pub(super) fn end_step(&mut self, worker: usize) -> Result<()> {
        self.settle(worker);
        let cache = self.cache_of(worker);
        self.workers[worker].end(self.now, &mut self.caches[cache], &mut self.report);
        self.collect_events(worker);
        self.check_conservation(worker);
        self.report.gaps.iter().for_each(|(gap, count)| self.recorder.gap(*gap, *count));
        for id in &self.report.first_tokens {
            self.routers.iter_mut().for_each(|router| router.on_first_token(*id));
        }
        if !self.report.finished.is_empty() {
            self.end_requests(worker)?;
        }
        if !self.pending_events[worker].is_empty() {
            self.publish(worker)?;
        }
        if self.workers[worker].has_work() {
            if self.stalled.is_empty() && self.nothing_else_happens_now()? {
                return self.begin_step(worker);
            }
            self.wake(worker);
        }
        if !self.stalled.is_empty() {
            for stalled in std::mem::take(&mut self.stalled) {
                self.wake(stalled as usize);
            }
        }
        Ok(())
    }

    /// Requests got their last token.
    fn end_requests(&mut self, worker: usize) -> Result<()> {
        let mut finished = std::mem::take(&mut self.report.finished);
        for sequence in &finished {
            let record = &sequence.record;
            if sequence.is_private() {
                self.watch.forget_output(worker as u32, sequence);
            }
            self.routers.iter_mut().for_each(|router| router.on_complete(record.id));
            self.ended(record)?;
        }
        finished.clear();
        self.report.finished = finished;
        Ok(())
    }

    /// Whether a step that begins now would be next in any case.
    fn nothing_else_happens_now(&mut self) -> Result<bool> {
        let later = |at: Option<Nanos>| at.is_none_or(|at| at > self.now);
        if !later(self.queue.peek().map(|(at, _)| at)) {
            return Ok(false);
        }
        let arrival = self.next_arrival()?;
        Ok(arrival.is_none_or(|at| at > self.now))
    }

    /// The same on all workers; stretches end with the step under way.
    pub(super) fn settle_all(&mut self) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].busy {
                self.wake(worker);
                self.settle(worker);
            }
        }
    }

    /// Counts steps under way as whole ones, at the end of a run that was stopped.
    pub(super) fn record_under_way(&mut self) {
        for (place, worker) in self.workers.iter().enumerate() {
            if let Some(span) = worker.under_way() {
                self.recorder.busy(place, span.start, span.end, span.state);
            }
        }
    }

    /// Sends the KV events of the step that has just ended on their way.
    fn publish(&mut self, worker: usize) -> Result<()> {
        let events = &mut self.pending_events[worker];
        if self.sink_wants_events {
            self.sink.cache_events(worker as u32, self.now, events)?;
        }
        let spec = &self.setup.scenario.router;
        let lost = spec.event_loss > 0.0 && self.event_loss.random::<f64>() < spec.event_loss;
        if lost {
            // Lost on the way.
        } else if spec.event_delay == Nanos::ZERO {
            deliver(&mut self.routers, worker as u32, events);
        } else {
            self.queue.push(self.now + spec.event_delay, Event::KvEvents);
            self.on_the_way.push_back((worker as u32, std::mem::take(events)));
        }
        events.clear();
        Ok(())
    }
}

/// Tells the routers of KV events.
pub(super) fn deliver(routers: &mut [Frontend], worker: u32, events: &[CacheEvent]) {
    routers.iter_mut().for_each(|router| router.on_cache_events(worker, events));
}
