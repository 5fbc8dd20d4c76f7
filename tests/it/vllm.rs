//! Recordings of a real vLLM server (`../shared/reference/vllm.md`): which tokens it had cached, and
//! every block it stored and removed.

use crate::support::{bytes_of, fidelity, lines, scenario, shared};
use kvroute::compare::open_workload;
use kvroute::error::Result;
use kvroute::hash::{VllmAlgorithm, VllmHash};
use kvroute::metrics::summary::RunSummary;
use kvroute::prompt::{BlockRun, CacheEvent, Paths, block_runs};
use kvroute::request::RequestRecord;
use kvroute::sim::{Control, Setup, Sink, run};
use kvroute::units::Nanos;
use kvroute::workload::trace;
use kvroute::workload::{Session, SessionStream};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// A row of a recording, as far as it is compared.
#[derive(Deserialize)]
struct Recorded {
    prompt_ids: Vec<u32>,
    output_ids: Vec<u32>,
    cached_tokens: u32,
    arrival: f64,
}

/// A ZMQ message: frames in hex (topic, sequence number, payload).
#[derive(Deserialize)]
struct Message {
    frames: [String; 3],
}

/// The payload: time, events, data-parallel rank.
#[derive(Deserialize)]
struct Payload(#[allow(dead_code)] f64, Vec<Event>, #[allow(dead_code)] u32);

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Event {
    BlockStored {
        block_hashes: Vec<u64>,
        parent_block_hash: Option<u64>,
        token_ids: Vec<u32>,
        block_size: u32,
    },
    BlockRemoved {
        block_hashes: Vec<u64>,
    },
    AllBlocksCleared,
}

/// A change of one block, by the low 64 bits of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Stored(u64),
    Removed(u64),
}

/// Every event of a recorded stream, in order; the stream must have no gap.
fn events(path: &Path) -> Vec<Event> {
    let mut expected = None;
    let mut all = Vec::new();
    for message in lines::<Message>(path) {
        let number = u64::from_str_radix(&message.frames[1], 16).unwrap();
        assert!(expected.is_none_or(|expected| expected == number), "gap before {number}");
        expected = Some(number + 1);
        let payload: Payload = rmp_serde::from_slice(&bytes_of(&message.frames[2])).unwrap();
        all.extend(payload.1);
    }
    all
}

/// The changes that `events` tell of, after every stored hash has been computed again from its
/// tokens and its parent.
fn checked_changes(events: &[Event], algorithm: VllmAlgorithm) -> Vec<Change> {
    let root = algorithm.root("0");
    let mut known: HashMap<u64, VllmHash> = HashMap::new();
    let mut changes = Vec::new();
    for event in events {
        match event {
            Event::BlockStored { block_hashes, parent_block_hash, token_ids, block_size } => {
                let parent = parent_block_hash.map_or(root, |parent| known[&parent]);
                let computed = algorithm.blocks(parent, token_ids, *block_size);
                let low: Vec<u64> = computed.iter().map(VllmHash::low64).collect();
                assert_eq!(low, *block_hashes);
                known.extend(low.iter().copied().zip(computed));
                changes.extend(low.into_iter().map(Change::Stored));
            }
            Event::BlockRemoved { block_hashes } => {
                changes.extend(block_hashes.iter().copied().map(Change::Removed));
            }
            Event::AllBlocksCleared => assert!(changes.is_empty(), "only cleared at the start"),
        }
    }
    changes
}

fn stored(changes: &[Change]) -> usize {
    changes.iter().filter(|change| matches!(change, Change::Stored(_))).count()
}

#[test]
fn every_recorded_hash_is_computed_again_from_its_tokens() {
    for (file, algorithm, hashes) in [
        ("oracle/vllm-seq-hard-events.jsonl", VllmAlgorithm::Sha256, 921),
        ("oracle/vllm-cbor-events.jsonl", VllmAlgorithm::Sha256Cbor, 108),
    ] {
        let Some(path) = shared(file) else { return };
        let found = stored(&checked_changes(&events(&path), algorithm));
        assert_eq!(found, hashes);
        fidelity(
            "block hashes of vLLM",
            &format!("recorded KV events, `{file}`"),
            "vllm::every_recorded_hash_is_computed_again_from_its_tokens",
            format!("{found} of {hashes} equal ({algorithm:?})"),
        );
    }
}

/// What a run of one worker did.
#[derive(Default)]
struct Watch {
    records: Vec<RequestRecord>,
    events: Vec<CacheEvent>,
}

impl Sink for Watch {
    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        self.records.push(record.clone());
        Ok(())
    }

    fn wants_cache_events(&self) -> bool {
        true
    }

    fn cache_events(&mut self, worker: u32, _at: Nanos, events: &[CacheEvent]) -> Result<()> {
        assert_eq!(worker, 0);
        self.events.extend_from_slice(events);
        Ok(())
    }
}

/// The recorded server, modelled.
const SERVER: [&str; 5] = [
    "cluster.workers=1",
    "cluster.block_tokens=32",
    "cluster.kv_blocks=319",
    "cluster.max_batched_tokens=2048",
    "cluster.max_seqs=16",
];

/// One request at a time, as the sequential recordings were made.
const ONE_AT_A_TIME: &str = "workload.arrival={ process = \"closed\", concurrency = 1 }";

fn replay(path: &Path, router: &str, overrides: &[&str]) -> (Watch, RunSummary) {
    let overrides = [&SERVER, overrides].concat();
    let scenario = scenario(path.to_str().unwrap(), &overrides);
    let setup = Setup::new(&scenario, router, 1).unwrap();
    let source = open_workload(&scenario, 1).unwrap();
    let mut watch = Watch::default();
    let output = run(&setup, source, &mut watch, &Control::default()).unwrap();
    watch.records.sort_by_key(|record| record.id);
    (watch, output.summary)
}

/// How many requests reused exactly what the server did.
fn equal_hits(watch: &Watch, recorded: &[Recorded]) -> usize {
    assert_eq!(watch.records.len(), recorded.len());
    let pairs = watch.records.iter().zip(recorded);
    pairs.filter(|(record, row)| record.hit_tokens == row.cached_tokens).count()
}

#[test]
fn all_220_sequential_requests_hit_what_the_server_hit() {
    let Some(path) = shared("oracle/vllm-seq-hard.jsonl") else { return };
    let recorded: Vec<Recorded> = lines(&path);
    let equal = |overrides: &[&str]| {
        let (watch, _) = replay(&path, "kv", &[&[ONE_AT_A_TIME], overrides].concat());
        equal_hits(&watch, &recorded)
    };
    assert_eq!((equal(&[]), recorded.len()), (220, 220));
    fidelity(
        "cache hits of a sequential client under eviction (`vllm`)",
        "a real vLLM 0.32 server, `oracle/vllm-seq-hard.jsonl`",
        "vllm::all_220_sequential_requests_hit_what_the_server_hit",
        "hit tokens equal for 220 of 220 requests",
    );
    // The recording can tell a wrong model from the right one.
    for wrong in [
        "cluster.eviction=fifo",
        "cluster.eviction=lfu",
        "cluster.kv_blocks=320",
        "cluster.kv_blocks=318",
        "cluster.block_tokens=16",
    ] {
        let found = equal(&[wrong]);
        eprintln!("{wrong}: {found} of 220");
        assert!(found < 220, "{wrong} makes no difference");
    }
}

/// The blocks of a trace as the simulation names them where it meets them in this order, with vLLM's
/// hashes.
fn hashes_of_blocks(path: &Path, block: u32, recorded: &[Recorded]) -> HashMap<(u64, u32), u64> {
    let algorithm = VllmAlgorithm::Sha256;
    let root = algorithm.root("0");
    let mut stream = trace::open(&trace::spec(path)).unwrap();
    let mut paths = Paths::default();
    let mut names = HashMap::new();
    for row in recorded {
        let Session { mut turns, .. } = stream.next_session().unwrap().unwrap();
        let turn = turns.remove(0);
        let segments = [&turn.prompt[..], &turn.output[..]].concat();
        let tokens = [&row.prompt_ids[..], &row.output_ids[..]].concat();
        let (runs, _) = paths.shorten(&block_runs(&segments, block), usize::MAX);
        let hashes = algorithm.blocks(root, &tokens, block);
        let keys: Vec<(u64, u32)> = runs.iter().flat_map(ascending).collect();
        assert_eq!(keys.len(), hashes.len());
        for (key, hash) in keys.into_iter().zip(hashes) {
            let known = *names.entry(key).or_insert(hash.low64());
            assert_eq!(known, hash.low64(), "two prefixes under one key");
        }
    }
    names
}

fn ascending(run: &BlockRun) -> impl DoubleEndedIterator<Item = (u64, u32)> + use<> {
    let content = run.content;
    (run.first..run.end()).map(move |index| (content, index))
}

/// The changes a simulation told of, under vLLM's names.
fn simulated_changes(events: &[CacheEvent], names: &HashMap<(u64, u32), u64>) -> Vec<Change> {
    let mut changes = Vec::new();
    for event in events {
        match event {
            CacheEvent::Stored { run, .. } => {
                changes.extend(ascending(run).map(|key| Change::Stored(names[&key])));
            }
            CacheEvent::Removed { run, .. } => {
                changes.extend(ascending(run).rev().map(|key| Change::Removed(names[&key])));
            }
            CacheEvent::Cleared => panic!("nothing clears a simulated cache"),
        }
    }
    changes
}

#[test]
fn every_block_is_stored_and_removed_when_the_server_did() {
    let (Some(path), Some(stream)) =
        (shared("oracle/vllm-seq-hard.jsonl"), shared("oracle/vllm-seq-hard-events.jsonl"))
    else {
        return;
    };
    let recorded = events(&stream);
    assert!(matches!(recorded[0], Event::AllBlocksCleared), "the server began empty");
    let theirs = checked_changes(&recorded, VllmAlgorithm::Sha256);
    let names = hashes_of_blocks(&path, 32, &lines::<Recorded>(&path));
    // Whether the router wants events or not, and whatever becomes of them on their way to it.
    for (router, extra) in
        [("kv", "router.event_loss=0.5"), ("round-robin", "router.event_delay=5ms")]
    {
        let (watch, _) = replay(&path, router, &[ONE_AT_A_TIME, extra]);
        let ours = simulated_changes(&watch.events, &names);
        let same = ours.iter().zip(&theirs).take_while(|(our, their)| our == their).count();
        assert_eq!((same, ours.len()), (1524, theirs.len()), "{router}: the first {same} agree");
    }
    assert_eq!((stored(&theirs), theirs.len()), (921, 1524));
    fidelity(
        "blocks stored and evicted, and in which order (`vllm`)",
        "the KV event stream of that server, `oracle/vllm-seq-hard-events.jsonl`",
        "vllm::every_block_is_stored_and_removed_when_the_server_did",
        format!("{} of {} changes equal, hash by hash", theirs.len(), theirs.len()),
    );
}

#[test]
fn the_poisson_recording_replays_at_its_own_times() {
    let Some(path) = shared("oracle/vllm-poisson.jsonl") else { return };
    let recorded: Vec<Recorded> = lines(&path);
    let (watch, summary) = replay(&path, "round-robin", &[]);
    assert_eq!(summary.requests.completed, 250);
    for (record, row) in watch.records.iter().zip(&recorded) {
        let wanted = row.arrival - recorded[0].arrival;
        let off = (record.arrival.as_secs_f64() - wanted).abs();
        assert!(off < 1e-6, "request {} is off by {off} s", record.id);
        assert_eq!(record.prompt_tokens as usize, row.prompt_ids.len());
        assert_eq!(record.output_tokens as usize, row.output_ids.len());
    }
    // The default latency model is not that of the recorded server, so a few requests see another
    // state of the cache.
    let equal = equal_hits(&watch, &recorded);
    assert!(equal >= 240, "{equal} of 250");
}
