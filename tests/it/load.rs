//! Load shapes by their options, in whole simulations.

use crate::program::{files, kvroute, succeed};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// A request as `requests.csv` has it.
struct Row {
    id: u64,
    session: u64,
    turn: u64,
    /// ns.
    arrival: u64,
    /// Last token, ns.
    end: u64,
    prompt: u64,
    output: u64,
}

/// The requests of round robin's run with these options, by arrival.
fn simulate(args: &[&str]) -> (TempDir, Vec<Row>) {
    let place = tempfile::tempdir().unwrap();
    let base = ["simulate", "--router-mode=round-robin", "--no-plots", "--quiet", "--out=run"];
    succeed(place.path(), &[&base[..], args].concat());
    let rows = rows(place.path());
    (place, rows)
}

fn rows(place: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(place.join("run/requests.csv")).unwrap();
    let named = |record: BTreeMap<String, String>| {
        let number = |name: &str| record[name].parse::<u64>().unwrap();
        let nanos = |name: &str| (record[name].parse::<f64>().unwrap() * 1e6).round() as u64;
        Row {
            id: number("request_id"),
            session: number("session_id"),
            turn: number("turn"),
            arrival: nanos("arrival_ms"),
            end: nanos("arrival_ms") + nanos("e2e_ms"),
            prompt: number("prompt_tokens"),
            output: number("output_tokens"),
        }
    };
    let mut rows: Vec<Row> = reader.deserialize().map(|record| named(record.unwrap())).collect();
    rows.sort_by_key(|row| (row.arrival, row.id));
    rows
}

/// First arrival and last completion of every session, ns.
fn spans(rows: &[Row]) -> BTreeMap<u64, (u64, u64)> {
    let mut spans: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let span = spans.entry(row.session).or_insert((row.arrival, row.end));
        *span = (span.0.min(row.arrival), span.1.max(row.end));
    }
    spans
}

#[test]
fn slots_hold_sessions_through_their_pauses_and_fill_again_at_once() {
    let (_, rows) = simulate(&["multi-turn", "--sessions=8", "--num-requests=300"]);
    let spans = spans(&rows);
    for (number, (start, _)) in &spans {
        let running = spans.values().filter(|(from, to)| from <= start && start < to).count();
        assert!(running <= 8);
        let freed = spans.values().any(|(_, end)| end == start);
        assert!(freed || (*number < 8 && *start == 0), "session {number} at {start}");
    }
    assert_eq!(spans.values().filter(|(start, _)| *start == 0).count(), 8);
}

#[test]
fn a_ramp_of_slots_is_staggered_and_one_of_rates_grows() {
    let args = ["diverse", "--num-requests=40", "--concurrency=4", "--ramp-up=100ms"];
    let (_, rows) = simulate(&args);
    let opened: Vec<u64> = rows[..4].iter().map(|row| row.arrival).collect();
    assert_eq!(opened, [0, 25, 50, 75].map(|ms| ms * MS));

    let rate = ["--request-rate=10", "--arrival=constant", "--ramp-up=10"];
    let (place, rows) = simulate(&[&["diverse", "--duration=20"][..], &rate].concat());
    let until = |ms: u64| rows.iter().filter(|row| row.arrival < ms * MS).count();
    // t²/2 starts by then while it grows, 10 a second after; one stands at 0.
    assert_eq!([until(1_000), until(5_000), until(9_999), until(20_000)], [1, 13, 50, 150]);
    let text = fs::read_to_string(place.path().join("run/scenario.toml")).unwrap();
    assert!(!text.contains("\nrequests ="), "the workload's own number gives way: {text}");
}

#[test]
fn bursts_are_simultaneous() {
    let (_, rows) = simulate(&["diverse", "--num-requests=50", "--burst=20", "--burst-every=3s"]);
    let times: Vec<u64> = rows.iter().map(|row| row.arrival).collect();
    let expected: Vec<u64> = (0..50).map(|id| id / 20 * 3_000 * MS).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_duration_cuts_sessions_and_repeats_from_its_scenario_to_the_byte() {
    let (place, rows) = simulate(&["multi-turn", "--duration=20", "--warm-up=50%", "--sessions=9"]);
    assert!(rows.iter().all(|row| row.arrival < 20_000 * MS));
    let measured = rows.iter().filter(|row| row.arrival >= 10_000 * MS).count();
    let summary = fs::read_to_string(place.path().join("run/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["runs"][0]["requests"]["arrived"], measured);
    assert!(measured < rows.len());
    let scenario = place.path().join("run/scenario.toml");
    fs::copy(&scenario, place.path().join("again.toml")).unwrap();
    let before = files(&place.path().join("run"));
    let args = ["simulate", "again.toml", "--quiet", "--out=run"];
    succeed(place.path(), &args);
    for (name, bytes) in files(&place.path().join("run")) {
        assert!(name == "timing.json" || before[&name] == bytes, "{name} differs");
    }
}

#[test]
fn with_a_number_of_requests_as_well_whichever_comes_first_ends_the_run() {
    let run = |args: &[&str]| {
        let rate = ["diverse", "--request-rate=10", "--arrival=constant"];
        simulate(&[&rate[..], args].concat()).1.len()
    };
    assert_eq!(run(&["--duration=3s", "--num-requests=50"]), 30);
    assert_eq!(run(&["--duration=9s", "--num-prompts=50"]), 50);
}

#[test]
fn lengths_asked_for_come_out_and_are_in_the_resolved_scenario() {
    for workload in ["shared-prefix", "multi-turn", "similar", "diverse", "agentic", "mixed"] {
        let args = [workload, "--isl=128", "--osl=10", "--num-requests=200", "--concurrency=16"];
        let (place, rows) = simulate(&args);
        assert!(rows.iter().all(|row| row.output == 10), "{workload}");
        assert!(rows.iter().filter(|row| row.turn == 0).all(|row| row.prompt == 128), "{workload}");
        assert!(rows.iter().all(|row| row.prompt >= 128), "{workload}");
        let text = fs::read_to_string(place.path().join("run/scenario.toml")).unwrap();
        assert!(text.contains("prompt_tokens = 128") && text.contains("output_tokens = 10"));
    }
}

#[test]
fn ids_and_texts_do_not_depend_on_the_shape_of_the_load() {
    let who = |args: &[&str]| -> BTreeSet<(u64, u64, u64, u64, u64)> {
        let base = ["agentic", "--num-requests=150"];
        let (_, rows) = simulate(&[&base[..], args].concat());
        rows.iter().map(|row| (row.id, row.session, row.turn, row.prompt, row.output)).collect()
    };
    let own = who(&[]);
    assert_eq!(own.len(), 150);
    for shape in [
        &["--sessions=3"][..],
        &["--concurrency=5", "--ramp-up=9s"],
        &["--burst=4", "--burst-every=5s"],
        &["--request-rate=2", "--ramp-up=10s", "--arrival=gamma", "--burstiness=0.5"],
    ] {
        assert_eq!(own, who(shape), "{shape:?}");
    }
}

#[test]
fn a_run_that_time_cannot_end_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let args = ["simulate", "diverse", "--concurrency=4", "--duration=9s", "--kv-blocks=1"];
    let output = kvroute(place.path(), &args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("one instant") && message.contains("--num-requests"), "{message}");
}

#[test]
fn sweeps_know_the_shapes() {
    let place = tempfile::tempdir().unwrap();
    let args = ["sweep", "multi-turn", "--router-mode=kv", "--no-plots", "--quiet", "--out=run"];
    let shapes = ["--sessions=2,8", "--duration=20s", "--isl=200,400", "--osl=10"];
    let text = succeed(place.path(), &[&args[..], &shapes].concat());
    assert!(text.contains("20s of arrivals"), "{text}");
    let points = fs::read_to_string(place.path().join("run/points.csv")).unwrap();
    assert_eq!(points.lines().count(), 5, "{points}");
}
