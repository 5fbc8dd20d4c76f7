//! Hot paths one by one, and whole runs: `cargo bench`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvroute::cache::BlockCache;
use kvroute::compare::{open_workload, prepare};
use kvroute::prompt::{BlockRun, CacheEvent, Paths, mix};
use kvroute::router::frontend::ClusterFacts;
use kvroute::router::index::PrefixIndex;
use kvroute::router::{Frontend, ROUTERS, RouteRequest, build};
use kvroute::scenario::{Draft, EvictionKind, KvSpec, RouterSpec};
use kvroute::sim::queue::{EventQueue, Ranked};
use kvroute::sim::{Control, NoSink, Setup, run};
use kvroute::units::Nanos;
use kvroute::workload::trace;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

struct Event;

impl Ranked for Event {
    fn rank(&self) -> u8 {
        0
    }
}

fn event_queue(c: &mut Criterion) {
    for workers in [64, 1000] {
        let mut queue = EventQueue::default();
        (0..workers).for_each(|worker| queue.push(Nanos(worker), Event));
        c.bench_function(&format!("event queue, {workers} workers: pop and push"), |b| {
            b.iter(|| {
                let (at, event) = queue.pop().expect("it never runs empty");
                queue.push(at + Nanos(1 + at.0 * 7919 % workers), event);
            });
        });
    }
}

/// A prompt of `runs` runs of 32 blocks whose content depends on `prompt`.
fn prompt(prompt: u64, runs: u64) -> Vec<BlockRun> {
    (0..runs).map(|at| BlockRun { content: mix(&[prompt, at]), first: 0, count: 32 }).collect()
}

fn cache(c: &mut Criterion) {
    const BLOCKS: u32 = 768;
    for (name, runs, each) in [("24 runs", 24u64, 32), ("one run", 1, 768)] {
        let prompt = |number: u64| -> Vec<BlockRun> {
            let run = |at| BlockRun { content: mix(&[number, at]), first: 0, count: each };
            (0..runs).map(run).collect()
        };
        let mut group = c.benchmark_group(format!("cache, prompt of 768 blocks in {name}"));
        group.throughput(Throughput::Elements(u64::from(BLOCKS)));
        let mut cache = BlockCache::new(16_384, EvictionKind::Lru);
        let mut number = 0;
        group.bench_function("miss, store and evict", |b| {
            b.iter(|| {
                number += 1;
                let runs = prompt(number);
                let mut lease = cache.acquire(&runs, 0);
                assert!(cache.extend(&mut lease, &runs, BLOCKS, BLOCKS));
                cache.release(lease);
                cache.drain_events();
            });
        });
        let mut cache = BlockCache::new(16_384, EvictionKind::Lru);
        let runs = prompt(0);
        let mut lease = cache.acquire(&runs, 0);
        assert!(cache.extend(&mut lease, &runs, BLOCKS, BLOCKS));
        cache.release(lease);
        group.bench_function("hit", |b| {
            b.iter(|| {
                let found = cache.lookup(&runs, BLOCKS);
                let lease = cache.acquire(&runs, found.blocks);
                cache.release(lease);
            });
        });
        group.finish();
    }
}

/// What every worker tells: 200 prompts each, of which one in `groups` workers hold the same.
fn warm(workers: u32, groups: u32, mut tell: impl FnMut(u32, &[CacheEvent])) {
    for worker in 0..workers {
        for at in 0..200 {
            let runs = prompt(u64::from(worker % groups) + u64::from(groups) * at, 16);
            let events: Vec<CacheEvent> =
                runs.into_iter().map(|run| CacheEvent::Stored { run, copy: false }).collect();
            tell(worker, &events);
        }
    }
}

fn index(c: &mut Criterion) {
    let mut index = PrefixIndex::default();
    warm(64, 8, |worker, events| events.iter().for_each(|event| index.apply(worker, event)));
    let runs = prompt(3, 16);
    let mut overlaps = vec![0; 64];
    c.bench_function("index, 64 workers: query of 512 blocks", |b| {
        b.iter(|| index.overlaps(black_box(&runs), &mut overlaps));
    });
    let run = BlockRun { content: mix(&[1, 2, 3]), first: 0, count: 32 };
    c.bench_function("index: store and remove 32 blocks", |b| {
        b.iter(|| {
            index.apply(7, &CacheEvent::Stored { run, copy: false });
            index.apply(7, &CacheEvent::Removed { run, copy: false });
        });
    });
}

/// A prompt of 8,192 tokens, an eighth of the workers holding it, with what the frontend books.
fn decisions(c: &mut Criterion) {
    for workers in [4u32, 64, 1000] {
        let mut group = c.benchmark_group(format!("decision, {workers} workers"));
        for entry in ROUTERS {
            let facts =
                ClusterFacts { workers: workers as usize, block_tokens: 16, kv_blocks: 1 << 20 };
            let policy = build(entry.name, &RouterSpec::default()).expect("it is in the list");
            let mut frontend = Frontend::new(policy, &KvSpec::default(), facts, 1, 0);
            warm(workers, 8, |worker, events| frontend.on_cache_events(worker, events));
            let runs: Arc<[BlockRun]> = prompt(3, 16).into();
            let mut id = 0;
            group.bench_function(entry.name, |b| {
                b.iter(|| {
                    id += 1;
                    let request = RouteRequest {
                        id,
                        session: id,
                        now: Nanos(id),
                        prompt_tokens: 8192,
                        runs: &runs,
                        true_best_overlap: 512,
                    };
                    black_box(frontend.route(&request, &runs, false));
                    // Eight requests per worker in flight.
                    if id > u64::from(8 * workers) {
                        frontend.on_complete(id - u64::from(8 * workers));
                    }
                });
            });
        }
        group.finish();
    }
}

fn paths(c: &mut Criterion) {
    let mut paths = Paths::default();
    let runs = prompt(1, 24);
    c.bench_function("paths: a known prompt of 24 runs", |b| {
        b.iter(|| paths.shorten(black_box(&runs), 24));
    });
}

fn readers(c: &mut Criterion) {
    let place = tempfile::tempdir().expect("benches may write");
    let mut text = String::new();
    for line in 0..20_000u64 {
        let hashes: Vec<u64> = (0..24).map(|at| line / 4 * 24 + at).collect();
        let time = line * 250;
        let _ = writeln!(
            text,
            "{{\"timestamp\": {time}, \"input_length\": 12288, \"output_length\": 300, \"hash_ids\": {hashes:?}}}"
        );
    }
    let path = place.path().join("trace.jsonl");
    std::fs::write(&path, &text).expect("benches may write");
    let mut group = c.benchmark_group("readers");
    group.sample_size(20).throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("mooncake, hashed", |b| {
        b.iter(|| trace::scan(&trace::spec(&path)).expect("it is well formed"));
    });
    group.finish();
}

fn whole_runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulated requests, kv");
    group.sample_size(10);
    for workload in ["shared-prefix", "multi-turn"] {
        let draft = Draft::load(workload).and_then(|draft| draft.finish());
        let prepared = draft.and_then(prepare).expect("bundled workloads are valid");
        let setup = Setup::new(&prepared.scenario, "kv", 42).expect("kv is a router");
        group.throughput(Throughput::Elements(prepared.requests));
        group.bench_function(workload, |b| {
            b.iter_batched(
                || open_workload(&prepared.scenario, 42).expect("generators need no file"),
                |source| run(&setup, source, &mut NoSink, &Control::default()),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What a live request costs before its first byte is sent, but for the socket.
#[cfg(feature = "live")]
fn live_text(c: &mut Criterion) {
    use kvroute::live::body::{Bodies, BodySpec, EndpointType};
    use kvroute::live::conversation::Conversations;
    use kvroute::live::{expected::Expected, text::Pieces, tokenizer::Tokenizer};
    use kvroute::prompt::Segment;
    use kvroute::request::Request;

    let tokenizer = Tokenizer::load(None).expect("the embedded tokenizer is whole");
    let pieces = Pieces::find(&tokenizer).expect("and has words");
    let mut out = Vec::with_capacity(1 << 16);
    let mut number = 0;
    c.bench_function("live: text of 128 tokens", |b| {
        b.iter(|| {
            number += 1;
            out.clear();
            pieces.write(&mut out, number, 0, 128, true);
            out.len()
        });
    });
    let spec = BodySpec {
        model: "model".into(),
        endpoint: EndpointType::Chat,
        streaming: true,
        ignore_eos: true,
        extra: serde_json::Map::new(),
    };
    let bodies = Bodies::new(&spec).expect("no extra keys");
    let mut said = Conversations::new(false);
    let mut expected = Expected::new(16);
    let segment = |content, tokens| Segment { content, tokens };
    c.bench_function("live: single request of 128 tokens, prompt, expected hits and body", |b| {
        b.iter(|| {
            number += 1;
            let request = Request {
                id: number,
                session: number,
                turn: 0,
                arrival: Nanos(0),
                segments: vec![segment(number, 128), segment(number ^ 1, 10)],
                prompt_tokens: 128,
                output_tokens: 10,
            };
            let prompt = said.prompt(&request);
            let hits = expected.sent(&prompt);
            out.clear();
            bodies.write(&mut out, &pieces, &prompt, 10);
            said.forget(number);
            (hits, out.len())
        });
    });
}

#[cfg(not(feature = "live"))]
fn live_text(_: &mut Criterion) {}

criterion_group!(
    benches,
    event_queue,
    cache,
    index,
    decisions,
    paths,
    readers,
    live_text,
    whole_runs
);
criterion_main!(benches);
