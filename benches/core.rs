//! Hot paths one by one, and whole runs: `cargo bench`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvroute::cache::BlockCache;
use kvroute::compare::{open_workload, prepare};
use kvroute::prompt::{BlockRun, CacheEvent, mix};
use kvroute::router::index::PrefixIndex;
use kvroute::scenario::{Draft, EvictionKind};
use kvroute::sim::queue::{EventQueue, Ranked};
use kvroute::sim::{Control, NoSink, Setup, run};
use kvroute::units::Nanos;
use std::hint::black_box;

struct Event;

impl Ranked for Event {
    fn rank(&self) -> u8 {
        0
    }
}

fn event_queue(c: &mut Criterion) {
    let mut queue = EventQueue::default();
    (0..64).for_each(|worker| queue.push(Nanos(worker), Event));
    c.bench_function("event queue, 64 workers: pop and push", |b| {
        b.iter(|| {
            let (at, event) = queue.pop().expect("it never runs empty");
            queue.push(at + Nanos(1 + at.0 * 7919 % 64), event);
        });
    });
}

/// A prompt of `runs` runs of 32 blocks whose content depends on `prompt`.
fn prompt(prompt: u64, runs: u64) -> Vec<BlockRun> {
    (0..runs).map(|at| BlockRun { content: mix(&[prompt, at]), first: 0, count: 32 }).collect()
}

fn cache(c: &mut Criterion) {
    const BLOCKS: u32 = 768;
    let mut group = c.benchmark_group("cache, prompt of 768 blocks");
    group.throughput(Throughput::Elements(u64::from(BLOCKS)));
    let mut cache = BlockCache::new(16_384, EvictionKind::Lru);
    let mut number = 0;
    group.bench_function("miss, store and evict", |b| {
        b.iter(|| {
            number += 1;
            let runs = prompt(number, 24);
            let mut lease = cache.acquire(&runs, 0);
            assert!(cache.extend(&mut lease, &runs, BLOCKS, BLOCKS));
            cache.release(lease);
            cache.drain_events();
        });
    });
    let runs = prompt(number, 24);
    group.bench_function("hit", |b| {
        b.iter(|| {
            let found = cache.lookup(&runs, BLOCKS);
            let lease = cache.acquire(&runs, found.blocks);
            cache.release(lease);
        });
    });
    group.finish();
}

fn index(c: &mut Criterion) {
    let mut index = PrefixIndex::default();
    for worker in 0..64u32 {
        for at in 0..200 {
            for run in prompt(u64::from(worker % 8) + 8 * at, 16) {
                index.apply(worker, &CacheEvent::Stored { run, copy: false });
            }
        }
    }
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

criterion_group!(benches, event_queue, cache, index, live_text, whole_runs);
criterion_main!(benches);
