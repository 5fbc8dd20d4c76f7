//! What is added up over requests: latencies as tallies, lengths and hits as sums.

use super::record::LiveRecord;
use super::server::ServerMetrics;
use super::summary::{LiveCache, LiveLengths};
use crate::metrics::summary::Distribution;
use crate::metrics::tally::Tally;
use crate::stats::ratio;
use crate::units::Nanos;

/// The latencies of completed requests, ns.
#[derive(Default)]
pub(super) struct Latencies {
    pub(super) ttft: Tally,
    pub(super) scheduled_ttft: Tally,
    pub(super) first_output: Tally,
    pub(super) gaps: Tally,
    pub(super) tpot: Tally,
    pub(super) e2e: Tally,
    pub(super) scheduled_e2e: Tally,
    pub(super) send_lag: Tally,
    pub(super) read_lag: Tally,
    pub(super) loop_delay: Tally,
}

/// Sums over completed requests, tokens.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) prompt: u64,
    pub(super) planned_prompt: u64,
    /// Of prompts the server counted: its count, ours, and their number.
    pub(super) server_prompt: u64,
    pub(super) server_planned: u64,
    pub(super) server_counted: u64,
    pub(super) planned_output: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) hits: u64,
    pub(super) expected_hits: u64,
    /// What our router believed, where it believed anything.
    pub(super) predicted_hits: Option<u64>,
}

impl Latencies {
    pub(super) fn add(&mut self, record: &LiveRecord) {
        tally(&mut self.ttft, record.ttft());
        tally(&mut self.scheduled_ttft, record.scheduled_ttft());
        tally(&mut self.first_output, record.first_output_latency());
        tally(&mut self.tpot, record.tpot_ns().map(|ns| Nanos(ns.round() as u64)));
        tally(&mut self.e2e, record.e2e());
        tally(&mut self.scheduled_e2e, record.scheduled_e2e());
    }
}

impl Totals {
    pub(super) fn add(&mut self, record: &LiveRecord, reasoning: u32) {
        self.prompt += u64::from(record.prompt_tokens());
        self.planned_prompt += u64::from(record.planned_prompt_tokens);
        if let Some(usage) = record.usage {
            self.server_prompt += u64::from(usage.prompt_tokens);
            self.server_planned += u64::from(record.planned_prompt_tokens);
            self.server_counted += 1;
        }
        self.planned_output += u64::from(record.planned_output_tokens);
        self.output += u64::from(record.output_tokens);
        self.reasoning += u64::from(reasoning);
        self.hits += u64::from(record.hit_tokens().unwrap_or(0));
        self.expected_hits += u64::from(record.expected_hit_tokens);
        if let Some(predicted) = record.predicted_hit_tokens {
            *self.predicted_hits.get_or_insert(0) += u64::from(predicted);
        }
    }

    pub(super) fn cache(&self, tells_hits: bool, server: Option<&ServerMetrics>) -> LiveCache {
        let counters = server.and_then(|server| server.hit_tokens.zip(server.query_tokens));
        LiveCache {
            prompt_tokens: self.prompt,
            hit_tokens: tells_hits.then_some(self.hits),
            hit_rate: tells_hits.then(|| ratio(self.hits as f64, self.prompt as f64)),
            expected_hit_tokens: self.expected_hits,
            expected_hit_rate: ratio(self.expected_hits as f64, self.planned_prompt as f64),
            predicted_hit_tokens: self.predicted_hits,
            predicted_hit_rate: self
                .predicted_hits
                .map(|hits| ratio(hits as f64, self.prompt as f64)),
            server_hit_rate: counters
                .filter(|(_, queries)| *queries > 0.0)
                .map(|(hits, queries)| hits / queries),
        }
    }

    pub(super) fn lengths(&self, completed: u64) -> LiveLengths {
        let mean = |sum: u64, count: u64| ratio(sum as f64, count as f64);
        let counted = self.server_counted > 0;
        let difference = || ratio(self.server_prompt as f64, self.server_planned as f64) - 1.0;
        LiveLengths {
            planned_prompt_avg: mean(self.planned_prompt, completed),
            server_prompt_avg: counted.then(|| mean(self.server_prompt, self.server_counted)),
            prompt_difference: counted.then(difference),
            planned_output_avg: mean(self.planned_output, completed),
            output_avg: mean(self.output, completed),
            output_tokens: self.output,
            reasoning_tokens: self.reasoning,
        }
    }
}

pub(super) fn tally(tally: &mut Tally, time: Option<Nanos>) {
    if let Some(time) = time {
        tally.record(time.0);
    }
}

pub(super) fn ms(tally: &Tally) -> Distribution {
    tally.distribution("ms", 1e6)
}
