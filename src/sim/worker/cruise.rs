//! Many steps at a time, while a worker only decodes.
//!
//! While every running request decodes and nobody can be admitted, a step changes counters and
//! nothing else, and the batch's features grow by the same amounts from step to step. Then the worker
//! *cruises*: requests are left as they were, and only how many steps have passed is counted, until
//! one of them ends. Steps are planned as a *stretch*: the latency model is asked for each, all else
//! is done for all at once. Every time and count is that of stepping one by one.
//!
//! In some steps a request takes a block or fills one: a *crossing*. Where the worker lags (see
//! `super::lag`), a stretch goes on over crossings: only how many blocks each step takes is kept. Else
//! they change what others look at, and are made one by one at their time, between stretches.

use super::{BatchShape, LatencyModel, Sequence, StepState};
use crate::ahead::{fetch, fetch_at};
use crate::units::Nanos;

/// Most steps of a stretch: an arrival may make those planned beyond it void.
const LONGEST: u32 = 64;

/// See the module's documentation.
#[derive(Default)]
pub struct Cruise {
    /// The worker cruises.
    pub on: bool,
    /// The worker lags.
    pub lags: bool,
    /// Steps ended since the requests were last brought up to date.
    pub steps: u32,
    /// When the latest of them ended: when all requests got their latest token.
    last_end: Nanos,
    /// Running requests.
    requests: u64,
    /// Sum of their computed tokens at step 0.
    context: u64,
    /// The step in which the first request ends.
    finish: u32,
    /// Its place among the running.
    finishing: usize,
    crossings: Crossings,
    stretch: Stretch,
    /// A step that is made by itself is under way.
    alone: bool,
    /// Blocks taken that the requests have not been told of.
    untold: u32,
}

/// Who takes or fills a block in which step. It repeats every `block_tokens` steps.
#[derive(Default)]
struct Crossings {
    /// By step, 1 to `block_tokens`, then by place.
    round: Vec<Crossing>,
    /// The next one of the round.
    next: usize,
    /// Steps of the rounds before.
    passed: u32,
    block_tokens: u32,
}

/// What a request does in a step of a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossing {
    step: u32,
    /// Its place among the running.
    pub place: u32,
    /// It takes a block.
    pub takes: bool,
    /// It fills one.
    pub fills: bool,
}

/// Steps under way.
#[derive(Default)]
struct Stretch {
    steps: Vec<Planned>,
    /// Of these, how many have been accounted for.
    settled: usize,
    /// Of the blocks that they take, how many the cache has been asked for.
    taken: u32,
    /// The same in all of them, but for the blocks they take.
    state: StepState,
}

/// A step of a stretch.
struct Planned {
    end: Nanos,
    /// Blocks taken since the stretch began, those of this step among them.
    taken: u32,
}

/// Steps that have passed, for the record.
pub struct Span {
    /// Begin of the first.
    pub start: Nanos,
    /// End of the last.
    pub end: Nanos,
    /// The same in all of them.
    pub state: StepState,
}

/// What has passed of a stretch.
pub enum Passed {
    /// A step: its time, and the number of requests that got a token.
    Step(Nanos, u64),
    /// Steps that are alike in what is recorded of them.
    Span(Span),
}

/// Blocks that have been taken and the cache does not know of.
#[derive(Clone, Copy, Default)]
pub struct Due {
    /// In steps that have ended.
    pub ended: u32,
    /// In the step under way.
    pub under_way: u32,
}

impl Cruise {
    /// Begins to count: all of `running` decode, and got their latest token just now.
    pub fn begin(&mut self, running: &[Sequence], block_tokens: u32, now: Nanos, lags: bool) {
        (self.on, self.lags) = (true, lags);
        (self.steps, self.untold) = (0, 0);
        self.last_end = now;
        self.requests = running.len() as u64;
        self.context = running.iter().map(|sequence| u64::from(sequence.computed)).sum();
        let left = running.iter().map(|s| s.output_tokens - s.generated);
        let first = left.zip(0..).min().unwrap_or_default();
        (self.finish, self.finishing) = first;
        self.crossings.collect(running, block_tokens, self.finish, lags);
    }

    /// Brings the requests up to date, and ends the cruise.
    pub fn end(&mut self, running: &mut [Sequence]) {
        self.tell(running);
        (self.on, self.alone) = (false, false);
        for sequence in running {
            sequence.computed += self.steps;
            sequence.generated += self.steps;
            sequence.last_token = self.last_end;
        }
    }

    /// Tells the requests of the blocks that were taken for them; returns the steps begun.
    pub fn tell(&mut self, running: &mut [Sequence]) -> u32 {
        let begun = self.steps + u32::from(!self.stretch.steps.is_empty());
        if std::mem::take(&mut self.untold) > 0 {
            for sequence in running {
                let tokens = sequence.computed + begun;
                sequence.lease.grow_to(tokens.div_ceil(self.crossings.block_tokens));
            }
        }
        begun
    }

    /// Blocks taken that the requests have not been told of.
    pub fn untold(&self) -> u32 {
        if self.on { self.untold } else { 0 }
    }

    /// A request ended in the latest step.
    pub fn has_finished(&self) -> bool {
        self.steps == self.finish
    }

    /// Place of the request that ends with the last step planned, if one does.
    pub fn ending(&self) -> Option<usize> {
        let planned = self.stretch.steps.len() - self.stretch.settled + usize::from(self.alone);
        (self.on && self.steps + planned as u32 == self.finish).then_some(self.finishing)
    }

    /// The batch of the step that comes.
    pub fn batch(&self) -> BatchShape {
        BatchShape {
            decode_seqs: self.requests,
            decode_context: self.context + self.requests * u64::from(self.steps + 1),
            ..BatchShape::default()
        }
    }

    /// Somebody takes or fills a block in the step that comes.
    pub fn crosses_next(&self) -> bool {
        self.crossings.next_step() == self.steps + 1
    }

    /// Those who take or fill a block in the step that comes, by place, each once. Who fills is known
    /// only where the worker does not lag.
    pub fn crossing(&self) -> impl Iterator<Item = &Crossing> {
        self.crossings.of(self.steps + 1)
    }

    /// See `crate::ahead`.
    pub fn fetch(&self) {
        fetch(&self.on);
        fetch(&self.crossings);
        fetch(&self.stretch);
    }

    /// See `crate::ahead`.
    pub fn fetch_lists(&self) {
        fetch_at(&self.crossings.round, 0);
        fetch_at(&self.stretch.steps, 0);
    }

    /// The crossings of the step that comes have been done, and it begins.
    pub fn crossed(&mut self) {
        self.alone = true;
        self.crossings.skip(self.crossing().count());
    }

    /// Plans the steps up to that in which a request ends, or the next that is made by itself; when
    /// the last one ends. At most `available` blocks are taken. `None` where not even one step fits
    /// before `last`.
    pub fn plan(
        &mut self,
        now: Nanos,
        last: Nanos,
        state: StepState,
        available: u32,
        latency: &dyn LatencyModel,
    ) -> Option<Nanos> {
        let end =
            if self.lags { self.finish } else { self.finish.min(self.crossings.next_step() - 1) };
        let mut batch = self.batch();
        let (mut at, mut taken) = (now, 0);
        let stretch = &mut self.stretch;
        stretch.steps.clear();
        (stretch.settled, stretch.taken, stretch.state) = (0, 0, state);
        for step in (self.steps + 1..=end).take(LONGEST as usize) {
            let takes = if self.lags { self.crossings.of(step).count() } else { 0 };
            taken += takes as u32;
            let duration = latency.step(&batch);
            at += duration;
            if taken > available || at > last {
                break;
            }
            self.crossings.skip(takes);
            self.stretch.steps.push(Planned { end: at, taken });
            // What else happens at this instant comes between two steps that take no time.
            if duration == Nanos::ZERO {
                break;
            }
            batch.decode_context += self.requests;
        }
        self.stretch.steps.last().map(|step| step.end)
    }

    /// Blocks that the steps planned will take.
    pub fn takes(&self) -> u32 {
        self.stretch.steps.last().map_or(0, |step| step.taken)
    }

    /// A step that was made by itself ends: the time it took, and the number of requests that got a
    /// token. `None` where a stretch ends, which must have been settled.
    pub fn step(&mut self, now: Nanos) -> Option<(Nanos, u64)> {
        if !std::mem::take(&mut self.alone) {
            return None;
        }
        let gap = now - self.last_end;
        self.steps += 1;
        self.last_end = now;
        Some((gap, self.requests))
    }

    /// Somebody arrives or asks: the stretch ends with the step under way. Its new end, if that is
    /// another.
    pub fn cut(&mut self, now: Nanos) -> Option<Nanos> {
        let steps = &mut self.stretch.steps;
        let under_way = steps.partition_point(|step| step.end < now);
        if under_way + 1 >= steps.len() {
            return None;
        }
        steps.truncate(under_way + 1);
        let left = steps.len() - self.stretch.settled;
        if self.lags {
            self.crossings.seek(self.steps + left as u32 + 1);
        }
        self.stretch.steps.last().map(|step| step.end)
    }

    /// Accounts for the steps of the stretch that have ended by `now`, and tells of them.
    pub fn settle(&mut self, now: Nanos, mut tell: impl FnMut(Passed)) -> Due {
        let Stretch { steps, settled, taken, state } = &mut self.stretch;
        let before = *taken;
        let mut ended = before;
        let mut span: Option<Span> = None;
        for step in steps[*settled..].iter().take_while(|step| step.end <= now) {
            tell(Passed::Step(step.end - self.last_end, self.requests));
            let used_blocks = state.used_blocks + u64::from(step.taken);
            match &mut span {
                Some(span) if span.state.used_blocks == used_blocks => span.end = step.end,
                _ => {
                    let state = StepState { used_blocks, ..*state };
                    let new = Span { start: self.last_end, end: step.end, state };
                    span.replace(new).into_iter().for_each(|span| tell(Passed::Span(span)));
                }
            }
            self.last_end = step.end;
            self.steps += 1;
            *settled += 1;
            ended = ended.max(step.taken);
        }
        span.into_iter().for_each(|span| tell(Passed::Span(span)));
        // A step begins when the one before it ends, but after everything else of that instant.
        let under_way = steps.get(*settled).filter(|_| *settled == 0 || self.last_end < now);
        *taken = under_way.map_or(ended, |step| step.taken).max(ended);
        let due = Due { ended: ended - before, under_way: *taken - ended };
        self.untold += *taken - before;
        if *settled == steps.len() {
            steps.clear();
            *settled = 0;
        }
        due
    }

    /// The step of the stretch that has not ended, for a run that stops.
    pub fn under_way(&self) -> Option<Span> {
        let Stretch { steps, settled, state, .. } = &self.stretch;
        let step = steps.get(*settled)?;
        let used_blocks = state.used_blocks + u64::from(step.taken);
        let state = StepState { used_blocks, ..*state };
        Some(Span { start: self.last_end, end: step.end, state })
    }
}

impl Crossings {
    /// Those of the first `steps` steps, at most a round; only who takes a block, where the worker lags.
    fn collect(&mut self, running: &[Sequence], block_tokens: u32, steps: u32, lags: bool) {
        (self.next, self.passed) = (0, 0);
        self.round.clear();
        for (place, sequence) in (0..).zip(running) {
            // In step s a request computes token `computed + s`: the first of a block, or its last.
            let within = sequence.computed % block_tokens;
            let fills = block_tokens - within;
            let takes = fills % block_tokens + 1;
            let at = |step| Crossing { step, place, takes: step == takes, fills: step == fills };
            if !lags && takes != fills {
                self.round.push(at(fills));
            }
            self.round.push(at(takes));
        }
        if steps < block_tokens {
            self.round.retain(|crossing| crossing.step <= steps);
        }
        self.round.sort_unstable();
        self.block_tokens = block_tokens;
    }

    fn next_step(&self) -> u32 {
        self.round.get(self.next).map_or(u32::MAX, |crossing| self.passed + crossing.step)
    }

    /// Those of a step, none of which have been skipped.
    fn of(&self, step: u32) -> impl Iterator<Item = &Crossing> {
        let due = self.round[self.next..].iter();
        due.take_while(move |crossing| self.passed + crossing.step == step)
    }

    fn skip(&mut self, count: usize) {
        self.next += count;
        if count > 0 && self.next == self.round.len() {
            self.next = 0;
            self.passed += self.block_tokens;
        }
    }

    /// Goes to the first crossing that is not before `step`.
    fn seek(&mut self, step: u32) {
        self.passed = (step - 1) / self.block_tokens * self.block_tokens;
        self.next = 0;
        let passed = self.round.partition_point(|crossing| self.passed + crossing.step < step);
        self.skip(passed);
    }
}
