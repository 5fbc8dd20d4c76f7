//! Bad input at the command line: exit code 2, one message that says what is wrong, and nothing
//! written or lost.

use crate::program::{files, kvroute, succeed};
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const ROW: &str = r#"{"timestamp": 1, "input_length": 5, "output_length": 5, "hash_ids": [1]}"#;

/// A place with the files that the cases name, and an out folder with earlier results.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    fs::create_dir(place.path().join("earlier")).unwrap();
    write("earlier/summary.json", "earlier results");
    write("earlier/requests.csv", "earlier rows");
    write("a-file", "");
    let row = |from: &str, to: &str| ROW.replace(from, to);
    write("empty.jsonl", "");
    write("truncated.jsonl", &format!("{ROW}\n{}", &ROW[..30]));
    write("text-length.jsonl", &row("5", "\"five\""));
    write("negative.jsonl", &row("5", "-5"));
    write("nan.jsonl", &row("5", "NaN"));
    write("back.jsonl", &format!("{ROW}\n{}", row(": 1,", ": 0,")));
    write("good.jsonl", ROW);
    let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
    write("nan.csv", &format!("{azure}2023-11-16 18:17:03.97,NaN,5\n"));
    write("invalid.toml", "[workload\n");
    write("no-workload.toml", "[cluster]\nworkers = 2\n");
    write(
        "no-section.toml",
        "[workload]\nkind = \"diverse\"\nrequests = 1\narrival = { process = \"poisson\", rate = 1 }\n",
    );
    write("unknown.toml", "[workload]\nkind = \"diverse\"\n[cluster]\nworkrs = 2\n");
    let preset = |step: &str| {
        format!(
            "[[preset]]\nname = \"p\"\nabout = \"\"\nsource = \"\"\nerror = \"\"\n[preset.model.linear]\nstep_ms = {step}\n"
        )
    };
    write("negative-latency.toml", &preset("-1.0"));
    write("no-kv-latency.toml", &preset("1.0"));
    write("no-latency.toml", "");
    place
}

/// Refused with code 2 in one message of at most six lines that holds `words`; nothing changes.
fn refused(place: &Path, args: &[&str], words: &[&str]) {
    let before = files(place);
    let output = kvroute(place, args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown = format!("{args:?}: {:?}\n{message}", output.status.code());
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(message.starts_with("kvroute: ") || message.starts_with("error: "), "{shown}");
    let lines = message.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 6 && !message.contains("panicked"), "{shown}");
    let starts = message.lines().filter(|line| line.starts_with("kvroute:")).count();
    assert!(starts <= 1, "more than one message: {shown}");
    for word in words {
        assert!(message.contains(word), "{shown}lacks {word}");
    }
    assert!(output.stdout.is_empty(), "{shown}");
    assert!(files(place) == before && !place.join("new").exists(), "files changed: {shown}");
}

/// A simulation is refused, both where its folder is new and where it holds earlier results.
fn simulation_refused(place: &Path, args: &[&str], words: &[&str]) {
    for out in ["--out=new/folder", "--out=earlier"] {
        refused(place, &[&["simulate"], args, &[out]].concat(), words);
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let place = place();
    let whole = "1 to 65536";
    let positive = "a finite number above 0";
    let not_negative = "a finite number, 0 or more";
    let cases = [
        ("--workers=0", "cluster.workers = 0", whole),
        ("--workers=65537", "cluster.workers = 65537", whole),
        ("--workers=-1", "--workers", "-1"),
        ("--workers=1.5", "--workers", "1.5"),
        ("--workers=many", "--workers", "many"),
        ("--workers=99999999999999999999", "--workers", "99999999999999999999"),
        ("--block-tokens=0", "cluster.block_tokens = 0", whole),
        ("--block-tokens=65537", "cluster.block_tokens = 65537", whole),
        ("--kv-blocks=0", "cluster.kv_blocks = 0", "1 to 2147483648"),
        ("--kv-blocks=2147483649", "cluster.kv_blocks = 2147483649", "1 to 2147483648"),
        ("--max-batched-tokens=0", "cluster.max_batched_tokens = 0", "1 to"),
        ("--max-seqs=0", "cluster.max_seqs = 0", "1 to"),
        ("--kv-overlap-score-weight=-1", "overlap_weight = -1", not_negative),
        ("--kv-overlap-score-weight=NaN", "overlap_weight = NaN", not_negative),
        ("--kv-overlap-score-weight=inf", "overlap_weight = inf", not_negative),
        ("--router-temperature=-0.1", "temperature = -0.1", not_negative),
        ("--router-temperature=nan", "temperature = NaN", not_negative),
        ("--router-temperature=inf", "temperature = inf", not_negative),
        ("--request-rate=0", "rate = 0", positive),
        ("--request-rate=-5", "rate = -5", positive),
        ("--request-rate=NaN", "rate = NaN", positive),
        ("--request-rate=inf", "rate = inf", positive),
        ("--request-rate=1e-300", "rate = ", "years"),
        ("--concurrency=0", "concurrency = 0", "1 to"),
        ("--num-requests=0", "workload.requests = 0", "1 or more"),
        ("--num-requests=-1", "--num-requests", "-1"),
        ("--num-requests=1.5", "--num-requests", "1.5"),
        ("--seeds=0", "seeds = 0", "1 to 10000"),
        ("--seed=-1", "--seed", "-1"),
        ("--threads=-1", "--threads", "-1"),
        ("--set=router.event_loss=1.5", "router.event_loss = 1.5", "0 to 1"),
        ("--set=router.event_delay=-1ms", "router", "-1ms"),
        ("--set=router.replicas=0", "router.replicas = 0", "1 to 1024"),
        ("--set=cluster.host_ms=-1", "cluster.host_ms = -1", not_negative),
        ("--set=cluster.workers=1.5", "workers = 1.5", "floating point"),
        ("--set=cluster.workers=-1", "workers = -1", "-1"),
        ("--set=seed=-1", "seed = -1", "-1"),
        (
            "--set=workload.diverse.prompt={law=\"constant\", value=-1}",
            "diverse.prompt.value",
            "0 to",
        ),
        (
            "--set=workload.diverse.prompt={law=\"constant\", value=2147483648}",
            "diverse.prompt.value",
            "2147483647",
        ),
    ];
    for (option, what, range) in cases {
        simulation_refused(place.path(), &["diverse", option], &[what, range]);
    }
    simulation_refused(place.path(), &["good.jsonl", "--speedup=0"], &["speedup = 0", positive]);
    simulation_refused(
        place.path(),
        &["good.jsonl", "--speedup=NaN"],
        &["speedup = NaN", positive],
    );
    simulation_refused(place.path(), &["good.jsonl", "--start=soon"], &["--start", "soon"]);
}

#[test]
fn names_and_options_that_mean_nothing_are_refused_with_the_nearest_that_does() {
    let place = place();
    let cases: &[(&[&str], &[&str])] = &[
        (&["diverse", "--set=cluster.worker=2"], &["`worker`", "did you mean \"workers\"?"]),
        (&["diverse", "--set=workload.speed=2"], &["`speed`", "did you mean \"speedup\"?"]),
        (&["diverse", "--set=cluster.workers"], &["--set cluster.workers", "key=value"]),
        (&["diverse", "--set=seed.of=2"], &["--set seed.of", "\"seed\""]),
        (
            &["diverse", "--router-mode=kv,round_robin"],
            &["\"round_robin\"", "did you mean \"round-robin\"?"],
        ),
        (&["diverse", "--router-mode="], &["router \"\"", "choose from"]),
        (
            &["diverse", "--latency=lama-3.1-8b-h100"],
            &["lama", "did you mean \"llama-3.1-8b-h100\"?"],
        ),
        (&["diverse", "--latency=negative-latency.toml"], &["negative-latency.toml", "0 or more"]),
        (&["diverse", "--latency=no-kv-latency.toml"], &["--kv-blocks"]),
        (&["diverse", "--latency=no-latency.toml"], &["no-latency.toml", "preset"]),
        (&["divers"], &["\"divers\"", "did you mean \"diverse\"?"]),
        (&["diverse", "--slo=ttft"], &["slo", "ttft:500"]),
        (&["diverse", "--slo=ttft:-5"], &["ttft:-5", "ttft:500"]),
        (&["diverse", "--slo=speed:5"], &["\"speed\"", "ttft:500"]),
        (&["diverse", "--burstiness=2", "--arrival=poisson"], &["--burstiness", "--arrival gamma"]),
        (&["diverse", "--set=workload.arrival.process=timestamps"], &["timestamps", "trace"]),
        (&["diverse", "--arrival=timestamps"], &["--arrival", "timestamps"]),
        (&["diverse", "--speedup=2"], &["speedup", "rate"]),
        (&["diverse", "--engine=sglang"], &["--engine", "sglang"]),
        (&["diverse", "--eviction=mru"], &["--eviction", "mru"]),
        (&["diverse", "--request-rate=5", "--concurrency=5"], &["--concurrency", "no gate"]),
        (&["diverse", "--arrival=gamma", "--max-concurrency=5"], &["--arrival", "no gate"]),
        (&["diverse", "--request-rate=5", "--sessions=5"], &["--sessions", "no gate"]),
        (&["diverse", "--sessions=5", "--concurrency=5"], &["--sessions", "--concurrency counts"]),
        (&["diverse", "--burst=5", "--burst-every=1s", "--request-rate=5"], &["--burst"]),
        (&["diverse", "--burst=5", "--burst-every=1s", "--sessions=5"], &["--burst", "--sessions"]),
        (&["diverse", "--burst=5", "--burst-every=1s", "--ramp-up=5"], &["--burst", "--ramp-up"]),
        (&["diverse", "--burst=5"], &["--burst-every"]),
        (&["diverse", "--burst-every=5s"], &["give --burst"]),
        (&["diverse", "--burst=0", "--burst-every=1s"], &["size = 0", "1 to"]),
        (&["diverse", "--burst=5", "--burst-every=0"], &["every", "longer than 0"]),
        (&["diverse", "--sessions=0"], &["sessions = 0", "1 to"]),
        (&["diverse", "--ramp-from=5"], &["--ramp-from", "--ramp-up"]),
        (&["diverse", "--ramp-from=5", "--ramp-up=9", "--sessions=3"], &["--ramp-from"]),
        (&["diverse", "--ramp-from=-5", "--ramp-up=9"], &["from_rate = -5", "0 or more"]),
        (&["diverse", "--ramp-up=0"], &["over", "longer than 0"]),
        (&["diverse", "--ramp-up=soon"], &["--ramp-up", "soon"]),
        (&["good.jsonl", "--ramp-up=9"], &["--ramp-up", "--request-rate"]),
        (&["diverse", "--duration=0"], &["duration = 0", "longer"]),
        (&["diverse", "--duration=long"], &["--duration", "long"]),
        (&["diverse", "--duration=999999h"], &["duration", "out of range"]),
        (&["diverse", "--isl=0"], &["prompt_tokens = 0", "1 to"]),
        (&["diverse", "--osl=2147483648"], &["output_tokens = 2147483648", "1 to"]),
        (&["good.jsonl", "--isl=5"], &["--isl", "trace has its own"]),
        (&["good.jsonl", "--osl=5"], &["--osl", "trace has its own"]),
        (&["good.jsonl", "--duration=5", "--warm-up=100%"], &["100%"]),
        (&["diverse", "--wrokers=5"], &["--wrokers", "--workers"]),
        (&["invalid.toml"], &["invalid.toml", "line 1"]),
        (&["no-workload.toml"], &["no-workload.toml", "workload"]),
        (&["no-section.toml"], &["[workload.diverse]", "missing"]),
        (&["unknown.toml"], &["`workrs`", "did you mean \"workers\"?"]),
        (&["none.toml"], &["none.toml", "cannot read"]),
    ];
    for (args, words) in cases {
        simulation_refused(place.path(), args, words);
    }
    refused(place.path(), &["init", "divers"], &["did you mean \"diverse\"?"]);
    refused(place.path(), &["simulat"], &["simulat"]);
}

#[test]
fn bad_traces_are_refused() {
    let place = place();
    let cases: &[(&str, &[&str])] = &[
        ("empty.jsonl", &["empty.jsonl", "is empty"]),
        ("truncated.jsonl", &["truncated.jsonl", "line 2", "--skip-bad-lines"]),
        ("text-length.jsonl", &["line 1", "input_length", "\"five\""]),
        ("negative.jsonl", &["line 1", "input_length is -5"]),
        ("nan.jsonl", &["line 1", "column"]),
        ("nan.csv", &["line 2", "ContextTokens is NaN"]),
        ("back.jsonl", &["line 2", "--sort-arrivals"]),
        ("a-file", &["a-file", "is empty"]),
        ("none.jsonl", &["none.jsonl", "file"]),
    ];
    for (trace, words) in cases {
        simulation_refused(place.path(), &[trace], words);
        let inspect_words = if *trace == "none.jsonl" { &["cannot read"] } else { *words };
        refused(place.path(), &["trace", "inspect", trace], inspect_words);
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("long.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(format!("{ROW}\n{{\"timestamp\": 2, \"note\": \"").as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    (0..65).for_each(|_| file.write_all(&chunk).unwrap());
    file.write_all(b"\"}\n").unwrap();
    for args in [&["simulate", "long.jsonl", "--out=new"][..], &["trace", "inspect", "long.jsonl"]]
    {
        refused(place.path(), args, &["line 2", "64 MiB"]);
    }
}

#[test]
fn a_prompt_that_can_never_fit_is_rejected_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let long = r#"{"timestamp": 1, "input_length": 500, "output_length": 5, "hash_ids": [2]}"#;
    fs::write(place.path().join("t.jsonl"), format!("{ROW}\n{long}\n")).unwrap();
    let args = ["simulate", "t.jsonl", "--kv-blocks=8", "--out=new", "--no-plots", "--quiet"];
    let table = succeed(place.path(), &args);
    assert!(table.contains("rejected"), "the table says so: {table}");
    let json = succeed(place.path(), &[&args[..], &["--json"]].concat());
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    for run in summary["runs"].as_array().unwrap() {
        assert_eq!(run["requests"]["rejected"], 1);
        assert_eq!(run["requests"]["completed"], 1);
    }
}

#[test]
fn places_that_cannot_be_written_are_refused() {
    let place = place();
    for out in ["--out=a-file/folder", "--out=a-file", "--out=/dev/null/folder"] {
        refused(place.path(), &["simulate", "diverse", out], &["cannot write", "--out"]);
    }
    let generate = ["trace", "generate", "diverse", "--num-requests=5"];
    for out in ["--out=a-file/t.jsonl", "--out=new/t.jsonl", "--out=earlier"] {
        refused(place.path(), &[&generate[..], &[out]].concat(), &["cannot write", "--out"]);
    }
    let bad = ["trace", "generate", "diverse", "--request-rate=0", "--out=t.jsonl"];
    refused(place.path(), &bad, &["rate = 0"]);
}

/// Found only while the simulation runs, so a folder is there by then.
#[test]
fn times_that_no_clock_can_hold_are_refused() {
    let place = place();
    let far = format!("{ROW}\n{}", ROW.replace(": 1,", ": 2,"));
    fs::write(place.path().join("far.jsonl"), far).unwrap();
    let slow = fs::read_to_string(place.path().join("no-kv-latency.toml")).unwrap();
    fs::write(place.path().join("slow.toml"), slow.replace("1.0", "1e300")).unwrap();
    for args in [
        ["far.jsonl", "--speedup=1e-300"],
        ["far.jsonl", "--latency=slow.toml"],
        [
            "diverse",
            "--set=workload.arrival={process=\"on-off\", rate=1e-300, on=\"1s\", off=\"1s\"}",
        ],
    ] {
        let output = kvroute(place.path(), &[&["simulate", "--kv-blocks=999"], &args[..]].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.starts_with("kvroute: the simulation passes 146 years"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let place = place();
    refused(place.path(), &["explain", "earlier"], &["earlier", "--decisions"]);
    refused(place.path(), &["explain", "none"], &["none", "--decisions"]);
    let run = ["simulate", "diverse", "--num-requests=20", "--no-plots", "--quiet", "--decisions"];
    succeed(place.path(), &[&run[..], &["--out=run"]].concat());
    let cases: &[(&[&str], &[&str])] = &[
        (&["--request=20"], &["request 20", "19"]),
        (&["--request=0", "--router=round_robin"], &["did you mean \"round-robin\"?"]),
        (&["--request=0", "--seed=1"], &["seed 1", "42"]),
        (&["--request=-1"], &["--request", "-1"]),
    ];
    for (args, words) in cases {
        refused(place.path(), &[&["explain", "run"], *args].concat(), words);
    }
    fs::write(place.path().join("run/decisions.jsonl"), "{\"router\": 5\n").unwrap();
    refused(place.path(), &["explain", "run", "--request=0"], &["decisions.jsonl", "line 1"]);
}
