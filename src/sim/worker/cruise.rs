//! Many steps at a time, while a worker only decodes.
//!
//! While every running request decodes and nobody can be admitted, a step changes counters and
//! nothing else, and the batch's features grow by the same amounts from step to step. Then the worker
//! *cruises*: requests are left as they were, and only how many steps have passed is counted. Three
//! kinds of steps are done one by one at their time: those in which a request takes a block or fills
//! one (a *crossing*), those in which a request ends, and the first after an arrival. The steps
//! between form a *stretch*: the latency model is asked for each, all else is done for all at once.
//! Every time and count is that of stepping one by one.

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
    /// Steps ended since the requests were last brought up to date.
    pub steps: u32,
    /// When the latest of them ended: when all requests got their latest token.
    pub last_end: Nanos,
    /// Running requests.
    requests: u64,
    /// Sum of their computed tokens at step 0.
    context: u64,
    /// The step in which the first request ends.
    finish: u32,
    crossings: Crossings,
    stretch: Stretch,
    /// A step that is made by itself is under way.
    alone: bool,
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
    start: Nanos,
    /// When each ends.
    ends: Vec<Nanos>,
    /// Of these, how many have been accounted for.
    settled: usize,
    state: StepState,
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

impl Cruise {
    /// Begins to count: all of `running` decode, and got their latest token just now.
    pub fn begin(&mut self, running: &[Sequence], block_tokens: u32, now: Nanos) {
        self.on = true;
        self.steps = 0;
        self.last_end = now;
        self.requests = running.len() as u64;
        self.context = running.iter().map(|sequence| u64::from(sequence.computed)).sum();
        let left = running.iter().map(|s| s.output_tokens - s.generated);
        self.finish = left.min().unwrap_or(0);
        self.crossings.collect(running, block_tokens, self.finish);
    }

    /// Brings the requests up to date, and ends the cruise.
    pub fn end(&mut self, running: &mut [Sequence]) {
        (self.on, self.alone) = (false, false);
        for sequence in running {
            sequence.computed += self.steps;
            sequence.generated += self.steps;
            sequence.last_token = self.last_end;
        }
    }

    /// A request ends in the step that comes.
    pub fn finishes_next(&self) -> bool {
        self.steps + 1 == self.finish
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

    /// Those who take or fill a block in the step that comes, by place, each once.
    pub fn crossing(&self) -> impl Iterator<Item = &Crossing> {
        let step = self.steps + 1 - self.crossings.passed;
        let due = self.crossings.round[self.crossings.next..].iter();
        due.take_while(move |crossing| crossing.step == step)
    }

    /// Places of those who take or fill a block next, about.
    pub fn due(&self) -> impl Iterator<Item = usize> {
        let due = self.crossings.round[self.crossings.next..].iter();
        due.take(2).map(|crossing| crossing.place as usize)
    }

    /// See `crate::ahead`.
    pub fn fetch(&self) {
        fetch(&self.on);
        fetch(&self.finish);
        fetch(&self.crossings.round);
        fetch(&self.crossings.passed);
        fetch(&self.stretch.start);
        fetch(&self.stretch.ends);
        fetch(&self.stretch.state);
    }

    /// See `crate::ahead`.
    pub fn fetch_lists(&self) {
        fetch_at(&self.crossings.round, self.crossings.next);
        fetch_at(&self.stretch.ends, 0);
    }

    /// The crossings of the step that comes have been done, and it begins.
    pub fn crossed(&mut self) {
        self.alone = true;
        self.crossings.skip(self.crossing().count());
    }

    /// Plans the steps up to the next that is done by itself; when the last one ends. `None` where
    /// not even one fits before `last`.
    pub fn plan(
        &mut self,
        now: Nanos,
        last: Nanos,
        state: StepState,
        latency: &dyn LatencyModel,
    ) -> Option<Nanos> {
        let alone = self.finish.min(self.crossings.next_step()) - 1;
        let mut batch = self.batch();
        let mut at = now;
        self.stretch.ends.clear();
        for _ in 0..(alone - self.steps).min(LONGEST) {
            at += latency.step(&batch);
            if at > last {
                break;
            }
            self.stretch.ends.push(at);
            batch.decode_context += self.requests;
        }
        (self.stretch.start, self.stretch.settled, self.stretch.state) = (now, 0, state);
        self.stretch.ends.last().copied()
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

    /// Somebody arrives: the stretch ends with the step under way. Its new end, if that is another.
    pub fn cut(&mut self, now: Nanos) -> Option<Nanos> {
        let ends = &mut self.stretch.ends;
        let under_way = ends.partition_point(|end| *end < now);
        if under_way + 1 >= ends.len() {
            return None;
        }
        ends.truncate(under_way + 1);
        ends.last().copied()
    }

    /// Accounts for the steps of the stretch that have ended by `now`; `gap` is told of the time of
    /// each and the number of requests that got a token.
    pub fn settle(&mut self, now: Nanos, mut gap: impl FnMut(Nanos, u64)) -> Option<Span> {
        let stretch = &mut self.stretch;
        let ended = stretch.ends[stretch.settled..].iter().take_while(|end| **end <= now).count();
        if ended == 0 {
            return None;
        }
        let mut at = self.last_end;
        for end in &stretch.ends[stretch.settled..stretch.settled + ended] {
            gap(*end - at, self.requests);
            at = *end;
        }
        stretch.settled += ended;
        self.steps += ended as u32;
        self.last_end = at;
        if stretch.settled == stretch.ends.len() {
            stretch.ends.clear();
            stretch.settled = 0;
        }
        let start = std::mem::replace(&mut stretch.start, at);
        Some(Span { start, end: at, state: stretch.state })
    }

    /// The step of the stretch that has not ended, for a run that stops.
    pub fn under_way(&self) -> Option<Span> {
        let end = *self.stretch.ends.get(self.stretch.settled)?;
        Some(Span { start: self.stretch.start, end, state: self.stretch.state })
    }
}

impl Crossings {
    /// Those of the first `steps` steps, at most a round.
    fn collect(&mut self, running: &[Sequence], block_tokens: u32, steps: u32) {
        (self.next, self.passed) = (0, 0);
        self.round.clear();
        for (place, sequence) in (0..).zip(running) {
            // In step s a request computes token `computed + s`: the first of a block, or its last.
            let within = sequence.computed % block_tokens;
            let fills = block_tokens - within;
            let takes = fills % block_tokens + 1;
            let at = |step| Crossing { step, place, takes: step == takes, fills: step == fills };
            self.round.push(at(fills));
            if takes != fills {
                self.round.push(at(takes));
            }
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

    fn skip(&mut self, count: usize) {
        self.next += count;
        if self.next == self.round.len() {
            self.next = 0;
            self.passed += self.block_tokens;
        }
    }
}
