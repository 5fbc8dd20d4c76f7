//! AIPerf's files (`--format aiperf`), schema 1.4 of AIPerf 0.13: `profile_export.jsonl` record by
//! record, `profile_export_aiperf.json` and `profile_export_aiperf.csv` at the end.
//!
//! **The rule.** Keys, units and definitions are AIPerf's (`aiperf_metrics`); further keys are ours.
//! Requests of the warm-up are left out, as readers of these files do not look at the phase.

use super::aiperf_metrics::{Metric, Tallies};
use super::aiperf_record::{ErrorDetails, RecordLine};
use super::civil::iso;
use super::export::ExportHead;
use crate::error::{Error, Result};
use crate::live::record::{LiveRecord, Outcome};
use crate::live::summary::LiveRun;
use crate::metrics::summary::Distribution;
use crate::metrics::tally::Tally;
use crate::report::line::quoted;
use crate::report::run_dir::{ResultFile, RunDir};
use crate::stats::ratio;
use crate::units::Nanos;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

const JSONL: &str = "profile_export.jsonl";
const JSON: &str = "profile_export_aiperf.json";
const CSV: &str = "profile_export_aiperf.csv";

/// The export in the making.
pub(super) struct Aiperf {
    dir: RunDir,
    pub(super) head: ExportHead,
    records: ResultFile,
    tallies: Tallies,
    /// Errors and how often each occurred.
    errors: BTreeMap<ErrorDetails, u64>,
    /// Records written so far.
    written: u64,
    first_sent: Option<Nanos>,
    last_token: Nanos,
}

impl Aiperf {
    /// Starts the export of a run.
    ///
    /// # Errors
    /// Where the file of records cannot be created.
    pub(super) fn create(dir: &RunDir, head: &ExportHead) -> Result<Aiperf> {
        Ok(Aiperf {
            dir: dir.clone(),
            head: head.clone(),
            records: dir.writer(&format!("{}{JSONL}", head.folder))?,
            tallies: Tallies::new(),
            errors: BTreeMap::new(),
            written: 0,
            first_sent: None,
            last_token: Nanos::ZERO,
        })
    }

    /// A request ended.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn request(&mut self, record: &LiveRecord) -> Result<()> {
        if record.warm_up {
            return Ok(());
        }
        let error = ErrorDetails::of(record);
        if record.outcome == Outcome::Completed {
            self.tallies.add(record);
        }
        self.first_sent = [self.first_sent, record.sent].into_iter().flatten().min();
        self.last_token = self.last_token.max(record.last_token.unwrap_or_default());
        self.written += 1;
        let line = RecordLine::new(record, self.head.start_unix_ns, error.as_ref());
        serde_json::to_writer(&mut self.records, &line)
            .map_err(io::Error::from)
            .and_then(|()| self.records.write_all(b"\n"))
            .map_err(|why| self.records.error(&why))?;
        if let Some(error) = error {
            *self.errors.entry(error).or_insert(0) += 1;
        }
        Ok(())
    }

    /// Ends the records and writes the summaries.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(super) fn finish(self, run: &LiveRun) -> Result<()> {
        let scalars = self.scalars(run);
        let json = serde_json::to_vec_pretty(&self.summary(run, &scalars))
            .map_err(|why| Error::Run(why.to_string()))?;
        let folder = &self.head.folder;
        self.dir.write(&format!("{folder}{JSON}"), &json)?;
        self.dir.write(&format!("{folder}{CSV}"), self.csv(&scalars).as_bytes())?;
        self.records.commit()
    }

    fn summary(&self, run: &LiveRun, scalars: &[Scalar]) -> Value {
        let mut summary = Map::new();
        let mut put = |key: &str, value: Value| summary.insert(key.into(), value);
        put("schema_version", json!("1.4"));
        put("aiperf_version", json!("0.13.0"));
        put("benchmark_id", json!(format!("kvroute-{}-{}", run.router, run.seed)));
        for (metric, tally) in self.tallies.iter() {
            put(metric.tag, distribution(metric, tally));
        }
        for scalar in scalars {
            put(scalar.tag, json!({ "unit": scalar.unit, "avg": scalar.value }));
        }
        put("input_config", self.input_config(run));
        put("was_cancelled", json!(run.interrupted));
        put("is_complete", json!(!run.interrupted));
        let errors = self.errors.iter();
        let errors = errors.map(|(error, count)| json!({ "error_details": error, "count": count }));
        put("error_summary", errors.collect());
        let wall = |at: Nanos| iso(self.head.start_unix_ns + at.0);
        put("start_time", json!(wall(self.first_sent.unwrap_or_default())));
        put("end_time", json!(wall(self.end(run))));
        Value::Object(summary)
    }

    /// When the last measured request ended.
    fn end(&self, run: &LiveRun) -> Nanos {
        self.first_sent.unwrap_or_default() + Nanos::from_secs_f64(run.duration_s)
    }

    /// Enough of AIPerf's configuration for its own readers: model, endpoint and load.
    fn input_config(&self, run: &LiveRun) -> Value {
        let (target, requests) = (&self.head.target, run.requests.arrived.max(1));
        let load = match (self.head.request_rate, self.head.concurrency) {
            (Some(rate), concurrency) => json!({
                "name": "profiling", "type": self.head.spacing, "rate": rate, "requests": requests,
                "concurrency": concurrency,
            }),
            (None, concurrency) => json!({
                "name": "profiling", "type": "concurrency", "requests": requests,
                "concurrency": concurrency.unwrap_or(run.client.max_in_flight).max(1),
            }),
        };
        json!({
            "models": { "items": [{ "name": target.model }] },
            "endpoint": {
                "urls": target.urls,
                "type": target.endpoint_type,
                "streaming": target.streaming,
            },
            "datasets": [{ "name": "kvroute", "type": "synthetic", "entries": requests }],
            "phases": [load],
        })
    }

    fn scalars(&self, run: &LiveRun) -> Vec<Scalar> {
        let mut scalars = Vec::from(self.counts(run));
        scalars.extend(self.rates(run));
        scalars.extend(self.times(run));
        scalars.extend(self.usage());
        scalars.extend(
            run.goodput.as_ref().map(|good| scalar("goodput", "Goodput", "requests/sec", good.avg)),
        );
        scalars
    }

    fn counts(&self, run: &LiveRun) -> [Scalar; 4] {
        let counts = &run.requests;
        let (failed, ended) = ((counts.failed + counts.cancelled) as f64, self.written as f64);
        let completed = "Completed Requests (Success + Error)";
        let error_rate = 100.0 * ratio(failed, ended);
        [
            scalar("request_count", "Request Count", "requests", counts.completed as f64),
            scalar("error_request_count", "Error Request Count", "requests", failed),
            scalar("completed_request_count", completed, "requests", ended),
            scalar("request_error_rate", "Request Error Rate", "%", error_rate),
        ]
    }

    /// Tokens and requests, in all and per second.
    fn rates(&self, run: &LiveRun) -> [Scalar; 7] {
        let total = |tag| self.tallies.sum(tag).unwrap_or(0.0);
        let (isl, osl) = (total("input_sequence_length"), total("output_sequence_length"));
        let output = total("output_token_count");
        let requests = run.request_throughput.avg;
        let rate = |tag, header, tokens: f64| {
            scalar(tag, header, "tokens/sec", ratio(tokens, run.duration_s))
        };
        [
            scalar("request_throughput", "Request Throughput", "requests/sec", requests),
            rate("input_token_throughput", "Input Token Throughput", isl),
            rate("output_token_throughput", "Output Token Throughput", osl),
            rate("total_token_throughput", "Total Token Throughput", isl + osl),
            scalar("total_isl", "Total Input Sequence Length", "tokens", isl),
            scalar("total_osl", "Total Output Sequence Length", "tokens", osl),
            scalar("total_output_tokens", "Total Output Tokens", "tokens", output),
        ]
    }

    fn times(&self, run: &LiveRun) -> [Scalar; 3] {
        let wall = |at: Nanos| (self.head.start_unix_ns + at.0) as f64;
        let (first, last) = (wall(self.first_sent.unwrap_or_default()), wall(self.last_token));
        [
            scalar("benchmark_duration", "Benchmark Duration", "sec", run.duration_s),
            scalar("min_request_timestamp", "Minimum Request Timestamp", "ns", first),
            scalar("max_response_timestamp", "Maximum Response Timestamp", "ns", last),
        ]
    }

    /// What the server said of tokens, where it did.
    fn usage(&self) -> Vec<Scalar> {
        let sum = |tag: &str| self.tallies.sum(tag);
        let prompt = sum("usage_prompt_tokens");
        let read = sum("usage_prompt_cache_read_tokens");
        let share = read.zip(prompt).map(|(read, prompt)| 100.0 * ratio(read, prompt));
        [
            ("total_usage_prompt_tokens", "Total Usage Prompt Tokens", "tokens", prompt),
            (
                "total_usage_completion_tokens",
                "Total Usage Completion Tokens",
                "tokens",
                sum("usage_completion_tokens"),
            ),
            (
                "total_usage_prompt_cache_read_tokens",
                "Total Usage Prompt Cache Read Tokens",
                "tokens",
                read,
            ),
            ("overall_usage_prompt_cache_read_pct", "Overall Usage Prompt Cache Read", "%", share),
        ]
        .into_iter()
        .filter_map(|(tag, header, unit, value)| Some(scalar(tag, header, unit, value?)))
        .collect()
    }

    /// A table of distributions, and below it one of scalars; both by key, as AIPerf has them.
    fn csv(&self, scalars: &[Scalar]) -> String {
        let mut text = String::from("Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std");
        let mut metrics: Vec<(&Metric, &Tally)> = self.tallies.iter().collect();
        metrics.sort_by_key(|(metric, _)| metric.tag);
        for (metric, tally) in metrics {
            let d = tally.distribution(metric.unit, metric.scale);
            let sum = tally.sum() as f64 / metric.scale;
            text += &format!("\n{} ({})", metric.header, metric.unit);
            for value in [
                d.avg, d.min, d.max, sum, d.p1, d.p5, d.p10, d.p25, d.p50, d.p75, d.p90, d.p95,
                d.p99, d.std,
            ] {
                text += &format!(",{value:.2}");
            }
        }
        text += "\n\nMetric,Value\n";
        let mut scalars: Vec<&Scalar> = scalars.iter().collect();
        scalars.sort_by_key(|scalar| scalar.tag);
        for Scalar { header, unit, value, .. } in scalars {
            let name = match *unit {
                "requests" => (*header).to_string(),
                unit => format!("{header} ({unit})"),
            };
            text += &format!("{},{value:.2}\n", quoted(&name));
        }
        text
    }
}

/// A single value of a run.
struct Scalar {
    tag: &'static str,
    header: &'static str,
    unit: &'static str,
    value: f64,
}

fn scalar(tag: &'static str, header: &'static str, unit: &'static str, value: f64) -> Scalar {
    Scalar { tag, header, unit, value }
}

fn distribution(metric: &Metric, tally: &Tally) -> Value {
    let Distribution {
        unit,
        avg,
        min,
        p1,
        p5,
        p10,
        p25,
        p50,
        p75,
        p90,
        p95,
        p99,
        max,
        std,
        count,
        ..
    } = tally.distribution(metric.unit, metric.scale);
    let sum = tally.sum() as f64 / metric.scale;
    json!({
        "unit": unit, "avg": avg, "p1": p1, "p5": p5, "p10": p10, "p25": p25, "p50": p50,
        "p75": p75, "p90": p90, "p95": p95, "p99": p99, "min": min, "max": max, "std": std,
        "count": count, "sum": sum,
    })
}

#[cfg(test)]
#[path = "aiperf_tests.rs"]
mod tests;
