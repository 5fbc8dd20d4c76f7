//! Made-up live runs for the tests of reports.

use crate::live::fixture::{completed, failed, planned};
use crate::live::record::{Failure, LiveRecord};
use crate::live::recorder::{LiveOutput, LiveRecorder, RunFacts};
use crate::live::server::{GaugeSample, ServerMetrics, ServerSource};
use crate::live::summary::{LiveRun, LiveSummary, LiveTarget};
use crate::report::live::ExportHead;
use crate::scenario::Draft;
use crate::units::Nanos;

/// Records of half a minute, whose latencies breathe and whose cache warms; the first 20 are warm-up,
/// and some fail.
pub fn records(count: u64, endpoints: u32) -> Vec<LiveRecord> {
    let spacing = 30_000_000_000 / count;
    (0..count)
        .map(|i| {
            let at = Nanos(i * spacing);
            let mut record = match i % 40 {
                25 => failed(i, at, Failure::Status(503)),
                35 => failed(i, at, Failure::Connect),
                39 => planned(i, at),
                _ => completed(i, at),
            };
            record.endpoint = (i % u64::from(endpoints)) as u32;
            record.warm_up = i < 20;
            let phase = i as f64 / count as f64;
            let slow = (1e7 * (2.0 + 1.5 * (phase * 20.0).sin()) * f64::from(i as u32 % 7)) as u64;
            for time in [
                &mut record.first_token,
                &mut record.first_output,
                &mut record.second_token,
                &mut record.last_token,
            ] {
                *time = time.map(|time| time + Nanos(slow));
            }
            record.ended += Nanos(slow);
            record.expected_hit_tokens = (90.0 * (1.0 - (-phase * 8.0).exp())) as u32;
            if let Some(usage) = &mut record.usage {
                usage.cached_tokens = Some((75.0 * (1.0 - (-phase * 6.0).exp())) as u32);
            }
            record
        })
        .collect()
}

/// What a recorder makes of them.
pub fn output(label: &str, records: &[LiveRecord]) -> LiveOutput {
    let endpoints = records.iter().map(|record| record.endpoint as usize + 1).max();
    let mut recorder = LiveRecorder::new(endpoints.unwrap_or(1), None);
    for record in records {
        recorder.ended(record);
        let gaps = record.gaps.iter().flatten().filter(|_| !record.warm_up);
        gaps.for_each(|gap| recorder.gap(*gap));
    }
    recorder.finish(RunFacts {
        router: label.into(),
        label: label.into(),
        seed: 42,
        cpu_s: 0.05,
        threads: 1,
        server: Some(server()),
        ..RunFacts::default()
    })
}

fn server() -> ServerMetrics {
    let sample = |i: u32| {
        let at_s = f64::from(i) * 0.5;
        GaugeSample {
            at_s,
            running: Some((8.0 + 6.0 * (at_s / 3.0).sin()).round()),
            waiting: Some((3.0 * (at_s / 3.0).sin()).max(0.0).round()),
            kv_usage: Some(0.8 * (1.0 - (-at_s / 8.0).exp())),
            query_tokens: Some(at_s * 1000.0),
            hit_tokens: Some(at_s * 600.0),
        }
    };
    ServerMetrics {
        query_tokens: Some(30_000.0),
        hit_tokens: Some(18_000.0),
        preemptions: Some(0.0),
        sources: vec![ServerSource {
            url: "http://127.0.0.1:8000/metrics".into(),
            kind: "vllm".into(),
            scrapes: 61,
            series: (0..61).map(sample).collect(),
            ..ServerSource::default()
        }],
    }
}

/// A summary of these runs.
pub fn summary(runs: Vec<LiveRun>) -> LiveSummary {
    LiveSummary {
        schema_version: "1",
        scenario: Draft::load("diverse").unwrap().finish().unwrap(),
        live: target(),
        runs,
        compare_sim: None,
    }
}

/// What was loaded.
pub fn target() -> LiveTarget {
    LiveTarget {
        urls: vec!["http://127.0.0.1:8000".into(), "http://127.0.0.1:8001".into()],
        model: "mock".into(),
        endpoint_type: "chat".into(),
        streaming: true,
        tokenizer: "builtin".into(),
        routed_by: "server",
    }
}

/// All exports wanted.
pub fn head() -> ExportHead {
    ExportHead {
        folder: String::new(),
        router: "live".into(),
        seed: 42,
        target: target(),
        start_unix_ns: 1_795_359_181_000_000_000,
        spacing: "poisson",
        request_rate: None,
        burstiness: 1.0,
        concurrency: Some(8),
        decisions: false,
        aiperf: true,
        vllm: true,
        detailed: false,
    }
}
