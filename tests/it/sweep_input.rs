//! Bad sweeps: exit code 2, one sentence with the cure, nothing written.

use crate::program::{files, kvroute};
use std::fs;

/// Sweep files, and words of the message.
const FILES: &[(&str, &[&str])] = &[
    ("seeds = 2", &["workload"]),
    ("workload = \"multi-trn\"", &["multi-trn", "did you mean \"multi-turn\""]),
    ("workload = \"diverse\"\n[grid", &["not valid TOML"]),
    ("workload = \"diverse\"\n[grd]\na = [1]", &["grd", "did you mean \"grid\""]),
    ("workload = \"diverse\"\nseeds = 0", &["seeds = 0", "1 to 10000"]),
    ("workload = \"diverse\"\nmetric = \"ttft\"", &["metric \"ttft\"", "ttft_p99_ms"]),
    ("workload = \"diverse\"\nstop_when_within = \"2\"", &["stop_when_within", "2%"]),
    ("workload = \"diverse\"\n[grid]\nrouter.kv.temprature = [0, 1]", &["temperature"]),
    ("workload = \"diverse\"\n[grid]\nrouter.kv.temperature = []", &["no values"]),
    ("workload = \"diverse\"\n[grid]\nrouter.kv.temperature = [1, 1.0]", &["1 twice"]),
    (
        "workload = \"diverse\"\n[grid]\nrouter.kv.temperature = \"1:0:1\"",
        &["1:0:1", "first:last:step"],
    ),
    ("workload = \"diverse\"\n[grid]\nseed = [1, 2]", &["seed cannot be swept"]),
    ("workload = \"diverse\"\n[zip]\na = [1, 2]\nb = [1]", &["equal length"]),
    ("workload = \"diverse\"\n[grid]\na = [1]\n[zip]\na = [1]", &["a is swept twice"]),
    ("workload = \"diverse\"\n[set]\na = 1\n[grid]\na = [1]", &["both in [set] and swept"]),
    ("workload = \"diverse\"\n[grid]\nworkload = [\"similar\"]", &["workload is both"]),
    ("workload = \"diverse\"\n[grid]\na = \"1:9999:1\"\nb = \"1:9999:1\"", &["100000 points"]),
    (
        "workload = \"diverse\"\n[sample]\nmethod = \"halton\"\npoints = 3\nranges = {}",
        &["halton", "latin-hypercube"],
    ),
    (
        "workload = \"diverse\"\n[sample]\nmethod = \"random\"\npoints = 3\n[sample.ranges]\na = { low = 1, high = 1 }",
        &["low = 1", "below high"],
    ),
    ("workload = \"diverse\"\n[grid]\nrouter.mode = [\"cache-awre\"]", &["cache-awre"]),
    ("workload = \"nowhere.jsonl\"", &["nowhere.jsonl"]),
];

/// Command lines, and words of the message.
const OPTIONS: &[(&[&str], &[&str])] = &[
    (&[], &["no sweep given"]),
    (&["diverse", "--shard=3/2"], &["--shard 3/2", "1/4"]),
    (&["diverse", "--set", "workers"], &["key=value"]),
    (&["diverse", "--request-rate=5:1:1"], &["5:1:1"]),
    (&["diverse", "--workers=0"], &["cluster.workers = 0"]),
    (&["diverse", "--warm-up=tomorrow"], &["warm_up", "10%"]),
    (&["merge"], &["DIR"]),
    (&["merge", "nothing"], &["nothing", "journal.jsonl"]),
];

/// Refused with these words, and nothing is written.
fn refused(text: Option<&str>, args: &[&str], words: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    if let Some(text) = text {
        fs::write(place.path().join("s.toml"), text).unwrap();
    }
    let before = files(place.path());
    let output = kvroute(place.path(), &[&["sweep"], args].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown = format!("{text:?} {args:?}\n{message}");
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(message.lines().filter(|line| !line.is_empty()).count() <= 6, "{shown}");
    for word in words {
        assert!(message.contains(word), "{word} is missing: {shown}");
    }
    assert!(before == files(place.path()), "something was written: {shown}");
}

#[test]
fn bad_sweep_files_are_refused_with_the_cure() {
    for (text, words) in FILES {
        refused(Some(text), &["s.toml"], words);
    }
}

#[test]
fn bad_options_are_refused_with_the_cure() {
    for (args, words) in OPTIONS {
        refused(None, args, words);
    }
}
