//! Collects what happens in a live run and turns it into a [`LiveRun`].
//!
//! **The rule.** A request sent in the warm-up is counted as such and in the timeline, and measured
//! nowhere. Of the others every one is counted by how it ended; latencies, lengths and hits are those
//! of completed requests. Rates are taken from the first send to the last end of measured requests.
//! Memory does not grow with the number of requests.

use super::health;
use super::record::{LiveRecord, Outcome};
use super::server::ServerMetrics;
use super::summary::*;
use super::timeline::LiveTimeline;
use super::totals::{Latencies, Totals, ms, tally};
use crate::metrics::summary::{Distribution, Rate, RequestCounts};
use crate::metrics::tally::Tally;
use crate::scenario::Slo;
use crate::stats::ratio;
use crate::units::Nanos;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// What is known of a run at its end only, and not from its requests.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// Router mode or arm; `live` where there is only one.
    pub router: String,
    /// What plots and tables call it.
    pub label: String,
    /// Seed of the workload.
    pub seed: u64,
    /// Ended early.
    pub interrupted: bool,
    /// User and system time of this process during the run, seconds.
    pub cpu_s: f64,
    /// Threads that drove requests, at least 1.
    pub threads: usize,
    /// Connections opened.
    pub connections: u64,
    /// Arrival times are the kernel's.
    pub kernel_timestamps: bool,
    /// What the servers' own metrics said.
    pub server: Option<ServerMetrics>,
    /// What makes the routing doubtful, in plain words.
    pub doubts: Vec<String>,
}

/// Everything a live run leaves behind but its rows.
#[derive(Clone, Debug)]
pub struct LiveOutput {
    /// `summary.json`'s entry.
    pub run: LiveRun,
    /// TTFT of completed requests from the actual send, ns.
    pub ttft: Histogram<u64>,
    /// The same from the intended send.
    pub scheduled_ttft: Histogram<u64>,
    /// Per endpoint and interval.
    pub timeline: LiveTimeline,
    /// Per endpoint.
    pub workers: Vec<LiveWorker>,
}

/// One endpoint over the measured part of a run.
#[derive(Clone, Debug, Default)]
pub struct LiveWorker {
    /// How its requests ended.
    pub requests: RequestCounts,
    /// Prompt tokens of its completed requests, the server's count where it gave one.
    pub prompt_tokens: u64,
    /// Output tokens of its completed requests.
    pub output_tokens: u64,
    /// Of the prompt tokens, cached by the server's word; `None` where no response ever said.
    pub hit_tokens: Option<u64>,
    /// What one infinite cache shared by all endpoints would have held.
    pub expected_hit_tokens: u64,
    /// TTFT of its completed requests, milliseconds.
    pub ttft: Distribution,
}

/// First and last moment of something.
#[derive(Clone, Copy, Default)]
struct Span {
    first: Option<Nanos>,
    last: Nanos,
}

impl Span {
    fn add(&mut self, record: &LiveRecord) {
        let first = [self.first, record.sent].into_iter().flatten().min();
        self.first = first;
        self.last = self.last.max(record.ended);
    }

    fn seconds(self) -> f64 {
        self.first.map_or(0.0, |first| self.last.saturating_sub(first).as_secs_f64())
    }
}

/// See the module's documentation.
pub struct LiveRecorder {
    slo: Option<Slo>,
    counts: RequestCounts,
    failures: BTreeMap<String, u64>,
    warm_up: u64,
    /// Of all requests, and of the measured ones.
    whole: Span,
    measured: Span,
    latencies: Latencies,
    totals: Totals,
    good: u64,
    /// Some answer held reasoning.
    reasoned: bool,
    /// Some response, warm-up included, said how many tokens were cached: where others do not, they
    /// mean none (vLLM leaves out zeros).
    tells_hits: bool,
    in_flight: u64,
    max_in_flight: u64,
    chunks: u64,
    coalesced: u64,
    workers: Vec<LiveWorker>,
    worker_ttft: Vec<Tally>,
    timeline: LiveTimeline,
}

impl LiveRecorder {
    /// For a run against so many endpoints.
    pub fn new(endpoints: usize, slo: Option<Slo>) -> LiveRecorder {
        LiveRecorder {
            slo,
            counts: RequestCounts::default(),
            failures: BTreeMap::new(),
            warm_up: 0,
            whole: Span::default(),
            measured: Span::default(),
            latencies: Latencies::default(),
            totals: Totals::default(),
            good: 0,
            reasoned: false,
            tells_hits: false,
            in_flight: 0,
            max_in_flight: 0,
            chunks: 0,
            coalesced: 0,
            workers: vec![LiveWorker::default(); endpoints],
            worker_ttft: vec![Tally::default(); endpoints],
            timeline: LiveTimeline::new(endpoints),
        }
    }

    /// A request is under way, of the warm-up or not.
    pub fn sent(&mut self) {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    /// Requests between [`LiveRecorder::sent`] and [`LiveRecorder::ended`].
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// How requests ended so far, warm-up excluded.
    pub fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// A gap between two chunks of a request that were read apart, ns. Not for the warm-up.
    pub fn gap(&mut self, ns: u64) {
        self.latencies.gaps.record(ns);
    }

    /// Many such gaps, tallied elsewhere.
    pub fn gaps(&mut self, ns: &Tally) {
        self.latencies.gaps.merge(ns);
    }

    /// A timer of the event loop fired so much too late, ns.
    pub fn loop_delay(&mut self, ns: u64) {
        self.latencies.loop_delay.record(ns);
    }

    /// Many such delays, tallied elsewhere.
    pub fn loop_delays(&mut self, ns: &Tally) {
        self.latencies.loop_delay.merge(ns);
    }

    /// A request ended, whichever way.
    pub fn ended(&mut self, record: &LiveRecord) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.whole.add(record);
        self.timeline.ended(record);
        self.tells_hits |= record.hit_tokens().is_some();
        if record.warm_up {
            self.warm_up += 1;
            return;
        }
        self.measured.add(record);
        self.chunks += u64::from(record.chunks);
        self.coalesced += u64::from(record.coalesced);
        let Latencies { send_lag, read_lag, .. } = &mut self.latencies;
        tally(send_lag, record.send_lag());
        tally(read_lag, record.read_lag);
        count(&mut self.counts, record.outcome);
        count(&mut self.workers[record.endpoint as usize].requests, record.outcome);
        match record.outcome {
            Outcome::Completed => self.completed(record),
            Outcome::Failed(why) => *self.failures.entry(why.to_string()).or_insert(0) += 1,
            Outcome::Cancelled => {}
        }
    }

    fn completed(&mut self, record: &LiveRecord) {
        let reasoning = record.usage.and_then(|usage| usage.reasoning_tokens).unwrap_or(0);
        self.reasoned |= reasoning > 0 || record.first_output != record.first_token;
        self.totals.add(record, reasoning);
        self.latencies.add(record);
        self.good += u64::from(self.slo.is_some_and(|slo| is_good(slo, record)));
        let endpoint = record.endpoint as usize;
        let worker = &mut self.workers[endpoint];
        worker.prompt_tokens += u64::from(record.prompt_tokens());
        worker.output_tokens += u64::from(record.output_tokens);
        worker.expected_hit_tokens += u64::from(record.expected_hit_tokens);
        *worker.hit_tokens.get_or_insert(0) += u64::from(record.hit_tokens().unwrap_or(0));
        tally(&mut self.worker_ttft[endpoint], record.ttft());
    }

    /// The summary, with what else is known of the run.
    pub fn finish(mut self, facts: RunFacts) -> LiveOutput {
        for (worker, ttft) in self.workers.iter_mut().zip(&self.worker_ttft) {
            worker.ttft = ms(ttft);
            worker.hit_tokens = self.tells_hits.then(|| worker.hit_tokens.unwrap_or(0));
        }
        let mut run = self.run(&facts);
        run.client = self.client(&facts);
        run.router = facts.router;
        run.label = facts.label;
        run.server = facts.server;
        run.client.warnings = health::warnings(&run);
        run.client.warnings.extend(facts.doubts);
        LiveOutput {
            run,
            ttft: self.latencies.ttft.into_histogram(),
            scheduled_ttft: self.latencies.scheduled_ttft.into_histogram(),
            timeline: self.timeline,
            workers: self.workers,
        }
    }

    fn run(&self, facts: &RunFacts) -> LiveRun {
        let (latencies, duration_s) = (&self.latencies, self.measured.seconds());
        let rate = |unit, count| Rate::per_second(unit, count, duration_s);
        LiveRun {
            seed: facts.seed,
            requests: self.counts.clone(),
            failures: self.failures.clone(),
            duration_s,
            warm_up_requests: self.warm_up,
            interrupted: facts.interrupted,
            time_to_first_token: ms(&latencies.ttft),
            scheduled_time_to_first_token: ms(&latencies.scheduled_ttft),
            time_to_first_output_token: self.reasoned.then(|| ms(&latencies.first_output)),
            inter_token_latency: ms(&latencies.gaps),
            time_per_output_token: ms(&latencies.tpot),
            request_latency: ms(&latencies.e2e),
            scheduled_request_latency: ms(&latencies.scheduled_e2e),
            request_throughput: rate("requests/s", self.counts.completed),
            input_token_throughput: rate("tokens/s", self.totals.prompt),
            output_token_throughput: rate("tokens/s", self.totals.output),
            goodput: self.slo.map(|_| rate("requests/s", self.good)),
            prefix_cache: self.totals.cache(self.tells_hits, facts.server.as_ref()),
            lengths: self.totals.lengths(self.counts.completed),
            load: self.load(),
            ..LiveRun::default()
        }
    }

    fn load(&self) -> LiveLoad {
        let workers = self.workers.iter();
        let tokens = |worker: &LiveWorker| worker.prompt_tokens + worker.output_tokens;
        LiveLoad {
            requests_per_worker: workers.clone().map(|worker| worker.requests.arrived).collect(),
            tokens_per_worker: workers.map(tokens).collect(),
        }
    }

    /// The processor time covers the warm-up too, and so must what it is divided by.
    fn client(&self, facts: &RunFacts) -> ClientHealth {
        let requests = (self.counts.arrived + self.warm_up) as f64;
        let thread_s = self.whole.seconds() * facts.threads.max(1) as f64;
        ClientHealth {
            send_lag: ms(&self.latencies.send_lag),
            read_lag: ms(&self.latencies.read_lag),
            loop_delay: ms(&self.latencies.loop_delay),
            cpu_s: facts.cpu_s,
            cpu_per_request_ms: 1e3 * ratio(facts.cpu_s, requests),
            cpu_fraction: ratio(facts.cpu_s, thread_s),
            max_in_flight: self.max_in_flight,
            connections: facts.connections,
            chunks: self.chunks,
            coalesced_chunks: self.coalesced,
            kernel_timestamps: facts.kernel_timestamps,
            warnings: Vec::new(),
        }
    }
}

fn count(counts: &mut RequestCounts, outcome: Outcome) {
    counts.arrived += 1;
    match outcome {
        Outcome::Completed => counts.completed += 1,
        Outcome::Failed(_) => counts.failed += 1,
        Outcome::Cancelled => counts.cancelled += 1,
    }
}

/// Whether a completed request meets every limit; a latency that is not known (TTFT of an answer
/// that was not streamed) does not meet one.
fn is_good(slo: Slo, record: &LiveRecord) -> bool {
    let known = |time: Option<Nanos>| time.map_or(f64::INFINITY, Nanos::as_ms_f64);
    slo.met(known(record.ttft()), record.tpot_ns().map(|ns| ns / 1e6), known(record.e2e()))
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
