//! `--compare-sim` against workers whose law is known: the probe finds it, and the simulation says what
//! the live run measures.

use super::engine::{Law, serve};
use super::program;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const LAW: Law = Law {
    step: 12.0,
    prefill_step: 6.0,
    prefill_token: 0.08,
    decode_seq: 0.6,
    front: 15.0,
    block: 16,
    blocks: 600,
    budget: 2048,
    tells_blocks: true,
};

/// Conversations short enough for a test.
const WORDS: &str = "multi-turn --model mock --seed 7 --request-rate 1.5 \
    --max-batched-tokens 2048 --kv-events false --reset-kv-cache vllm";
const LENGTHS: [&str; 10] = [
    "--set",
    "workload.multi_turn.prefix={ law = \"constant\", value = 150 }",
    "--set",
    "workload.multi_turn.first={ law = \"lognormal\", mean = 250, cv = 0.6, max = 900 }",
    "--set",
    "workload.multi_turn.follow_up={ law = \"lognormal\", mean = 60, cv = 0.5, max = 200 }",
    "--set",
    "workload.multi_turn.output={ law = \"lognormal\", mean = 14, cv = 0.5, max = 40 }",
    "--set",
    "workload.multi_turn.think_time={ law = \"lognormal\", mean = 0.5, cv = 0.5, max = 2 }",
];

/// A run of several arms that has ended.
struct Ended {
    stdout: String,
    stderr: String,
    /// `summary.json`.
    summary: Value,
    place: TempDir,
}

impl Ended {
    /// Runs `kvroute live --compare-sim` with these options.
    fn of(args: &[&str]) -> Ended {
        let place = tempfile::tempdir().unwrap();
        let output = program(&place)
            .args(WORDS.split_whitespace())
            .args(LENGTHS)
            .args(["--compare-sim", "--out=run", "--no-plots"])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{stderr}");
        let json = fs::read(place.path().join("run/summary.json")).unwrap();
        Ended { stdout, stderr, summary: serde_json::from_slice(&json).unwrap(), place }
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("run")
    }

    fn found(&self) -> &Value {
        &self.summary["compare_sim"]
    }

    /// Error of a metric, per simulated run.
    fn errors(&self, metric: &str) -> Vec<f64> {
        let error = |one: &Value| {
            let metrics = one["metrics"].as_array().unwrap();
            let found = metrics.iter().find(|known| known["metric"] == metric).unwrap();
            found["error"].as_f64().unwrap()
        };
        self.found()["runs"].as_array().unwrap().iter().map(error).collect()
    }

    fn completed_all(&self, requests: u64) {
        for run in self.summary["runs"].as_array().unwrap() {
            assert_eq!(run["requests"]["completed"], requests, "{}", self.stderr);
        }
    }
}

fn coefficient(preset: &toml::Value, name: &str) -> f64 {
    preset["preset"][0]["model"]["linear"][name].as_float().unwrap()
}

/// Time to the first token of a prompt of 300, ms: a constant and tokens that cost nothing may stand for
/// each other, and what counts is their sum.
fn first_token(preset: &toml::Value) -> f64 {
    let about = &preset["preset"][0];
    let free = about["model"]["linear"].get("prefill_free_tokens");
    let paid = 300.0 - free.map_or(0.0, |free| free.as_integer().unwrap() as f64);
    about.get("front_ms").map_or(0.0, |ms| ms.as_float().unwrap())
        + coefficient(preset, "step_ms")
        + coefficient(preset, "prefill_step_ms")
        + coefficient(preset, "prefill_token_ms") * paid
}

#[test]
fn a_known_law_is_found_and_the_simulation_says_what_is_measured() {
    let workers = [serve([127, 0, 0, 41], LAW), serve([127, 0, 0, 42], LAW)];
    let urls = workers.each_ref().map(|worker| format!("--worker={}", worker.url()));
    let run = Ended::of(&[
        &urls[0],
        &urls[1],
        "--decisions",
        "--router-mode=kv,round-robin",
        "--num-requests=70",
        "--probe-requests=80",
    ]);
    run.completed_all(70);
    eprintln!("{}\n{}", run.stderr, run.stdout);
    let folder = run.folder();
    let text = fs::read_to_string(folder.join("calibrated.toml")).unwrap();
    let preset: toml::Value = toml::from_str(&text).unwrap();
    let near = |name: &str, found: f64, truth: f64, share: f64| {
        assert!((found / truth - 1.0).abs() < share, "{name} {found}, truly {truth}\n{text}");
    };
    near("step", coefficient(&preset, "step_ms"), LAW.step, 0.08);
    near("prefill_token", coefficient(&preset, "prefill_token_ms"), LAW.prefill_token, 0.06);
    near("decode_seq", coefficient(&preset, "decode_seq_ms"), LAW.decode_seq, 0.25);
    let front = preset["preset"][0]["front_ms"].as_float().unwrap();
    near("front", front, LAW.front, 0.15);
    let truth = LAW.front + LAW.step + LAW.prefill_step + LAW.prefill_token * 300.0;
    near("first token", first_token(&preset), truth, 0.05);

    let found = run.found();
    let tokens = &found["tokens"];
    assert_eq!(tokens["text_ratio"], 1.0, "{tokens}");
    assert_eq!(tokens["answer_same"], 1.0, "{tokens}");
    // 3 before, 2 after and 3 to open the answer; a system message has 3 and 2 of its own.
    assert_eq!(tokens["after_system"], 5, "{tokens}");
    let (before, after) =
        (tokens["before"].as_u64().unwrap(), tokens["after_user"].as_u64().unwrap());
    assert_eq!(before + after, 8);
    assert!(before.abs_diff(3) <= 2, "{tokens}");
    let sizes: Vec<&Value> = found["cluster"]["sizes"].as_array().unwrap().iter().collect();
    assert_eq!((&sizes[0]["value"], &sizes[1]["value"]), (&Value::from(16), &Value::from(600)));
    assert!(sizes[0]["from"].as_str().unwrap().contains("/metrics"));

    // Where kv sends a conversation hangs on who is busy at that moment, and so on this machine's whims;
    // round robin goes its way whatever happens.
    for (metric, kv, round_robin) in [
        ("hit_rate", 10.0, 2.0),
        ("time_to_first_token_p50", 20.0, 15.0),
        ("inter_token_latency_p50", 12.0, 12.0),
        ("request_latency_p50", 20.0, 15.0),
        ("request_throughput", 10.0, 10.0),
    ] {
        let errors = run.errors(metric);
        let fine = errors[0].abs() < kv && errors[1].abs() < round_robin;
        assert!(fine && errors.len() == 2, "{metric}: {errors:?}");
    }
    assert!(run.stdout.contains("live against simulated"), "{}", run.stdout);
    let csv = fs::read_to_string(folder.join("compare-sim.csv")).unwrap();
    assert!(
        csv.starts_with("router,mode,seed,metric,") && csv.contains("kv,kv,7,hit_rate,"),
        "{csv}"
    );

    // What the run leaves is what the other commands read.
    let probes = ["probe-prefill.csv", "probe-decode.csv", "probe-beside.csv"];
    let mut args = vec!["calibrate", "--robust"];
    args.extend(probes);
    args.extend(["--out", "again.toml", "--name", "calibrated"]);
    let report = crate::program::succeed(&folder, &args);
    assert!(report.contains("front_ms"), "{report}");
    let again: toml::Value =
        toml::from_str(&fs::read_to_string(folder.join("again.toml")).unwrap()).unwrap();
    assert_eq!(again["preset"][0]["model"], preset["preset"][0]["model"]);
    let report = crate::program::succeed(&folder, &["calibrate", ".", "--out", "from-run.toml"]);
    eprintln!("{report}");
    let text = fs::read_to_string(folder.join("from-run.toml")).unwrap();
    let own: toml::Value = toml::from_str(&text).unwrap();
    near("first token of the run", first_token(&own), truth, 0.1);
    near("step of the run", coefficient(&own, "step_ms"), LAW.step, 0.1);
    let costliest = crate::program::succeed(&folder, &["explain", ".", "--router", "kv"]);
    assert!(costliest.contains("most wrong about hits"), "{costliest}");
    let one = crate::program::succeed(&folder, &["explain", ".", "--request", "3"]);
    assert!(
        one.contains("request 3 under kv") && one.contains("request 3 under round-robin"),
        "{one}"
    );
    assert!(one.contains("believed") && !one.contains("held"), "{one}");
    assert!(one.contains("tokens cached"), "{one}");
    let decisions = fs::read_to_string(folder.join("decisions.jsonl")).unwrap();
    assert_eq!(decisions.lines().count(), 140);
    crate::program::succeed(
        &folder,
        &[
            "simulate",
            "diverse",
            "--num-requests=20",
            "--latency=calibrated.toml",
            "--no-plots",
            "--quiet",
        ],
    );
}

#[test]
fn a_given_latency_needs_no_measurements_and_a_missing_one_is_refused() {
    let law = Law { front: 0.0, tells_blocks: false, ..LAW };
    let worker = serve([127, 0, 0, 43], law);
    let url = format!("--worker={}", worker.url());
    let run = Ended::of(&[
        &url,
        "--router-mode=round-robin",
        "--num-requests=12",
        "--latency=llama-3.1-8b-h100",
    ]);
    run.completed_all(12);
    let found = run.found();
    assert_eq!(found["latency"], "llama-3.1-8b-h100");
    assert!(found["calibration"].is_null() && !run.folder().join("calibrated.toml").exists());
    let block = &found["cluster"]["sizes"][0];
    assert_eq!(
        (&block["value"], &block["from"]),
        (&Value::from(16), &"cached tokens of the probe".into())
    );
    assert!(found["notes"][0].as_str().unwrap().contains("TTFT"), "{found}");
    let output = crate::program::kvroute(&run.folder(), &["explain", "."]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("run it again with --decisions"), "{stderr}");
    let output = crate::program::kvroute(&run.folder(), &["calibrate", "."]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("a fit needs 8 of each"), "{stderr}");
    let simulated = &found["runs"][0]["simulated"]["requests"]["completed"];
    assert_eq!(simulated, 12);

    let place = tempfile::tempdir().unwrap();
    let output = program(&place)
        .args(["diverse", "--compare-sim", "--latency=nowhere.toml", "--model=m", "--out=run"])
        .args(["--worker", &worker.url()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("nowhere.toml") && stderr.contains("neither a preset nor a file"),
        "{stderr}"
    );
    assert!(!place.path().join("run").exists());
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let worker = serve([127, 0, 0, 44], LAW);
    let url = worker.url();
    let (mine, kv) = (format!("--arm=mine={url}"), format!("--arm=kv={url}"));
    let run =
        Ended::of(&[&mine, &kv, "--num-requests=8", "--workers=1", "--latency=llama-3.1-8b-h100"]);
    let found = run.found();
    assert_eq!(found["not_simulated"][0]["router"], "mine");
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
    assert!(run.stdout.contains("mine not simulated: no router of ours"), "{}", run.stdout);
    // Nor can it be explained: here the server chose.
    let output = crate::program::kvroute(&run.folder(), &["explain", ".", "--request", "1"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the server chose the workers"), "{stderr}");

    let place = tempfile::tempdir().unwrap();
    let output = program(&place)
        .args(["diverse", "--decisions", "--model=m", "--url", &url])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("give the workers' own endpoints with --worker"), "{stderr}");
    let output = program(&place)
        .args(["diverse", "--compare-sim", "--no-streaming", "--model=m", "--url", &url])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("leave out --no-streaming"), "{stderr}");
}
