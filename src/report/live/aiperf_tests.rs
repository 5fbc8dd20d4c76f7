use crate::live::record::{LiveRecord, LiveSink};
use crate::live::recorder::LiveOutput;
use crate::report::live::LiveWriter;
use crate::report::live::fixture;
use crate::report::run_dir::RunDir;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Exports of these records, in `place`.
fn exported(place: &Path, records: &[LiveRecord]) -> (LiveOutput, Vec<Value>, Value) {
    let dir = RunDir::create(place).unwrap();
    let mut writer = LiveWriter::create(&dir, 0, &fixture::head()).unwrap();
    assert!(writer.wants_gaps());
    records.iter().for_each(|record| writer.request(record).unwrap());
    let output = fixture::output("live", records);
    writer.finish(&output).unwrap();
    let lines = fs::read_to_string(dir.path("profile_export.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let json = fs::read(dir.path("profile_export_aiperf.json")).unwrap();
    (output, lines, serde_json::from_slice(&json).unwrap())
}

/// Where to leave the files to look at, or to give to AIPerf: the folder `KVROUTE_EXPORTS`.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let kept = std::env::var("KVROUTE_EXPORTS").ok();
    let path = kept.map_or_else(|| scratch.path().to_path_buf(), |kept| kept.into());
    (scratch, path)
}

#[test]
fn a_record_has_aiperfs_keys_units_and_definitions() {
    let (_scratch, path) = place();
    let (output, lines, _) = exported(&path.join("one"), &fixture::records(400, 2));
    assert_eq!(lines.len() as u64, output.run.requests.arrived, "no warm-up");
    let first = &lines[0];
    // Record 20: session 10, turn 0, due at 20 × 75 ms, sent half a millisecond later.
    assert_eq!(first["metadata"]["session_num"], 10);
    assert_eq!(first["metadata"]["credit_issued_ns"], 1_795_359_181_000_000_000u64 + 1_500_000_000);
    assert_eq!(first["metadata"]["request_start_ns"], 1_795_359_182_500_500_000u64);
    assert_eq!(first["metadata"]["benchmark_phase"], "profiling");
    let metric = |tag: &str| &first["metrics"][tag];
    assert_eq!(metric("inter_token_latency")["value"], 5.0);
    assert_eq!(metric("inter_token_latency")["unit"], "ms");
    assert_eq!(metric("inter_chunk_latency")["value"], serde_json::json!([5.0, 5.0, 5.0, 5.0]));
    assert_eq!(metric("output_token_throughput_per_user")["value"], 200.0);
    assert_eq!(metric("input_sequence_length")["value"], 110);
    assert_eq!(metric("send_lag")["value"], 0.5);
    assert_eq!(metric("usage_prompt_cache_read_tokens")["unit"], "tokens");
    assert!(first.get("error").is_none());
    let refused = lines.iter().find(|line| line["error"]["type"] == "connect").unwrap();
    assert_eq!(refused["error"]["message"], "it broke, \"connect\"");
    assert_eq!(refused["error"]["code"], Value::Null);
    assert_eq!(refused["metrics"]["error_isl"]["value"], 100);
    let cancelled = lines.iter().find(|line| line["metadata"]["was_cancelled"] == true).unwrap();
    assert_eq!(cancelled["error"]["code"], 499);
}

#[test]
fn the_summary_agrees_with_ours() {
    let (_scratch, path) = place();
    let (output, _, json) = exported(&path.join("two"), &fixture::records(400, 2));
    let run = &output.run;
    assert_eq!(json["schema_version"], "1.4");
    assert_eq!(json["time_to_first_token"]["avg"], run.time_to_first_token.avg);
    assert_eq!(json["time_to_first_token"]["p99"], run.time_to_first_token.p99);
    assert_eq!(json["effective_latency"]["p50"], run.scheduled_request_latency.p50);
    assert_eq!(json["inter_chunk_latency"]["count"], run.inter_token_latency.count);
    assert_eq!(json["request_count"]["avg"], run.requests.completed as f64);
    assert_eq!(json["error_request_count"]["avg"], 30.0);
    let close = |tag: &str, ours: f64| {
        let value = json[tag]["avg"].as_f64().unwrap();
        assert!((value / ours - 1.0).abs() < 1e-12, "{tag}: {value} and {ours}");
    };
    close("output_token_throughput", run.output_token_throughput.avg);
    close("input_token_throughput", run.input_token_throughput.avg);
    close("overall_usage_prompt_cache_read_pct", 100.0 * run.prefix_cache.hit_rate.unwrap());
    let isl = &json["input_sequence_length"];
    assert_eq!((&isl["avg"], &isl["sum"]), (&110.0.into(), &(350.0 * 110.0).into()));
    let errors = json["error_summary"].as_array().unwrap();
    let count: u64 = errors.iter().map(|error| error["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 30);
    assert_eq!(json["start_time"], "2026-11-22T14:53:02.500500");
    let csv = fs::read_to_string(path.join("two/profile_export_aiperf.csv")).unwrap();
    assert!(csv.starts_with("Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std\n"));
    assert!(
        csv.contains("\nInput Sequence Length (tokens),110.00,110.00,110.00,38500.00,"),
        "{csv}"
    );
    assert!(csv.contains("\n\nMetric,Value\nBenchmark Duration (sec),"), "{csv}");
    assert!(csv.contains("\nRequest Count,350.00\n"), "{csv}");
}

#[test]
fn nothing_completed_is_still_a_summary() {
    let (_scratch, path) = place();
    let (_, lines, json) = exported(&path.join("none"), &[]);
    assert!(lines.is_empty());
    assert!(json.get("time_to_first_token").is_none());
    assert_eq!(json["request_count"]["avg"], 0.0);
    assert_eq!(json["request_throughput"]["avg"], 0.0);
}
