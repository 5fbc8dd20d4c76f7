//! Collects what happens in a run and turns it into a [`RunSummary`].

use super::overload::QueueTrend;
use super::summary::*;
use super::tally::Tally;
use super::timeline::{StepState, Timeline};
use super::window::Window;
use crate::request::{RequestRecord, Status};
use crate::scenario::Slo;
use crate::stats::{self, ratio};
use crate::units::Nanos;

/// Everything a run leaves behind but its rows.
#[derive(Clone, Debug)]
pub struct RunOutput {
    /// `summary.json`'s entry.
    pub summary: RunSummary,
    /// Per worker and interval.
    pub timeline: Timeline,
    /// Per worker.
    pub workers: Vec<WorkerTotals>,
    /// TTFT of every completed request, milliseconds, in order of completion.
    pub ttft_ms: Vec<f64>,
    /// Time of the last arrival or end of a step.
    pub end: Nanos,
}

/// See the module's documentation.
pub struct Recorder {
    slo: Option<Slo>,
    block_tokens: u32,
    /// Load does not depend on completions, so a queue can grow without bound.
    open_loop: bool,
    window: Window,
    counts: RequestCounts,
    cache: PrefixCacheSummary,
    predicted_blocks: Option<u64>,
    ceiling_tokens: u64,
    ttft_ms: Vec<f64>,
    tpot_ms: Vec<f64>,
    e2e_ms: Vec<f64>,
    queue_ms: Vec<f64>,
    gaps: Tally,
    output_tokens: u64,
    good: u64,
    trend: QueueTrend,
    regret_blocks: u64,
    best_choices: u64,
    decisions: u64,
    workers: Vec<WorkerTotals>,
    busy: Vec<Nanos>,
    /// Per worker: when its last step ends.
    busy_until: Vec<Nanos>,
    timeline: Timeline,
}

impl Recorder {
    /// For a run on `workers` workers; `open_loop` where arrivals do not wait for completions.
    pub fn new(workers: usize, block_tokens: u32, slo: Option<Slo>, open_loop: bool) -> Recorder {
        let totals = |worker| WorkerTotals { worker, ..WorkerTotals::default() };
        Recorder {
            slo,
            block_tokens,
            open_loop,
            window: Window::default(),
            counts: RequestCounts::default(),
            cache: PrefixCacheSummary::default(),
            predicted_blocks: None,
            ceiling_tokens: 0,
            ttft_ms: Vec::new(),
            tpot_ms: Vec::new(),
            e2e_ms: Vec::new(),
            queue_ms: Vec::new(),
            gaps: Tally::default(),
            output_tokens: 0,
            good: 0,
            trend: QueueTrend::default(),
            regret_blocks: 0,
            best_choices: 0,
            decisions: 0,
            workers: (0..workers as u32).map(totals).collect(),
            busy: vec![Nanos::ZERO; workers],
            busy_until: vec![Nanos::ZERO; workers],
            timeline: Timeline::new(workers),
        }
    }

    /// The same, measuring what `window` measures only.
    pub fn measuring(self, window: Window) -> Recorder {
        Recorder { window, ..self }
    }

    /// Whether measuring begins with a request that arrives at `at`.
    pub fn opens_at(&self, at: Nanos) -> bool {
        self.window.opens_at(at)
    }

    /// A request reached the router.
    pub fn arrived(&mut self, at: Nanos) {
        if self.window.arrive(at) {
            // Of the steps under way, what is left from now on counts.
            for (busy, until) in self.busy.iter_mut().zip(&self.busy_until) {
                *busy = until.saturating_sub(at);
            }
        }
        self.counts.arrived += u64::from(self.window.is_open());
    }

    /// A request was routed.
    pub fn decided(&mut self, record: &RequestRecord) {
        if !self.window.measures(record.arrival) {
            return;
        }
        let regret = record.best_overlap_blocks - record.overlap_blocks;
        self.decisions += 1;
        self.regret_blocks += u64::from(regret);
        self.best_choices += u64::from(regret == 0);
        let worker = record.worker.expect("it was routed") as usize;
        self.workers[worker].requests += 1;
    }

    /// A worker is executing steps from `start` to `end`.
    pub fn busy(&mut self, worker: usize, start: Nanos, end: Nanos, state: StepState) {
        let counted = start.max(self.window.opened().unwrap_or(start)).min(end);
        self.busy[worker] += end - counted;
        self.busy_until[worker] = end;
        self.timeline.step(worker, start, end, state);
    }

    /// See `crate::ahead`: a step of `worker` begins or ends soon.
    pub fn fetch(&self, worker: usize, now: Nanos) {
        self.timeline.fetch(worker, now);
    }

    /// Requests were preempted on a worker.
    pub fn preempted(&mut self, worker: usize, requests: u32) {
        if self.window.is_open() {
            self.workers[worker].preemptions += u64::from(requests);
        }
    }

    /// A request was admitted for the first time.
    pub fn admitted(&mut self, worker: usize, now: Nanos, arrival: Nanos, prompt: u32, hit: u32) {
        self.trend.add(arrival, now - arrival);
        self.timeline.admitted(worker, now, prompt, hit);
    }

    /// `count` gaps between consecutive output tokens of a request.
    pub fn gap(&mut self, gap: Nanos, count: u64) {
        if self.window.is_open() {
            self.gaps.record_n(gap.0, count);
        }
    }

    /// A request reached its end, whichever.
    pub fn ended(&mut self, record: &RequestRecord) {
        if !self.window.measures(record.arrival) {
            return;
        }
        match record.status {
            Status::Completed => self.completed(record),
            Status::Rejected => self.counts.rejected += 1,
            Status::Unfinished => self.counts.unfinished += 1,
        }
    }

    fn completed(&mut self, record: &RequestRecord) {
        self.counts.completed += 1;
        let (Some(ttft), Some(e2e), Some(queue)) =
            (record.ttft(), record.e2e(), record.queue_time())
        else {
            unreachable!("a completed request has all its times");
        };
        let (ttft, e2e) = (ttft.as_ms_f64(), e2e.as_ms_f64());
        let tpot = record.tpot_ns().map(|ns| ns / 1e6);
        self.ttft_ms.push(ttft);
        self.e2e_ms.push(e2e);
        self.queue_ms.push(queue.as_ms_f64());
        self.tpot_ms.extend(tpot);
        self.output_tokens += u64::from(record.output_tokens);
        self.good += u64::from(self.slo.is_some_and(|slo| slo.met(ttft, tpot, e2e)));
        self.cache.prompt_tokens += u64::from(record.prompt_tokens);
        self.cache.hit_tokens += u64::from(record.hit_tokens);
        // Where workers share a cache, a later arrival can be computed first and be hit.
        self.ceiling_tokens += u64::from(record.ceiling_tokens.max(record.hit_tokens));
        if let Some(blocks) = record.predicted_overlap_blocks {
            // The last token is always computed, so a whole prompt in the cache is no whole hit.
            let most = (record.prompt_tokens - 1) / self.block_tokens;
            *self.predicted_blocks.get_or_insert(0) += u64::from(blocks.min(most));
        }
        let worker = &mut self.workers[record.worker.expect("it was routed") as usize];
        worker.prompt_tokens += u64::from(record.prompt_tokens);
        worker.output_tokens += u64::from(record.output_tokens);
        worker.hit_tokens += u64::from(record.hit_tokens);
    }

    /// The summary. `end` is the time of the last arrival or end of a step; `evicted` blocks per cache.
    pub fn finish(mut self, router: &str, seed: u64, end: Nanos, evicted: &[u64]) -> RunOutput {
        let duration_s = end.saturating_sub(self.window.opened().unwrap_or(end)).as_secs_f64();
        self.settle_workers(duration_s, evicted);
        let request_latency = Distribution::from_values("ms", std::mem::take(&mut self.e2e_ms));
        let queue_time = Distribution::from_values("ms", std::mem::take(&mut self.queue_ms));
        let overloaded =
            self.open_loop && self.trend.overloaded(queue_time.p50, request_latency.p50);
        let summary = RunSummary {
            router: router.into(),
            label: router.into(),
            seed,
            requests: self.counts.clone(),
            duration_s,
            overloaded,
            time_to_first_token: Distribution::from_values("ms", self.ttft_ms.clone()),
            inter_token_latency: self.gaps.distribution("ms", 1e6),
            time_per_output_token: Distribution::from_values(
                "ms",
                std::mem::take(&mut self.tpot_ms),
            ),
            request_latency,
            queue_time,
            request_throughput: Rate::per_second("requests/s", self.counts.completed, duration_s),
            input_token_throughput: Rate::per_second(
                "tokens/s",
                self.cache.prompt_tokens,
                duration_s,
            ),
            output_token_throughput: Rate::per_second("tokens/s", self.output_tokens, duration_s),
            goodput: self.slo.map(|_| Rate::per_second("requests/s", self.good, duration_s)),
            prefix_cache: self.prefix_cache(evicted.iter().sum()),
            load: self.load(),
            routing: self.routing(),
        };
        RunOutput {
            summary,
            timeline: self.timeline,
            workers: self.workers,
            ttft_ms: self.ttft_ms,
            end,
        }
    }

    /// What is known of each worker at the end only. A shared cache's evictions are nobody's.
    fn settle_workers(&mut self, duration_s: f64, evicted: &[u64]) {
        let own = evicted.len() == self.workers.len();
        for (place, worker) in self.workers.iter_mut().enumerate() {
            worker.evicted_blocks = if own { evicted[place] } else { 0 };
            worker.busy_fraction = ratio(self.busy[place].as_secs_f64(), duration_s);
        }
    }

    fn prefix_cache(&self, evicted_blocks: u64) -> PrefixCacheSummary {
        let block = u64::from(self.block_tokens);
        let prompt = self.cache.prompt_tokens as f64;
        PrefixCacheSummary {
            hit_rate: ratio(self.cache.hit_tokens as f64, prompt),
            hit_blocks: self.cache.hit_tokens / block,
            predicted_hit_tokens: self.predicted_blocks.map(|blocks| blocks * block),
            evicted_blocks,
            ceiling_hit_rate: ratio(self.ceiling_tokens as f64, prompt),
            ..self.cache.clone()
        }
    }

    fn load(&self) -> LoadSummary {
        let busy: Vec<f64> = self.workers.iter().map(|worker| worker.busy_fraction).collect();
        let most = busy.iter().copied().fold(0.0, f64::max);
        let least = busy.iter().copied().fold(f64::INFINITY, f64::min);
        LoadSummary {
            busy_fraction_mean: stats::mean(&busy),
            busy_fraction_spread: most - least.min(most),
            busy_fraction_cv: stats::coefficient_of_variation(&busy),
            requests_per_worker: self.workers.iter().map(|worker| worker.requests).collect(),
            tokens_per_worker: self
                .workers
                .iter()
                .map(|worker| worker.prompt_tokens + worker.output_tokens)
                .collect(),
            preemptions: self.workers.iter().map(|worker| worker.preemptions).sum(),
        }
    }

    fn routing(&self) -> RoutingSummary {
        let decisions = self.decisions as f64;
        RoutingSummary {
            regret_blocks_avg: ratio(self.regret_blocks as f64, decisions),
            best_overlap_share: ratio(self.best_choices as f64, decisions),
            decisions: self.decisions,
        }
    }
}
