//! `kvroute calibrate` on the recordings of a real vLLM server, and presets against their sources
//! (`../shared/reference/vllm.md`, `../shared/data/latency/README.md`).

use crate::support::{ListSource, Records, scenario, shared};
use assert_cmd::Command;
use kvroute::prompt::Segment;
use kvroute::request::{Request, RequestRecord};
use kvroute::sim::{Control, Setup, run};
use kvroute::stats::quantile;
use kvroute::units::Nanos;
use serde::Deserialize;
use std::path::{Path, PathBuf};

fn kvroute() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kvroute"))
}

/// Runs `kvroute calibrate`; the preset file it wrote.
fn calibrate(files: &[&Path], out: &Path) -> PathBuf {
    let preset = out.join("preset.toml");
    let output = kvroute()
        .arg("calibrate")
        .args(files)
        .args(["--out", preset.to_str().unwrap(), "--name", "vllm-cpu", "--kv-tokens", "10208"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{}", String::from_utf8_lossy(&output.stdout));
    preset
}

#[derive(Deserialize)]
struct Recorded {
    arrival: f64,
    t_send: f64,
    prompt_tokens: u32,
    cached_tokens: u32,
    ttft: f64,
    prompt_ids: Vec<u64>,
    output_ids: Vec<u64>,
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every token is a segment: its content is its id.
fn requests(rows: &[Recorded]) -> Vec<Request> {
    let segment = |id: &u64| Segment { content: *id, tokens: 1 };
    rows.iter()
        .enumerate()
        .map(|(id, row)| Request {
            id: id as u64,
            session: id as u64,
            turn: 0,
            arrival: Nanos::from_secs_f64(row.t_send - rows[0].t_send),
            segments: row.prompt_ids.iter().chain(&row.output_ids).map(segment).collect(),
            prompt_tokens: row.prompt_tokens,
            output_tokens: row.output_ids.len() as u32,
        })
        .collect()
}

/// The recorded server under the recorded load, with step times of `preset`.
fn simulate(preset: &Path, rows: &[Recorded]) -> Vec<RequestRecord> {
    let latency = format!("cluster.latency=\"{}\"", preset.display());
    let overrides = [
        "cluster.workers=1",
        "cluster.block_tokens=32",
        "cluster.kv_blocks=319",
        "cluster.max_batched_tokens=2048",
        "cluster.max_seqs=16",
        &latency,
    ];
    let setup = Setup::new(&scenario("diverse", &overrides), "round-robin", 1).unwrap();
    let mut records = Records::default();
    let source = Box::new(ListSource(requests(rows).into()));
    run(&setup, source, &mut records, &Control::default()).unwrap();
    records.0.sort_by_key(|record| record.id);
    records.0
}

fn percentiles(mut values: Vec<f64>) -> [f64; 5] {
    values.sort_unstable_by(f64::total_cmp);
    [0.1, 0.5, 0.75, 0.9, 0.99].map(|q| quantile(&values, q))
}

fn poisson(files: &[&str]) -> Option<()> {
    let files: Vec<PathBuf> =
        files.iter().map(|file| shared(&format!("oracle/{file}"))).collect::<Option<_>>()?;
    let rows = recorded(&shared("oracle/vllm-poisson.jsonl")?);
    let out = tempfile::tempdir().unwrap();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let records = simulate(&calibrate(&files, out.path()), &rows);
    let ours = percentiles(records.iter().map(|r| r.ttft().unwrap().as_ms_f64()).collect());
    let theirs = percentiles(rows.iter().map(|row| 1e3 * row.ttft).collect());
    let hits: u64 = records.iter().map(|record| u64::from(record.hit_tokens)).sum();
    let recorded: u64 = rows.iter().map(|row| u64::from(row.cached_tokens)).sum();
    let same = records.iter().zip(&rows).filter(|(a, b)| a.hit_tokens == b.cached_tokens).count();
    eprintln!("ttft p10 p50 p75 p90 p99 {ours:.0?} recorded {theirs:.0?}");
    eprintln!("hits {hits} recorded {recorded}; {same} of {} equal", rows.len());
    Some(())
}

#[test]
fn explore() {
    for files in [
        &["vllm-steps.csv"][..],
        &["vllm-grid-prefill.csv", "vllm-grid-decode.csv"],
        &["vllm-steps.csv", "vllm-grid-prefill.csv", "vllm-grid-decode.csv"],
        &["vllm-steps.csv", "vllm-grid-decode.csv"],
    ] {
        eprintln!("== {files:?}");
        poisson(files);
    }
}
