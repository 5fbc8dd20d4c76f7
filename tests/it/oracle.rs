//! Results recorded from Dynamo's offline replay (`../shared/oracle/README.md`).

use crate::support::{ListSource, Records, request, scenario, shared};
use kvroute::prompt::Segment;
use kvroute::sim::{Control, Setup, run};
use kvroute::units::Nanos;
use serde::Deserialize;
use std::fs::File;
use std::io::BufReader;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    workers: u32,
    block_tokens: u32,
    kv_blocks: u32,
    max_seqs: u32,
    max_batched_tokens: u32,
    trace_block_tokens: u32,
    requests: Vec<Row>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Row {
    timestamp: u64,
    input_length: u32,
    output_length: u32,
    hash_ids: Vec<u64>,
}

#[derive(Deserialize)]
struct Expected {
    hit_rate: f64,
    duration_ms: f64,
    mean_itl_ms: f64,
    per_request: Vec<PerRequest>,
}

#[derive(Deserialize)]
struct PerRequest {
    worker: u32,
    hit_tokens: u32,
    ttft_ms: f64,
    e2e_ms: f64,
    first_admission_ms: f64,
    preemptions: u32,
}

fn segments(row: &Row, block: u32) -> Vec<Segment> {
    let mut left = row.input_length;
    let segment = |id: &u64| {
        let tokens = left.min(block);
        left -= tokens;
        Segment { content: *id, tokens }
    };
    row.hash_ids.iter().map(segment).collect()
}

fn mocker(case: &Case) -> Setup {
    let overrides = [
        format!("cluster.workers={}", case.workers),
        format!("cluster.block_tokens={}", case.block_tokens),
        format!("cluster.kv_blocks={}", case.kv_blocks),
        format!("cluster.max_seqs={}", case.max_seqs),
        format!("cluster.max_batched_tokens={}", case.max_batched_tokens),
        "cluster.engine=dynamo-mocker".into(),
        "cluster.latency=mocker".into(),
    ];
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    Setup::new(&scenario("diverse", &overrides), "round-robin", 1).unwrap()
}

/// Everything recorded about a case; `Err` says what differs first.
fn check(case: &Case) -> Result<(), String> {
    let rows = case.requests.iter().enumerate().map(|(id, row)| {
        let arrival = Nanos(row.timestamp * 1_000_000);
        request(id as u64, arrival, segments(row, case.trace_block_tokens), row.output_length)
    });
    let mut records = Records::default();
    let source = Box::new(ListSource(rows.collect()));
    let output = run(&mocker(case), source, &mut records, &Control::default()).unwrap();
    records.0.sort_by_key(|record| record.id);
    for (record, expected) in records.0.iter().zip(&case.expected.per_request) {
        let ms = |time: Option<Nanos>| time.map_or(f64::NAN, Nanos::as_ms_f64);
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 0.01;
        let same = record.worker.map(|worker| worker + 1) == Some(expected.worker)
            && record.hit_tokens == expected.hit_tokens
            && record.preemptions == expected.preemptions
            && close(ms(record.ttft()), expected.ttft_ms)
            && close(ms(record.e2e()), expected.e2e_ms)
            && close(ms(record.admitted), expected.first_admission_ms);
        if !same {
            return Err(format!("{}: request {}: {record:?}", case.case, record.id));
        }
    }
    let summary = output.summary;
    let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0);
    let same = records.0.len() == case.expected.per_request.len()
        && close(summary.prefix_cache.hit_rate, case.expected.hit_rate)
        && (summary.duration_s * 1e3 - case.expected.duration_ms).abs() <= 0.01
        && (summary.inter_token_latency.avg - case.expected.mean_itl_ms).abs() <= 0.01;
    if same { Ok(()) } else { Err(format!("{}: totals differ: {summary:?}", case.case)) }
}

fn check_all(file: &str) {
    let Some(path) = shared(file) else { return };
    let cases: Cases = serde_json::from_reader(BufReader::new(File::open(path).unwrap())).unwrap();
    let wrong: Vec<String> = cases.cases.iter().filter_map(|case| check(case).err()).collect();
    let total = cases.cases.len();
    assert!(total > 0 && wrong.is_empty(), "{} of {total} differ, first {}", wrong.len(), wrong[0]);
}

#[test]
fn every_request_of_the_micro_cases_is_reproduced() {
    check_all("oracle/dynamo-micro.json");
}

#[test]
fn every_request_of_the_random_cases_is_reproduced() {
    check_all("oracle/dynamo-random.json");
}
