//! `kvroute calibrate` on the recordings of a real vLLM server, and presets against their sources
//! (`../shared/reference/vllm.md`, `../shared/data/latency/README.md`).

use crate::support::{Records, fidelity, scenario, shared};
use assert_cmd::Command;
use kvroute::compare::open_workload;
use kvroute::request::RequestRecord;
use kvroute::sim::{Control, Setup, run};
use kvroute::stats::quantile;
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
    cached_tokens: u32,
    ttft: f64,
}

fn recorded(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The recorded server under the recorded load, with step times of `preset`.
fn simulate(preset: &Path, trace: &Path) -> Vec<RequestRecord> {
    let latency = format!("cluster.latency=\"{}\"", preset.display());
    let overrides = [
        "cluster.workers=1",
        "cluster.block_tokens=32",
        "cluster.kv_blocks=319",
        "cluster.max_batched_tokens=2048",
        "cluster.max_seqs=16",
        &latency,
    ];
    let scenario = scenario(trace.to_str().unwrap(), &overrides);
    let setup = Setup::new(&scenario, "round-robin", 1).unwrap();
    let mut records = Records::default();
    let source = open_workload(&scenario, 1).unwrap();
    run(&setup, source, &mut records, &Control::default()).unwrap();
    records.0.sort_by_key(|record| record.id);
    records.0
}

fn percentiles(mut values: Vec<f64>) -> [f64; 5] {
    values.sort_unstable_by(f64::total_cmp);
    [0.1, 0.5, 0.75, 0.9, 0.99].map(|q| quantile(&values, q))
}

/// What the recorded server did under load and what the simulation makes of it: (TTFT p50, p90 and
/// hit tokens relative to the recorded ones).
fn poisson(files: &[&str]) -> Option<[f64; 3]> {
    let paths: Option<Vec<PathBuf>> =
        files.iter().map(|file| shared(&format!("oracle/{file}"))).collect();
    let (paths, trace) = (paths?, shared("oracle/vllm-poisson.jsonl")?);
    let rows = recorded(&trace);
    let out = tempfile::tempdir().unwrap();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let records = simulate(&calibrate(&paths, out.path()), &trace);
    let ours = percentiles(records.iter().map(|r| r.ttft().unwrap().as_ms_f64()).collect());
    let theirs = percentiles(rows.iter().map(|row| 1e3 * row.ttft).collect());
    let hits: u64 = records.iter().map(|record| u64::from(record.hit_tokens)).sum();
    let recorded: u64 = rows.iter().map(|row| u64::from(row.cached_tokens)).sum();
    let same = records.iter().zip(&rows).filter(|(a, b)| a.hit_tokens == b.cached_tokens).count();
    eprintln!("{files:?}: TTFT p10 p50 p75 p90 p99 {ours:.0?} ms, recorded {theirs:.0?}");
    eprintln!("hit tokens {hits}, recorded {recorded}; equal for {same} of {}", rows.len());
    Some([ours[1] / theirs[1], ours[3] / theirs[3], hits as f64 / recorded as f64])
}

/// Everything measured on that server: the engine's log says what steps take under load, the grids
/// what contexts cost and what passes between steps. The log alone knows neither, and comes out somewhat quicker.
#[test]
fn the_recorded_poisson_run_comes_out() {
    let (steps, prefill, decode) =
        ("vllm-steps.csv", "vllm-grid-prefill.csv", "vllm-grid-decode.csv");
    for files in [&[steps, prefill, decode][..], &[steps, decode], &[steps]] {
        let Some([p50, p90, hits]) = poisson(files) else { return };
        assert!((hits - 1.0).abs() <= 0.01, "{files:?}: hit tokens {hits}");
        assert!((p50 - 1.0).abs() <= 0.15, "{files:?}: p50 {p50}");
        assert!((p90 - 1.0).abs() <= 0.25, "{files:?}: p90 {p90}");
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        fidelity(
            &format!(
                "a loaded server simulated with a preset calibrated on `{}`",
                files.join("`, `")
            ),
            "a real vLLM server under Poisson load, `oracle/vllm-poisson.jsonl`",
            "calibrate::the_recorded_poisson_run_comes_out",
            format!(
                "hit tokens {:+.2} %, TTFT p50 {:+.1} %, p90 {:+.1} %",
                percent(hits),
                percent(p50),
                percent(p90)
            ),
        );
    }
}

#[test]
fn the_recorded_grids_are_fitted_within_ten_percent() {
    let Some(prefill) = shared("oracle/vllm-grid-prefill.csv") else { return };
    let Some(decode) = shared("oracle/vllm-grid-decode.csv") else { return };
    let rows = |path: &Path| kvroute::calibrate::read(path).unwrap();
    let both = [rows(&prefill), rows(&decode)].concat();
    let fit = kvroute::calibrate::fit(&both, 0.5).unwrap();
    eprintln!("{}", kvroute::calibrate::report("recorded grids", &fit));
    assert_eq!((fit.prefill.held_out.rows, fit.decode.held_out.rows), (72, 25));
    assert!(fit.prefill.held_out.p50 <= 0.10 && fit.decode.held_out.p50 <= 0.10);
    assert!(fit.r2 > 0.95);
    let (prefill_off, decode_off) = (fit.prefill.held_out.p50, fit.decode.held_out.p50);
    fidelity(
        "calibrated `linear` step times, fitted on half of the rows",
        "a real vLLM server, the other half of `oracle/vllm-grid-*.csv`",
        "calibrate::the_recorded_grids_are_fitted_within_ten_percent",
        format!(
            "median absolute error {:.1} % prefill, {:.1} % decode",
            100.0 * prefill_off,
            100.0 * decode_off
        ),
    );
    // Each alone, too.
    let prefill = kvroute::calibrate::fit(&rows(&prefill), 0.5).unwrap().prefill.held_out;
    let decode = kvroute::calibrate::fit(&rows(&decode), 0.5).unwrap().decode.held_out;
    eprintln!("alone, held out: prefill {prefill:?}, decode {decode:?}");
    assert!(prefill.p50 <= 0.10 && decode.p50 <= 0.10);
}

#[test]
fn a_calibrated_preset_is_accepted_and_comes_with_its_plot() {
    let Some(steps) = shared("oracle/vllm-steps.csv") else { return };
    let out = tempfile::tempdir().unwrap();
    let preset = calibrate(&[&steps], out.path());
    let text = std::fs::read_to_string(&preset).unwrap();
    assert!(text.contains("name = \"vllm-cpu\"") && text.contains("vllm-steps.csv"), "{text}");
    for end in ["svg", "png"] {
        let plot = out.path().join(format!("preset-residuals.{end}"));
        assert!(std::fs::metadata(plot).unwrap().len() > 1000);
    }
    let run = kvroute()
        .args(["simulate", "diverse", "--num-requests", "20", "--quiet", "--no-plots"])
        .args(["--kv-blocks", "4000", "--latency", preset.to_str().unwrap()])
        .args(["--out", out.path().join("run").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn damaged_measurements_are_refused_in_one_sentence() {
    let out = tempfile::tempdir().unwrap();
    let steps = "ctx_reqs,ctx_tokens,gen_reqs,elapsed_ms\n";
    let cases = [
        ("a,b,c\n1,2,3\n".into(), "the header"),
        ("ctx_reqs,ctx_token,gen_reqs,elapsed_ms\n".into(), "did you mean \"ctx_tokens\"?"),
        (format!("{steps}1,5,0,NaN\n"), "line 2: elapsed_ms = \"NaN\""),
        (format!("{steps}1,5,0,inf\n"), "line 2: elapsed_ms = \"inf\""),
        (format!("{steps}1,5,0,9\n1,5,0,-9\n"), "line 3: elapsed_ms = \"-9\""),
        (format!("{steps}1,-5,0,9\n"), "line 2: ctx_tokens = \"-5\""),
        (format!("{steps}0,5,0,9\n"), "line 2: 5 prefill tokens in 0 requests"),
        (format!("{steps}1,5\n"), "line: 2"),
        (format!("{steps}1,5,0,9\n"), "1 rows of measurements"),
        (steps.into(), "0 rows of measurements"),
        (String::new(), "the header"),
        (format!("{steps}1,5,0,9\n").replace('9', "\u{7f}"), "elapsed_ms"),
    ];
    for (text, expected) in cases {
        let path = out.path().join("steps.csv");
        std::fs::write(&path, &text).unwrap();
        refused(&path, expected);
    }
    let folder = out.path().join("empty");
    std::fs::create_dir(&folder).unwrap();
    refused(&folder, "is a folder without requests.csv");
    let requests = folder.join("requests.csv");
    std::fs::write(&requests, "router,seed,request_id,ttft_ms\n").unwrap();
    refused(&folder, "the folder of a simulated run");
    let header = "router,seed,worker,prompt_tokens,output_tokens,hit_tokens,ttft_ms,tpot_ms,e2e_ms,status,\
                  sent_ms\n";
    std::fs::write(&requests, format!("{header}kv,1,1,100,5,,20,5,40,completed,0\n")).unwrap();
    refused(&folder, "--enable-prompt-tokens-details");
    std::fs::write(&requests, format!("{header}kv,1,1,100,5,64,20,5,40,completed,0\n")).unwrap();
    refused(&folder, "of 1 requests 1 were alone");
    std::fs::write(&requests, format!("{header}kv,1,1,100,5,64,x,5,40,completed,0\n")).unwrap();
    refused(&folder, "requests.csv");
    refused(&out.path().join("absent.csv"), "cannot read");
}

/// Exit code 2, and one sentence that says `expected`.
fn refused(path: &Path, expected: &str) {
    let place = tempfile::tempdir().unwrap();
    let output = kvroute()
        .args(["calibrate", path.to_str().unwrap(), "--holdout", "0", "--out"])
        .arg(place.path().join("p.toml"))
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(expected), "expected {expected:?}: {message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    assert!(!place.path().join("p.toml").exists());
}
