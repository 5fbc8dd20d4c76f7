//! How a worker begins: with one step in which anything may happen, or, while it cruises, with a
//! crossing or a whole stretch.

use super::{Due, Passed, Sequence, Span, Step, StepReport, Work, Worker};
use crate::cache::BlockCache;
use crate::sim::LAST_INSTANT;
use crate::sim::latency::LatencyModel;
use crate::units::Nanos;

impl Worker {
    /// Schedules what begins at `now`. `report` is of that alone afterwards.
    pub fn begin(
        &mut self,
        now: Nanos,
        cache: &mut BlockCache,
        latency: &dyn LatencyModel,
        report: &mut StepReport,
    ) -> Work {
        report.clear();
        if !self.keeps_cruising(now, cache) {
            return self.begin_step(now, cache, latency, report);
        }
        if !self.lags && self.cruise.crosses_next() {
            return self.begin_crossing(now, cache, latency, report);
        }
        let state = self.state(cache);
        match self.cruise.plan(now, LAST_INSTANT, state, cache.available(), latency) {
            Some(end) => {
                self.busy = true;
                Work::Stretch(end)
            }
            None => {
                self.cruise.end(&mut self.running);
                self.begin_step(now, cache, latency, report)
            }
        }
    }

    /// Whether the step that comes can be made without looking at each request; brings the requests
    /// up to date where it cannot.
    fn keeps_cruising(&mut self, now: Nanos, cache: &BlockCache) -> bool {
        let closed = self.is_closed(cache);
        if self.cruise.on {
            let same = self.cruise.lags == self.lags;
            if closed && same && self.has_room_to_cross(cache) {
                return true;
            }
            self.cruise.end(&mut self.running);
            return false;
        }
        let decodes = |sequence: &Sequence| sequence.decodes() && sequence.last_token == now;
        let may = self.config.cruises && closed && !self.running.is_empty();
        let all = self.running.len() <= self.config.max_batched_tokens as usize;
        if may && all && self.running.iter().all(decodes) {
            self.cruise.begin(&self.running, self.config.block_tokens, now, self.lags);
            return self.has_room_to_cross(cache) || {
                self.cruise.end(&mut self.running);
                false
            };
        }
        false
    }

    /// Surely nobody can be admitted.
    fn is_closed(&self, cache: &BlockCache) -> bool {
        let most = self.config.max_seqs.min(self.config.max_batched_tokens) as usize;
        let head = self.waiting.front();
        self.running.len() >= most || head.is_none_or(|head| self.blocked.stays(head, cache))
    }

    /// No request has to be preempted in the step that comes.
    fn has_room_to_cross(&self, cache: &BlockCache) -> bool {
        let available = cache.available() as usize;
        // Counting all who cross, those who fill a block too, spares looking at them.
        !self.cruise.crosses_next()
            || self.cruise.crossing().count() <= available
            || self.cruise.crossing().filter(|crossing| crossing.takes).count() <= available
    }

    /// A step of a cruise in which requests take or fill blocks. What they fill may let the head of
    /// the waiting queue in, which ends the cruise.
    fn begin_crossing(
        &mut self,
        now: Nanos,
        cache: &mut BlockCache,
        latency: &dyn LatencyModel,
        report: &mut StepReport,
    ) -> Work {
        for crossing in self.cruise.crossing() {
            let sequence = &mut self.running[crossing.place as usize];
            let blocks = sequence.lease.blocks() + u32::from(crossing.takes);
            let full = sequence.lease.stored() + u32::from(crossing.fills);
            let tokens = sequence.computed + self.cruise.steps + 1;
            debug_assert_eq!((blocks, full), self.config.blocks_of(tokens));
            let fits = cache.extend(&mut sequence.lease, &sequence.runs, blocks, full);
            debug_assert!(fits, "there is room for all who take a block");
        }
        self.cruise.crossed();
        self.blocked.observe(cache);
        let shape = self.cruise.batch();
        self.busy = true;
        if self.is_closed(cache) {
            return Work::Step(latency.step(&shape));
        }
        self.cruise.end(&mut self.running);
        self.running.iter_mut().for_each(|sequence| sequence.scheduled = 1);
        let budget = self.config.max_batched_tokens - self.running.len() as u32;
        let mut step = Step { budget, shape, report };
        self.admit_waiting(&mut step, now, cache);
        Work::Step(latency.step(&step.shape))
    }

    /// Somebody arrives or must know: the stretch under way ends with the step under way. When that
    /// is, if it is not when it would have ended anyway.
    pub fn cut_stretch(&mut self, now: Nanos) -> Option<Nanos> {
        self.cruise.cut(now)
    }

    /// Accounts for the steps of a stretch that have ended by `now`; see [`Due`].
    pub fn settle(&mut self, now: Nanos, tell: impl FnMut(Passed)) -> Due {
        self.cruise.settle(now, tell)
    }

    /// Blocks that the stretch planned will take.
    pub fn takes(&self) -> u32 {
        self.cruise.takes()
    }

    /// The step of a stretch that has not been accounted for.
    pub fn under_way(&self) -> Option<Span> {
        self.cruise.under_way()
    }
}
