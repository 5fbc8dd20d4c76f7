//! Traces: published ones against independent ground truth, and what is written against what is read
//! back.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

use crate::support::fidelity;
use kvroute::error::Result;
use kvroute::inspect::caches::Caches;
use kvroute::inspect::{Options, Report, TouchOrder, inspect};
use kvroute::prompt::{Segment, block_runs};
use kvroute::request::{Request, RequestId};
use kvroute::scenario::{TraceFormat, WorkloadSpec};
use kvroute::units::Nanos;
use kvroute::workload::{SessionStream, Source, trace};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A file of the shared traces and texts, or `None` with a loud note.
fn shared(name: &str) -> Option<PathBuf> {
    crate::support::shared(&format!("data/{name}"))
}

fn ground_truth(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(shared("ground_truth.json")?).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    Some(all[name].clone())
}

const MOONCAKE: [&str; 2] = ["mooncake_conversation_trace", "mooncake_synthetic_trace"];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The keys of an object, as numbers.
fn keys(object: &Value) -> Vec<u64> {
    let keys = object.as_object().unwrap().keys();
    keys.map(|key| key.parse().unwrap()).collect()
}

#[test]
fn inspection_reproduces_every_hit_of_the_ground_truth() {
    for name in MOONCAKE {
        let (Some(path), Some(truth)) =
            (shared(&format!("traces/{name}.jsonl")), ground_truth(name))
        else {
            return;
        };
        let workers = keys(&truth["round_robin_infinite"]);
        let options = Options {
            capacities: keys(&truth["lru_rev"]),
            round_robin: workers.iter().map(|n| *n as u32).collect(),
            ..Options::default()
        };
        let report = inspect(&trace::spec(&path), &options).unwrap();
        check_totals(&report, &truth);
        check_hits(&report, &truth);
        let limited = WorkloadSpec { limit: Some(1000), ..trace::spec(&path) };
        let options =
            Options { capacities: vec![1000], round_robin: vec![4], ..Options::default() };
        check_first_thousand(&inspect(&limited, &options).unwrap(), &truth["prefix_1000_requests"]);
        fidelity(
            "trace reading, infinite, LRU and round-robin hit counts",
            &format!("independent ground truth of `{name}`"),
            "traces::inspection_reproduces_every_hit_of_the_ground_truth",
            "every integer equal, and the hits of every single request",
        );
    }
}

fn check_totals(report: &Report, truth: &Value) {
    let facts = &truth["describe"];
    assert_eq!(report.trace.sha256, truth["sha256_uncompressed"].as_str().unwrap());
    assert_eq!(report.requests, number(&facts["requests"]));
    assert_eq!(report.prompt_tokens, number(&facts["total_input_tokens"]));
    assert_eq!(report.output_tokens, number(&facts["total_output_tokens"]));
    assert_eq!(report.blocks, number(&facts["total_blocks"]));
    assert_eq!(report.unique_blocks, number(&facts["unique_blocks"]));
    assert_eq!(report.full_blocks, number(&facts["total_full_blocks"]));
    assert_eq!(report.infinite.full_block_hits, number(&truth["infinite"]["full_block_hits"]));
    assert_eq!(report.infinite.hit_blocks, report.blocks - report.unique_blocks);
    for (ours, theirs) in [
        (report.lengths.prompt_tokens, &facts["input_len"]),
        (report.lengths.output_tokens, &facts["output_len"]),
    ] {
        let ours = [ours.min, ours.p50, ours.p90, ours.p99, ours.max].map(u64::from);
        assert_eq!(ours, ["min", "p50", "p90", "p99", "max"].map(|key| number(&theirs[key])));
    }
    let arrivals = report.arrivals.unwrap();
    assert_eq!(arrivals.distinct_times, number(&facts["distinct_timestamps"]));
    let most = number(&facts["max_requests_at_one_timestamp"]);
    assert_eq!(arrivals.most_at_one_time, most);
}

fn check_hits(report: &Report, truth: &Value) {
    let same = |blocks: u64, tokens: u64, truth: &Value| {
        assert_eq!((blocks, tokens), (number(&truth["hit_blocks"]), number(&truth["hit_tokens"])));
    };
    let endless = &report.infinite;
    same(endless.hit_blocks, endless.hit_tokens, &truth["infinite"]);
    for lru in &report.lru {
        let list = &truth[format!("lru_{}", lru.touch_order.name())];
        same(lru.hit_blocks, lru.hit_tokens, &list[lru.capacity_blocks.to_string()]);
    }
    for entry in &report.round_robin_infinite {
        let list = &truth["round_robin_infinite"];
        same(entry.hit_blocks, entry.hit_tokens, &list[entry.workers.to_string()]);
    }
}

fn check_first_thousand(report: &Report, truth: &Value) {
    let hits = |name: &str| number(&truth[name]["hit_tokens"]);
    assert_eq!(report.infinite.hit_tokens, hits("infinite"));
    assert_eq!(report.lru[0].hit_tokens, hits("lru_rev_1000"));
    assert_eq!(report.lru[1].hit_tokens, hits("lru_fwd_1000"));
    assert_eq!(report.round_robin_infinite[0].hit_tokens, hits("round_robin_infinite_4"));
}

/// The hits of each single request, as the ground truth hashes them.
#[derive(Default)]
struct PerRequest(String);

impl PerRequest {
    fn add(&mut self, hit: usize) {
        writeln!(self.0, "{hit}").unwrap();
    }

    fn check(&self, truth: &Value) {
        let hash = Sha256::digest(self.0.as_bytes());
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, truth["m_sha256"].as_str().unwrap());
    }
}

#[test]
fn the_hit_of_every_single_request_is_that_of_the_ground_truth() {
    for name in MOONCAKE {
        let (Some(path), Some(truth)) =
            (shared(&format!("traces/{name}.jsonl")), ground_truth(name))
        else {
            return;
        };
        let capacities = keys(&truth["lru_rev"]);
        let workers = keys(&truth["round_robin_infinite"]);
        let numbers: Vec<u32> = workers.iter().map(|n| *n as u32).collect();
        let mut caches = Caches::new(512, &[TouchOrder::Rev, TouchOrder::Fwd], &numbers);
        let mut hits: BTreeMap<(&str, u64), PerRequest> = BTreeMap::new();
        let mut stream = trace::open(&trace::spec(&path)).unwrap();
        while let Some(session) = stream.next_session().unwrap() {
            let mut add = |list, key, hit| hits.entry((list, key)).or_default().add(hit);
            add("infinite", 0, caches.add(&session.turns[0].prompt));
            for (list, (_, stack)) in ["lru_rev", "lru_fwd"].iter().zip(caches.stacks()) {
                capacities.iter().for_each(|c| add(list, *c, stack.last_hit_blocks(*c)));
            }
            for (workers, _, last) in caches.round_robin() {
                add("round_robin_infinite", u64::from(workers), last);
            }
        }
        assert_eq!(hits.len(), 1 + 2 * capacities.len() + workers.len());
        for ((list, key), hits) in hits {
            let entry = &truth[list];
            hits.check(entry.get(key.to_string()).unwrap_or(entry));
        }
    }
}

#[test]
fn azure_traces_have_the_published_size() {
    for (kind, requests, prompt, output) in
        [("code", 8_819, 2_047.8, 27.9), ("conv", 19_366, 1_154.7, 211.1)]
    {
        let Some(path) = shared(&format!("traces/AzureLLMInferenceTrace_{kind}.csv")) else {
            return;
        };
        let report = inspect(&trace::spec(&path), &Options::default()).unwrap();
        assert_eq!((report.requests, report.trace.format), (requests, TraceFormat::Azure));
        assert_eq!(report.infinite.hit_blocks, 0);
        let lengths = report.lengths;
        assert!((lengths.prompt_tokens.mean - prompt).abs() < 0.05);
        assert!((lengths.output_tokens.mean - output).abs() < 0.05);
        assert_eq!(report.arrivals.unwrap().distinct_times, requests);
    }
}

#[test]
fn conversations_are_read_from_weka_and_sharegpt() {
    if let Some(path) = shared("traces/weka_agentic_subset.jsonl.gz") {
        let facts = trace::scan(&trace::spec(&path)).unwrap();
        assert_eq!((facts.requests, facts.sessions), (3_434, 89));
        assert_eq!(facts.native_block_tokens, Some(64));
    }
    if let Some(path) = shared("multiturn/fastchat_dummy_conversation.json") {
        let facts = trace::scan(&trace::spec(&path)).unwrap();
        assert_eq!((facts.sessions, facts.failed_rows), (500, 0));
        assert_eq!(facts.format, TraceFormat::Sharegpt);
    }
    if let Some(path) = shared("traces/mooncake_arxiv_sample24.jsonl") {
        assert_eq!(trace::scan(&trace::spec(&path)).unwrap().requests, 24);
    }
}

#[test]
fn a_written_trace_shares_as_much_as_the_one_it_was_made_from() {
    let Some(path) = shared("traces/mooncake_synthetic_trace.jsonl") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.jsonl");
    let mut stream = trace::open(&trace::spec(&path)).unwrap();
    let rows = std::iter::from_fn(|| stream.next_session().transpose()).map(|session| {
        let session = session?;
        let turn = &session.turns[0];
        Ok((session.start.unwrap(), turn.prompt.clone(), turn.output[0].tokens))
    });
    assert_eq!(trace::write_mooncake(&copy, rows).unwrap(), 3_993);
    // Ids in the original are dense in order of first appearance, too: nothing but blanks differs.
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), without_blanks(&path));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn without_blanks(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.replace(' ', "")
}

#[test]
fn a_trace_that_cannot_be_finished_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let prompt = vec![Segment { content: 1, tokens: 700 }];
    let rows = [Ok((Nanos::ZERO, prompt, 5)), Err(kvroute::error::Error::input("stop"))];
    assert!(trace::write_mooncake(&path, rows).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Three requests in a closed loop: the next one comes when the last has completed.
struct ClosedLoop {
    next: RequestId,
    free: bool,
}

impl Source for ClosedLoop {
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        Ok((self.free && self.next < 3).then_some(Nanos(self.next * 1_000_000)))
    }

    fn take(&mut self) -> Result<Request> {
        let id = self.next;
        (self.next, self.free) = (id + 1, false);
        let segment = |content, tokens| Segment { content, tokens };
        Ok(Request {
            id,
            session: 0,
            turn: id as u32,
            arrival: Nanos(id * 1_000_000),
            segments: vec![segment(1, 600), segment(10 + id, 500), segment(20 + id, 7)],
            prompt_tokens: 1100,
            output_tokens: 7,
        })
    }

    fn on_complete(&mut self, _id: RequestId, _now: Nanos) -> bool {
        self.free = true;
        false
    }
}

#[test]
fn a_closed_loop_is_drained_and_keeps_its_shared_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let mut source = ClosedLoop { next: 0, free: true };
    assert_eq!(trace::write_source(&path, &mut source).unwrap(), 3);
    let text = std::fs::read_to_string(&path).unwrap();
    let first = r#"{"timestamp":0,"input_length":1100,"output_length":7,"hash_ids":[0,1,2]}"#;
    assert_eq!(text.lines().next().unwrap(), first);
    assert!(text.lines().nth(1).unwrap().ends_with("[0,3,4]}"));
    let mut stream = trace::open(&trace::spec(&path)).unwrap();
    let mut prompt = || stream.next_session().unwrap().unwrap().turns.remove(0).prompt;
    let (a, b) = (block_runs(&prompt(), 16), block_runs(&prompt(), 16));
    assert!(a[0] == b[0] && a[0].count == 32 && a[1] != b[1]);
}
