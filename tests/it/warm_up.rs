//! Warm-up: what arrives in it is simulated like everything else and not measured.

use crate::program::succeed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

fn run(place: &Path, warm_up: &[&str]) -> (Value, Vec<BTreeMap<String, String>>) {
    let args = ["simulate", "multi-turn", "--num-requests=300", "--router-mode=kv", "--json"];
    let more = ["--quiet", "--no-plots", "--out=out"];
    let summary = succeed(place, &[&args[..], &more, warm_up].concat());
    let mut reader = csv::Reader::from_path(place.join("out/requests.csv")).unwrap();
    let head = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        head.iter().map(String::from).zip(record.iter().map(String::from)).collect()
    };
    let rows = reader.records().map(|record| row(record.unwrap())).collect();
    (serde_json::from_str(&summary).unwrap(), rows)
}

fn number(row: &BTreeMap<String, String>, name: &str) -> f64 {
    row[name].parse().unwrap()
}

#[test]
fn the_summary_is_that_of_the_requests_that_arrive_after_it() {
    let place = tempfile::tempdir().unwrap();
    let (whole, all) = run(place.path(), &[]);
    for warm_up in ["--warm-up=20%", "--warm-up=60 requests", "--warm-up=9s"] {
        let (summary, rows) = run(place.path(), &[warm_up]);
        assert_eq!(rows, all, "{warm_up}: every request is simulated as before");
        let mut arrivals: Vec<f64> = rows.iter().map(|row| number(row, "arrival_ms")).collect();
        arrivals.sort_by(f64::total_cmp);
        let opens = match warm_up.ends_with('s') && !warm_up.ends_with("requests") {
            true => arrivals[0] + 9000.0,
            false => arrivals[60],
        };
        let measured: Vec<_> =
            rows.iter().filter(|row| number(row, "arrival_ms") >= opens).collect();
        let run = &summary["runs"][0];
        assert_eq!(run["requests"]["completed"], measured.len(), "{warm_up}");
        assert_eq!(run["requests"]["arrived"], measured.len(), "{warm_up}");
        let sum = |name: &str| measured.iter().map(|row| number(row, name)).sum::<f64>();
        let ttft = run["time_to_first_token"]["avg"].as_f64().unwrap();
        assert!((ttft - sum("ttft_ms") / measured.len() as f64).abs() < 1e-6, "{warm_up}");
        assert_eq!(run["prefix_cache"]["hit_tokens"].as_f64(), Some(sum("hit_tokens")));
        let first = measured.iter().map(|row| number(row, "arrival_ms")).fold(f64::MAX, f64::min);
        let gone = (first - arrivals[0]) / 1e3;
        let duration = run["duration_s"].as_f64().unwrap();
        let whole = whole["runs"][0]["duration_s"].as_f64().unwrap();
        assert!((duration + gone - whole).abs() < 1e-6, "{warm_up}");
        let busy = run["load"]["busy_fraction_mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&busy), "{busy}");
    }
}

#[test]
fn a_share_of_a_trace_is_a_share_of_what_it_holds() {
    let place = tempfile::tempdir().unwrap();
    succeed(place.path(), &["trace", "generate", "diverse", "--num-requests=50", "--out=t.jsonl"]);
    let args = ["simulate", "t.jsonl", "--warm-up=20%", "--router-mode=kv", "--json", "--quiet"];
    let summary: Value = serde_json::from_str(&succeed(place.path(), &args)).unwrap();
    assert_eq!(summary["runs"][0]["requests"]["arrived"], 40);
    assert_eq!(summary["scenario"]["metrics"]["warm_up"], "10 requests");
}
