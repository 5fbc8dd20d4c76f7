//! Sweeps: what is run, what is written, and that threads and shards change no byte of it.

use crate::program::{files, kvroute, succeed};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Six points, two routers, two seeds.
pub const SMALL: &str = r#"
workload = "diverse"
seeds = 2
[set]
workload.requests = 40
router.mode = ["kv", "round-robin"]
[grid]
router.kv.overlap_weight = [0, 0.5, 1]
router.kv.temperature = [0, 0.5]
"#;

/// Runs a sweep with the arguments given; its files but `timing.json`, and stdout.
fn sweep(place: &Path, args: &[&str], out: &str) -> (BTreeMap<String, Vec<u8>>, String) {
    let stdout = succeed(place, &[&["sweep"], args, &["--quiet", "--out", out]].concat());
    (results(place, out), stdout)
}

/// All files of a sweep but the one that may differ.
pub fn results(place: &Path, out: &str) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(&place.join(out));
    assert!(all.remove("timing.json").is_some());
    all
}

pub fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert!(a.keys().eq(b.keys()), "{:?}, {:?}", a.keys(), b.keys());
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

fn rows(files: &BTreeMap<String, Vec<u8>>) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(files["points.csv"].as_slice());
    let head = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        head.iter().map(String::from).zip(record.iter().map(String::from)).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn a_sweep_writes_every_point_router_and_seed_on_any_number_of_threads() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("s.toml"), SMALL).unwrap();
    let (one, table) = sweep(place.path(), &["s.toml", "--threads=1"], "one");
    let (two, json) = sweep(place.path(), &["s.toml", "--threads=2", "--json"], "two");
    assert_same(&one, &two);
    let rows = rows(&one);
    assert_eq!(rows.len(), 24);
    assert!(rows.iter().all(|row| row["status"] == "ok" && !row["ttft_p99_ms"].is_empty()));
    assert_eq!(rows[23]["router.kv.overlap_weight"], "1");
    assert_eq!((rows[23]["seed"].as_str(), rows[23]["router"].as_str()), ("43", "round-robin"));
    assert!(table.contains("against baseline"), "{table}");
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["cells"].as_array().unwrap().len(), 12);
    for name in ["plots/heat_ttft_p99_ms.svg", "plots/tradeoff.png", "scenario.toml", "sweep.toml"]
    {
        assert!(!one[name].is_empty(), "{name}");
    }
    let (again, _) = sweep(place.path(), &["one/sweep.toml"], "again");
    assert_same(&one, &again);
}

#[test]
fn a_row_is_what_simulate_measures() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("s.toml"), SMALL).unwrap();
    let (swept, _) = sweep(place.path(), &["s.toml", "--no-plots"], "swept");
    let args = [
        "simulate",
        "diverse",
        "--num-requests=40",
        "--router-mode=kv",
        "--kv-overlap-score-weight=0.5",
        "--router-temperature=0.5",
        "--seed=43",
        "--quiet",
        "--json",
        "--no-plots",
    ];
    let summary: serde_json::Value = serde_json::from_str(&succeed(place.path(), &args)).unwrap();
    let run = &summary["runs"][0];
    let rows = rows(&swept);
    let row = rows
        .iter()
        .find(|row| row["point"] == "3" && row["router"] == "kv" && row["seed"] == "43")
        .unwrap();
    let number = |name: &str| row[name].parse::<f64>().unwrap();
    assert_eq!(number("ttft_p99_ms"), run["time_to_first_token"]["p99"].as_f64().unwrap());
    assert_eq!(number("requests_per_s"), run["request_throughput"]["avg"].as_f64().unwrap());
}

#[test]
fn what_cannot_differ_is_simulated_once_and_is_the_same_as_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let routers = "round-robin,random,least-loaded,power-of-two,oracle-shared-cache";
    let mode = format!("router.mode = \"{routers}\"");
    let base = format!("workload = \"shared-prefix\"\n[set]\nworkload.requests = 60\n{mode}\n");
    let grid = "[grid]\nrouter.kv.overlap_weight = [0, 3]\nrouter.kv.events = [true, false]\n";
    fs::write(place.path().join("s.toml"), base + grid).unwrap();
    let (swept, _) = sweep(place.path(), &["s.toml", "--no-plots"], "swept");
    let rows = rows(&swept);
    for row in rows.iter().filter(|row| row["point"] == "3") {
        let args = [
            "simulate",
            "shared-prefix",
            "--num-requests=60",
            &format!("--router-mode={}", row["router"]),
            "--kv-overlap-score-weight=3",
            "--kv-events=false",
            "--quiet",
            "--json",
            "--no-plots",
        ];
        let alone: serde_json::Value = serde_json::from_str(&succeed(place.path(), &args)).unwrap();
        let alone = alone["runs"][0]["time_to_first_token"]["p99"].as_f64().unwrap();
        assert_eq!(row["ttft_p99_ms"].parse::<f64>().unwrap(), alone, "{}", row["router"]);
    }
}

#[test]
fn shards_merge_to_the_bytes_of_one_run() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("s.toml"), SMALL).unwrap();
    let baseline = ["s.toml", "--baseline", "router.mode=random"];
    let (whole, _) = sweep(place.path(), &baseline, "whole");
    for shard in 1..=4 {
        let part = format!("--shard={shard}/4");
        let args = [&baseline[..], &[part.as_str()]].concat();
        sweep(place.path(), &args, &format!("part{shard}"));
    }
    let parts = ["merge", "part3", "part1", "part2", "part4"];
    let (merged, _) = sweep(place.path(), &parts, "merged");
    assert_same(&whole, &merged);
    let output = kvroute(place.path(), &["sweep", "merge", "part1", "part2", "--out", "half"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("shard 3/4"), "{message}");
    assert!(!place.path().join("half").exists());
}

#[test]
fn a_point_that_fails_is_recorded_and_stops_no_other() {
    let place = tempfile::tempdir().unwrap();
    let args = [
        "sweep",
        "diverse",
        "--num-requests=30",
        "--router-mode=kv",
        "--workers=2,0,3",
        "--quiet",
        "--out=out",
    ];
    let output = kvroute(place.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    let rows = rows(&results(place.path(), "out"));
    let status: Vec<&str> = rows.iter().map(|row| row["status"].as_str()).collect();
    assert_eq!(status, ["ok", "failed", "ok"]);
    assert!(rows[1]["reason"].contains("cluster.workers = 0"), "{:?}", rows[1]["reason"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("1 cell failed"), "{shown}");
}

#[test]
fn overloaded_points_are_marked_and_not_ranked() {
    let place = tempfile::tempdir().unwrap();
    let args = ["diverse", "--request-rate=20,400", "--router-mode=kv", "--num-requests=1500"];
    let (files, table) = sweep(place.path(), &args, "out");
    let rows = rows(&files);
    assert_eq!((rows[0]["overloaded"].as_str(), rows[1]["overloaded"].as_str()), ("0", "1"));
    assert!(table.contains("WARNING: 1 of 2 cells"), "{table}");
    assert!(!table.contains("\n 2 "), "{table}");
    assert!(files.contains_key("plots/knee.svg"));
}

#[test]
fn any_key_can_be_swept_the_workload_too_and_samples_repeat() {
    let place = tempfile::tempdir().unwrap();
    let text = "[set]\nworkload.requests = 20\nrouter.mode = \"kv\"\n\
        [grid]\nworkload = [\"diverse\", \"similar\"]\n\
        [sample]\nmethod = \"latin-hypercube\"\npoints = 3\n\
        [sample.ranges]\nrouter.event_loss = { low = 0, high = 0.5 }\n\
        cluster.workers = { low = 1, high = 3, whole = true }\n";
    fs::write(place.path().join("s.toml"), text).unwrap();
    let (first, _) = sweep(place.path(), &["s.toml"], "first");
    let (second, _) = sweep(place.path(), &["s.toml"], "second");
    assert_same(&first, &second);
    let rows = rows(&first);
    assert_eq!(rows.len(), 6);
    let mut workers: Vec<&str> =
        rows[..3].iter().map(|row| row["cluster.workers"].as_str()).collect();
    workers.sort_unstable();
    assert_eq!(workers, ["1", "2", "3"], "one of each third");
    assert_eq!(rows[3]["workload"], "similar");
    assert_eq!(rows[0]["router.event_loss"], rows[3]["router.event_loss"]);
}

#[test]
fn a_sweep_stops_replicating_cells_that_are_narrow_enough_and_shards_agree() {
    let place = tempfile::tempdir().unwrap();
    let text = SMALL.replace("seeds = 2", "seeds = 6\nstop_when_within = \"60%\"");
    fs::write(place.path().join("s.toml"), text).unwrap();
    let (whole, _) = sweep(place.path(), &["s.toml", "--no-plots"], "whole");
    let seeds = |point: &str, router: &str| {
        rows(&whole).iter().filter(|row| row["point"] == point && row["router"] == router).count()
    };
    assert_eq!((seeds("0", "kv"), seeds("0", "round-robin")), (6, 6), "baselines keep all seeds");
    assert!((3..6).contains(&seeds("5", "kv")), "{}", seeds("5", "kv"));
    for shard in ["1/2", "2/2"] {
        let args = ["s.toml", "--no-plots", "--shard", shard];
        sweep(place.path(), &args, &shard.replace('/', "of"));
    }
    let (merged, _) = sweep(place.path(), &["merge", "1of2", "2of2", "--no-plots"], "merged");
    assert_same(&whole, &merged);
}

#[test]
fn a_trace_is_shared_by_all_points_and_gives_what_simulate_gives() {
    let place = tempfile::tempdir().unwrap();
    succeed(
        place.path(),
        &["trace", "generate", "multi-turn", "--num-requests=80", "--out=t.jsonl"],
    );
    fs::write(place.path().join("s.toml"), "[grid]\ncluster.workers = [2, 3]\n").unwrap();
    let args = ["s.toml", "--trace=t.jsonl", "--router-mode=kv", "--no-plots"];
    let (files, table) = sweep(place.path(), &args, "swept");
    let alone = ["simulate", "t.jsonl", "--workers=3", "--router-mode=kv", "--json", "--quiet"];
    let alone: serde_json::Value = serde_json::from_str(&succeed(place.path(), &alone)).unwrap();
    let swept = rows(&files)[1]["ttft_avg_ms"].parse::<f64>().unwrap();
    assert_eq!(Some(swept), alone["runs"][0]["time_to_first_token"]["avg"].as_f64());
    assert!(table.contains("t.jsonl, 80 requests"), "{table}");
}
