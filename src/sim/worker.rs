//! One worker: continuous batching with chunked prefill over a paged KV cache (vLLM V1's scheduler).
//!
//! A step: running requests first, in order of admission, each as many tokens as it lacks and the
//! budget allows (decode: one), taking blocks chunk by chunk; where none is left, the latest admitted
//! request is preempted. Then, unless something was preempted, waiting requests in order of arrival:
//! one enters if blocks for its whole known sequence, less its active hits, are available. At the end
//! of the step every request whose known sequence is computed gets one more token.
//!
//! Source: `shared/reference/vllm.md`; where `dynamo-mocker` differs, `shared/reference/dynamo.md` §2.2b.

use super::latency::{BatchShape, LatencyModel};
use crate::cache::{BlockCache, Lease};
use crate::metrics::timeline::StepState;
use crate::prompt::BlockRun;
use crate::request::{RequestId, RequestRecord, Status};
use crate::scenario::Engine;
use crate::units::Nanos;
use std::collections::VecDeque;
use std::sync::Arc;

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
}

/// A request on a worker.
pub struct Sequence {
    /// What is measured about it; travels with it.
    pub record: RequestRecord,
    /// Full blocks of prompt and output.
    runs: Arc<[BlockRun]>,
    lease: Lease,
    /// Tokens whose KV is in the cache.
    computed: u32,
    /// Output tokens made.
    generated: u32,
    /// Tokens computed in the current step.
    scheduled: u32,
    /// When the latest output token was made.
    last_token: Nanos,
}

impl Sequence {
    /// A request that has just been routed; `runs` cover prompt and output.
    pub fn new(record: RequestRecord, runs: Arc<[BlockRun]>) -> Sequence {
        Sequence {
            record,
            runs,
            lease: Lease::default(),
            computed: 0,
            generated: 0,
            scheduled: 0,
            last_token: Nanos::ZERO,
        }
    }

    /// Tokens known so far: prompt and output made.
    fn known(&self) -> u32 {
        self.record.prompt_tokens + self.generated
    }
}

/// A request that was admitted for the first time.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// When it arrived.
    pub arrival: Nanos,
    /// Length of its prompt.
    pub prompt_tokens: u32,
    /// Prompt tokens reused.
    pub hit_tokens: u32,
}

/// What a step did; reused from step to step.
#[derive(Default)]
pub struct StepReport {
    /// First admissions, in order (filled when the step begins).
    pub admitted: Vec<Admission>,
    /// Requests preempted (filled when the step begins).
    pub preempted: u32,
    /// Requests that got their first token, in order of admission.
    pub first_tokens: Vec<RequestId>,
    /// Gaps between consecutive tokens of a request: (gap, how many).
    pub gaps: Vec<(Nanos, u64)>,
    /// Requests that got their last token.
    pub finished: Vec<RequestRecord>,
}

impl StepReport {
    fn clear(&mut self) {
        self.admitted.clear();
        self.preempted = 0;
        self.first_tokens.clear();
        self.gaps.clear();
        self.finished.clear();
    }

    fn gap(&mut self, gap: Nanos) {
        match self.gaps.last_mut() {
            Some((same, count)) if *same == gap => *count += 1,
            _ => self.gaps.push((gap, 1)),
        }
    }
}

/// See the module's documentation.
pub struct Worker {
    config: WorkerConfig,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    /// A step is under way.
    pub busy: bool,
    /// What the latest step did.
    pub report: StepReport,
}

impl Worker {
    /// An idle worker.
    pub fn new(config: WorkerConfig) -> Worker {
        Worker {
            config,
            waiting: VecDeque::new(),
            running: Vec::new(),
            busy: false,
            report: StepReport::default(),
        }
    }

    /// A request arrives; it waits for the next step at least.
    pub fn enqueue(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Whether there is anything to do.
    pub fn has_work(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// Blocks that running requests hold, shared ones counted once per request.
    pub fn leased_blocks(&self) -> u64 {
        self.running.iter().map(|sequence| u64::from(sequence.lease.blocks())).sum()
    }

    /// For the timeline.
    pub fn state(&self, cache: &BlockCache) -> StepState {
        StepState {
            running: self.running.len() as u64,
            waiting: self.waiting.len() as u64,
            used_blocks: u64::from(cache.in_use()),
        }
    }

    /// Schedules a step that begins at `now`; its duration, or `None` where nothing can be done
    /// (the cache is shared and others hold the blocks).
    pub fn begin_step(
        &mut self,
        now: Nanos,
        cache: &mut BlockCache,
        latency: &dyn LatencyModel,
    ) -> Option<Nanos> {
        self.report.clear();
        let mut step =
            Step { budget: self.config.max_batched_tokens, shape: BatchShape::default() };
        self.schedule_running(&mut step, cache);
        if self.report.preempted == 0 {
            self.admit_waiting(&mut step, now, cache);
        }
        if step.budget == self.config.max_batched_tokens {
            return None;
        }
        self.busy = true;
        Some(latency.step(&step.shape))
    }

    fn schedule_running(&mut self, step: &mut Step, cache: &mut BlockCache) {
        for sequence in &mut self.running {
            sequence.scheduled = 0;
        }
        let mut at = 0;
        while at < self.running.len() && step.budget > 0 {
            let sequence = &self.running[at];
            let new = (sequence.known() - sequence.computed).min(step.budget);
            if !self.take_blocks(at, new, cache) {
                return;
            }
            step.schedule(&mut self.running[at], new, self.config.engine);
            at += 1;
        }
    }

    /// Blocks for `new` more tokens of a running request, preempting the latest admitted ones as
    /// long as there are too few; false where that was the request itself.
    fn take_blocks(&mut self, at: usize, new: u32, cache: &mut BlockCache) -> bool {
        loop {
            let sequence = &mut self.running[at];
            let tokens = sequence.computed + new;
            let (blocks, full) = self.config.blocks_of(tokens);
            if cache.extend(&mut sequence.lease, &sequence.runs, blocks, full) {
                return true;
            }
            self.preempt_latest(cache);
            if self.running.len() == at {
                return false;
            }
        }
    }

    fn preempt_latest(&mut self, cache: &mut BlockCache) {
        let mut victim = self.running.pop().expect("the request that lacks a block is running");
        cache.release(std::mem::take(&mut victim.lease));
        victim.computed = 0;
        victim.record.preemptions += 1;
        self.report.preempted += 1;
        self.waiting.push_front(victim);
    }

    fn admit_waiting(&mut self, step: &mut Step, now: Nanos, cache: &mut BlockCache) {
        while step.budget > 0 && self.running.len() < self.config.max_seqs as usize {
            let Some(sequence) = self.waiting.front_mut() else {
                return;
            };
            let known = sequence.known();
            let found = cache.lookup(&sequence.runs, (known - 1) / self.config.block_tokens);
            if self.config.blocks_of(known).0 - found.active > cache.available() {
                return;
            }
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
                self.report.admitted.push(Admission {
                    arrival: sequence.record.arrival,
                    prompt_tokens: sequence.record.prompt_tokens,
                    hit_tokens: hit,
                });
            }
            let mut sequence = self.waiting.pop_front().expect("its front was looked at");
            step.schedule(&mut sequence, new, self.config.engine);
            self.running.push(sequence);
        }
    }

    /// Ends the step that [`Worker::begin_step`] began: tokens are made, finished requests leave.
    pub fn end_step(&mut self, now: Nanos, cache: &mut BlockCache) {
        self.busy = false;
        let mut any_finished = false;
        for sequence in &mut self.running {
            sequence.computed += sequence.scheduled;
            if sequence.scheduled == 0 || sequence.computed < sequence.known() {
                continue;
            }
            if sequence.generated == 0 {
                sequence.record.first_token = Some(now);
                self.report.first_tokens.push(sequence.record.id);
            } else {
                self.report.gap(now - sequence.last_token);
            }
            sequence.generated += 1;
            sequence.last_token = now;
            any_finished |= sequence.generated == sequence.record.output_tokens;
        }
        if any_finished {
            self.remove_finished(now, cache);
        }
    }

    fn remove_finished(&mut self, now: Nanos, cache: &mut BlockCache) {
        let done = |s: &mut Sequence| s.generated == s.record.output_tokens;
        for mut sequence in self.running.extract_if(.., done) {
            cache.release(sequence.lease);
            sequence.record.finished = Some(now);
            sequence.record.status = Status::Completed;
            self.report.finished.push(sequence.record);
        }
    }

    /// Takes every request still here, for a run that was interrupted.
    pub fn abandon(&mut self) -> Vec<RequestRecord> {
        let running = self.running.drain(..);
        running.chain(self.waiting.drain(..)).map(|sequence| sequence.record).collect()
    }
}

impl WorkerConfig {
    /// Blocks that hold `tokens` tokens, and how many of them are full.
    fn blocks_of(&self, tokens: u32) -> (u32, u32) {
        (tokens.div_ceil(self.block_tokens), tokens / self.block_tokens)
    }
}

/// A step being scheduled.
struct Step {
    budget: u32,
    shape: BatchShape,
}

impl Step {
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
        if sequence.generated > 0 && sequence.computed + 1 == sequence.known() {
            self.shape.decode(sequence.known());
        } else {
            self.shape.prefill(sequence.computed, new);
        }
    }

    /// Only prompt tokens count as prefill; whoever has output and gets a token counts as decoding.
    fn add_as_mocker(&mut self, sequence: &Sequence, new: u32) {
        let (computed, prompt) = (sequence.computed, sequence.record.prompt_tokens);
        if computed < prompt {
            self.shape.prefill(computed, (computed + new).min(prompt) - computed);
        }
        if sequence.generated > 0 && computed + new == sequence.known() {
            self.shape.decode(sequence.known());
        }
    }
}
