//! AIPerf's metrics of a request, under its names and units and by its definitions.
//!
//! Differences to our own: its inter-token latency is a mean per request, (latency − TTFT) / (output
//! tokens − 1); ours pools the gaps, which it calls inter-chunk latency. Its latencies count from
//! the actual send; those from the intended send are its `effective_latency`.

use crate::live::record::{LiveRecord, Outcome};
use crate::metrics::tally::Tally;
use crate::units::Nanos;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A metric of completed requests.
pub(super) struct Metric {
    /// Key in the files.
    pub(super) tag: &'static str,
    /// Name in the CSV file.
    pub(super) header: &'static str,
    /// Unit of the values.
    pub(super) unit: &'static str,
    /// What [`Metric::value`] is divided by.
    pub(super) scale: f64,
    /// The value as a whole number; `None` where the request has none.
    pub(super) value: fn(&LiveRecord) -> Option<u64>,
}

const MS: (&str, f64) = ("ms", 1e6);
const TOKENS: (&str, f64) = ("tokens", 1.0);
const RATE: (&str, f64) = ("tokens/sec/user", 1e6);

const fn metric(
    tag: &'static str,
    header: &'static str,
    (unit, scale): (&'static str, f64),
    value: fn(&LiveRecord) -> Option<u64>,
) -> Metric {
    Metric { tag, header, unit, scale, value }
}

/// All of them; the last two are ours.
pub(super) const METRICS: &[Metric] = &[
    metric("time_to_first_token", "Time to First Token", MS, |r| ns(r.ttft())),
    metric("time_to_second_token", "Time to Second Token", MS, |r| {
        Some(r.second_token?.saturating_sub(r.first_token?).0)
    }),
    metric("time_to_first_output_token", "Time to First Output Token", MS, |r| {
        ns(r.first_output_latency())
    }),
    metric("request_latency", "Request Latency", MS, |r| ns(r.e2e())),
    metric("inter_token_latency", "Inter Token Latency", MS, itl),
    metric("decode_duration", "Decode Duration", MS, decode),
    metric("effective_latency", "Effective Latency", MS, |r| ns(r.scheduled_e2e())),
    metric("credit_to_start_latency", "Credit to Start Latency", MS, |r| ns(r.send_lag())),
    metric("output_token_throughput_per_user", "Output Token Throughput Per User", RATE, |r| {
        per_second(1, itl(r)?)
    }),
    metric("e2e_output_token_throughput", "E2E Output Token Throughput", RATE, |r| {
        per_second(r.output_tokens, r.e2e()?.0)
    }),
    metric("prefill_throughput_per_user", "Prefill Throughput Per User", RATE, |r| {
        per_second(r.prompt_tokens(), r.ttft()?.0)
    }),
    metric("input_sequence_length", "Input Sequence Length", TOKENS, |r| {
        Some(r.prompt_tokens().into())
    }),
    metric("output_sequence_length", "Output Sequence Length", TOKENS, |r| {
        Some(r.output_tokens.into())
    }),
    metric("output_token_count", "Output Token Count", TOKENS, |r| {
        Some(r.output_tokens.saturating_sub(reasoning(r).unwrap_or(0)).into())
    }),
    metric("reasoning_token_count", "Reasoning Token Count", TOKENS, |r| {
        reasoning(r).map(u64::from)
    }),
    metric("usage_prompt_tokens", "Usage Prompt Tokens", TOKENS, |r| {
        Some(r.usage?.prompt_tokens.into())
    }),
    metric("usage_completion_tokens", "Usage Completion Tokens", TOKENS, |r| {
        Some(r.usage?.completion_tokens.into())
    }),
    metric("usage_total_tokens", "Usage Total Tokens", TOKENS, |r| {
        Some(u64::from(r.usage?.prompt_tokens) + u64::from(r.usage?.completion_tokens))
    }),
    metric("usage_prompt_cache_read_tokens", "Usage Prompt Cache Read Tokens", TOKENS, |r| {
        r.hit_tokens().map(u64::from)
    }),
    metric("expected_cached_tokens", "Expected Cached Tokens", TOKENS, |r| {
        Some(r.expected_hit_tokens.into())
    }),
    metric("send_lag", "Send Lag", MS, |r| ns(r.send_lag())),
];

/// Key of the gaps between chunks: a list in each record, pooled in the summary.
pub(super) const GAPS: &str = "inter_chunk_latency";

fn ns(time: Option<Nanos>) -> Option<u64> {
    time.map(|time| time.0)
}

fn reasoning(record: &LiveRecord) -> Option<u32> {
    record.usage?.reasoning_tokens
}

fn itl(record: &LiveRecord) -> Option<u64> {
    record.tpot_ns().map(|ns| ns.round() as u64)
}

fn decode(record: &LiveRecord) -> Option<u64> {
    Some(record.last_token?.saturating_sub(record.first_token?).0)
}

/// `count` per `ns`, in millionths per second.
fn per_second(count: u32, ns: u64) -> Option<u64> {
    (ns > 0).then(|| (f64::from(count) * 1e15 / ns as f64).round() as u64)
}

/// The metrics of one record, as the value of its key `metrics`.
pub(super) struct Metrics<'a>(pub(super) &'a LiveRecord);

#[derive(serde::Serialize)]
struct Value<V> {
    value: V,
    unit: &'static str,
}

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = serializer.serialize_map(None)?;
        if record.outcome != Outcome::Completed {
            let value = record.prompt_tokens();
            map.serialize_entry("error_isl", &Value { value, unit: "tokens" })?;
            return map.end();
        }
        for metric in METRICS {
            let Some(whole) = (metric.value)(record) else { continue };
            let unit = metric.unit;
            if metric.scale == 1.0 {
                map.serialize_entry(metric.tag, &Value { value: whole, unit })?;
            } else {
                let value = whole as f64 / metric.scale;
                map.serialize_entry(metric.tag, &Value { value, unit })?;
            }
        }
        if let Some(gaps) = record.gaps.as_ref().filter(|gaps| !gaps.is_empty()) {
            let value: Vec<f64> = gaps.iter().map(|gap| *gap as f64 / 1e6).collect();
            map.serialize_entry(GAPS, &Value { value, unit: "ms" })?;
        }
        map.end()
    }
}

/// Tallies of all metrics over completed requests.
pub(super) struct Tallies {
    metrics: Vec<Tally>,
    gaps: Tally,
}

impl Tallies {
    pub(super) fn new() -> Tallies {
        Tallies { metrics: vec![Tally::default(); METRICS.len()], gaps: Tally::default() }
    }

    pub(super) fn add(&mut self, record: &LiveRecord) {
        for (metric, tally) in METRICS.iter().zip(&mut self.metrics) {
            if let Some(value) = (metric.value)(record) {
                tally.record(value);
            }
        }
        record.gaps.iter().flatten().for_each(|gap| self.gaps.record(*gap));
    }

    /// Every metric that any request had: key, name, unit, scale, tally.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Metric, &Tally)> {
        const POOLED: &Metric = &metric(GAPS, "Inter Chunk Latency", MS, |_| None);
        let own = METRICS.iter().zip(&self.metrics);
        own.chain([(POOLED, &self.gaps)]).filter(|(_, tally)| tally.count() > 0)
    }

    /// Sum of a metric over all requests, in its unit; `None` where none had it.
    pub(super) fn sum(&self, tag: &str) -> Option<f64> {
        let (metric, tally) = self.iter().find(|(metric, _)| metric.tag == tag)?;
        Some(tally.sum() as f64 / metric.scale)
    }
}
