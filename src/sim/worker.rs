//! One worker: continuous batching with chunked prefill over a paged KV cache (vLLM V1's scheduler).
//!
//! A step: running requests first, in order of admission, each as many tokens as it lacks and the
//! budget allows (decode: one), taking blocks chunk by chunk; where none is left, the latest admitted
//! request is preempted. Then, unless something was preempted, waiting requests in order of arrival:
//! one enters if blocks for its whole known sequence, less its active hits, are available. At the end
//! of the step every request whose known sequence is computed gets one more token.
//!
//! Source: `shared/reference/vllm.md`; where `dynamo-mocker` differs, `shared/reference/dynamo.md` §2.2b.

mod ahead;
mod begin;
mod blocked;
mod cruise;
mod lag;
mod report;
mod sequence;

pub use cruise::{Due, Passed, Span};
pub use lag::Known;
pub use report::{Admission, StepReport};
pub use sequence::Sequence;

use super::latency::{BatchShape, LatencyModel};
use crate::cache::BlockCache;
use crate::metrics::timeline::StepState;
use crate::request::{RequestRecord, Status};
use crate::scenario::Engine;
use crate::units::Nanos;
use blocked::Blocked;
use cruise::Cruise;
use std::collections::VecDeque;

/// What a worker is; equal for all workers of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct WorkerConfig {
    /// Tokens per block.
    pub block_tokens: u32,
    /// Token budget of a step.
    pub max_batched_tokens: u32,
    /// Running requests at most.
    pub max_seqs: u32,
    /// Whose rules.
    pub engine: Engine,
    /// The KV cache is its own: what it does not change stays as it is.
    pub own_cache: bool,
    /// Steps in which it only decodes may be made many at a time.
    pub cruises: bool,
    /// What only its own requests can see of its cache may be put down late.
    pub lags: bool,
}

/// What a worker does next.
pub enum Work {
    /// Nothing can be done: the cache is shared and others hold the blocks.
    Nothing,
    /// A step that takes so long.
    Step(Nanos),
    /// Steps that change nothing but counters, the last of which ends then.
    Stretch(Nanos),
}

/// See the module's documentation.
pub struct Worker {
    config: WorkerConfig,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    /// A step is under way.
    pub busy: bool,
    blocked: Blocked,
    cruise: Cruise,
    /// It lags now.
    lags: bool,
    /// Requests here that are not private.
    public: u32,
}

impl Worker {
    /// An idle worker.
    pub fn new(config: WorkerConfig) -> Worker {
        Worker {
            config,
            waiting: VecDeque::new(),
            running: Vec::new(),
            busy: false,
            blocked: Blocked::default(),
            cruise: Cruise::default(),
            lags: false,
            public: 0,
        }
    }

    /// A request arrives; it waits for the next step at least.
    pub fn enqueue(&mut self, sequence: Sequence) {
        self.public += u32::from(!sequence.private);
        self.waiting.push_back(sequence);
    }

    /// Whether there is anything to do.
    pub fn has_work(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// Blocks that running requests hold, shared ones counted once per request.
    pub fn leased_blocks(&self) -> u64 {
        let leased = self.running.iter().map(|sequence| u64::from(sequence.lease.blocks()));
        leased.sum::<u64>() + u64::from(self.cruise.untold())
    }

    /// For the timeline, and for those who look at its metrics; not of a worker that lags.
    pub fn state(&self, cache: &BlockCache) -> StepState {
        StepState {
            running: self.running.len() as u64,
            waiting: self.waiting.len() as u64,
            used_blocks: u64::from(cache.in_use()),
        }
    }

    /// A step in which anything may happen.
    fn begin_step(
        &mut self,
        now: Nanos,
        cache: &mut BlockCache,
        latency: &dyn LatencyModel,
        report: &mut StepReport,
    ) -> Work {
        let (budget, shape) = (self.config.max_batched_tokens, BatchShape::default());
        let mut step = Step { budget, shape, report };
        self.schedule_running(&mut step, cache);
        self.blocked.observe(cache);
        if step.report.preempted == 0 {
            self.admit_waiting(&mut step, now, cache);
        }
        if step.budget == self.config.max_batched_tokens {
            return Work::Nothing;
        }
        self.busy = true;
        Work::Step(latency.step(&step.shape))
    }

    fn schedule_running(&mut self, step: &mut Step, cache: &mut BlockCache) {
        for sequence in &mut self.running {
            sequence.scheduled = 0;
        }
        let mut at = 0;
        while at < self.running.len() && step.budget > 0 {
            let sequence = &self.running[at];
            let new = (sequence.known() - sequence.computed).min(step.budget);
            if !self.take_blocks(at, new, step.report, cache) {
                return;
            }
            step.schedule(&mut self.running[at], new, self.config.engine);
            at += 1;
        }
    }

    /// Blocks for `new` more tokens of a running request, preempting the latest admitted ones as
    /// long as there are too few; false where that was the request itself.
    fn take_blocks(
        &mut self,
        at: usize,
        new: u32,
        report: &mut StepReport,
        cache: &mut BlockCache,
    ) -> bool {
        loop {
            let sequence = &mut self.running[at];
            let tokens = sequence.computed + new;
            let (blocks, mut full) = self.config.blocks_of(tokens);
            if self.lags && sequence.decodes() {
                full = sequence.lease.stored();
            }
            if cache.extend(&mut sequence.lease, &sequence.runs, blocks, full) {
                return true;
            }
            self.preempt_latest(cache);
            report.preempted += 1;
            if self.running.len() == at {
                return false;
            }
        }
    }

    fn preempt_latest(&mut self, cache: &mut BlockCache) {
        debug_assert!(!self.lags, "blocks are not scarce where a worker lags");
        let mut victim = self.running.pop().expect("the request that lacks a block is running");
        cache.release(std::mem::take(&mut victim.lease));
        victim.computed = 0;
        victim.record.preemptions += 1;
        self.blocked.forget();
        self.waiting.push_front(victim);
    }

    fn admit_waiting(&mut self, step: &mut Step, now: Nanos, cache: &mut BlockCache) {
        while step.budget > 0 && self.running.len() < self.config.max_seqs as usize {
            let Some(sequence) = self.waiting.front_mut() else {
                return;
            };
            if self.blocked.stays(sequence, cache) {
                return;
            }
            let known = sequence.known();
            let found = cache.lookup(&sequence.runs, (known - 1) / self.config.block_tokens);
            let needs = self.config.blocks_of(known).0 - found.active;
            if needs > cache.available() {
                if self.config.own_cache {
                    self.blocked.remember(sequence, needs);
                }
                return;
            }
            self.blocked.forget();
            let hit = found.blocks * self.config.block_tokens;
            let new = (known - hit).min(step.budget);
            sequence.lease = cache.acquire(&sequence.runs, found.blocks);
            sequence.computed = hit;
            let (blocks, full) = self.config.blocks_of(hit + new);
            let fits = cache.extend(&mut sequence.lease, &sequence.runs, blocks, full);
            debug_assert!(fits, "there is room for the whole sequence");
            if sequence.record.admitted.is_none() {
                sequence.record.admitted = Some(now);
                sequence.record.hit_tokens = hit;
                step.report.admitted.push(Admission {
                    arrival: sequence.record.arrival,
                    prompt_tokens: sequence.prompt_tokens,
                    hit_tokens: hit,
                });
            }
            let mut sequence = self.waiting.pop_front().expect("its front was looked at");
            step.schedule(&mut sequence, new, self.config.engine);
            self.running.push(sequence);
        }
    }

    /// Ends what [`Worker::begin`] began: tokens are made, finished requests leave. `report` is of that
    /// alone afterwards.
    pub fn end(&mut self, now: Nanos, cache: &mut BlockCache, report: &mut StepReport) {
        report.clear();
        self.busy = false;
        if self.cruise.on {
            report.gaps.extend(self.cruise.step(now));
            if self.cruise.has_finished() {
                self.cruise.end(&mut self.running);
                self.remove_finished(now, cache, report);
            }
            return;
        }
        let mut any_finished = false;
        for sequence in &mut self.running {
            sequence.computed += sequence.scheduled;
            if sequence.scheduled == 0 || sequence.computed < sequence.known() {
                continue;
            }
            if sequence.generated == 0 {
                sequence.record.first_token = Some(now);
                report.first_tokens.push(sequence.record.id);
            } else {
                report.gap(now - sequence.last_token);
            }
            sequence.generated += 1;
            sequence.last_token = now;
            any_finished |= sequence.generated == sequence.output_tokens;
        }
        if any_finished {
            self.remove_finished(now, cache, report);
        }
    }

    fn remove_finished(&mut self, now: Nanos, cache: &mut BlockCache, report: &mut StepReport) {
        let done = |s: &mut Sequence| s.generated == s.output_tokens;
        for mut sequence in self.running.extract_if(.., done) {
            let full = sequence.computed / self.config.block_tokens;
            cache.fill(&mut sequence.lease, &sequence.runs, full);
            cache.release(std::mem::take(&mut sequence.lease));
            sequence.record.finished = Some(now);
            sequence.record.status = Status::Completed;
            self.public -= u32::from(!sequence.private);
            report.finished.push(sequence);
        }
    }

    /// Takes every request still here, for a run that was interrupted.
    pub fn abandon(&mut self) -> Vec<RequestRecord> {
        let running = self.running.drain(..);
        running.chain(self.waiting.drain(..)).map(|sequence| *sequence.record).collect()
    }
}

impl WorkerConfig {
    /// Blocks that hold `tokens` tokens, and how many of them are full.
    fn blocks_of(&self, tokens: u32) -> (u32, u32) {
        let full = tokens / self.block_tokens;
        (full + u32::from(full * self.block_tokens < tokens), full)
    }
}

/// A step being scheduled.
struct Step<'a> {
    budget: u32,
    shape: BatchShape,
    report: &'a mut StepReport,
}

impl Step<'_> {
    fn schedule(&mut self, sequence: &mut Sequence, new: u32, engine: Engine) {
        self.budget -= new;
        sequence.scheduled = new;
        match engine {
            Engine::Vllm => self.add_as_computed(sequence, new),
            Engine::DynamoMocker => self.add_as_mocker(sequence, new),
        }
    }

    /// A request that has output and lacks one token decodes; everything else is prefill.
    fn add_as_computed(&mut self, sequence: &Sequence, new: u32) {
        if sequence.decodes() {
            self.shape.decode(sequence.known());
        } else {
            self.shape.prefill(sequence.computed, new);
        }
    }

    /// Only prompt tokens count as prefill; whoever has output and gets a token counts as decoding.
    fn add_as_mocker(&mut self, sequence: &Sequence, new: u32) {
        let (computed, prompt) = (sequence.computed, sequence.prompt_tokens);
        if computed < prompt {
            self.shape.prefill(computed, (computed + new).min(prompt) - computed);
        }
        if sequence.generated > 0 && computed + new == sequence.known() {
            self.shape.decode(sequence.known());
        }
    }
}
