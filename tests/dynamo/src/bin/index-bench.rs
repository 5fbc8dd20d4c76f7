//! Speed of kvroute's prefix index beside Dynamo's: the same events and queries, in one process.
//!
//! Requests of a workload go to the worker that holds most of their prompt, each worker has a KV cache of its
//! own, and what the caches say is the stream of events. Every request is a query first. Naming blocks (hashing
//! tokens; for kvroute's simulation its `Paths`) is left out on both sides. Each index is driven by one thread; Dynamo's concurrent tree applies events on a
//! thread of its own, as it must.
//!
//! `index-bench WORKLOAD [ROUNDS]` prints CSV: index, round, ns per query, events per second, blocks per second.

use kvroute::cache::BlockCache;
use kvroute::prompt::{BlockRun, CacheEvent, Paths, block_runs, runs_within};
use kvroute::scenario::{Draft, EvictionKind};
use kvroute_dynamo_tests::stream::{Stream, Turn};
use kvroute_dynamo_tests::timed::{self, Timed};

const WORKERS: usize = 64;
const BLOCK_TOKENS: u32 = 16;
const KV_BLOCKS: u32 = 16_384;

/// The events and queries of `workload`.
fn stream(workload: &str) -> Stream {
    let mut draft = Draft::load(workload).expect("a workload");
    draft.set_text(&format!("cluster.block_tokens={BLOCK_TOKENS}")).expect("a block size");
    let prepared = kvroute::compare::prepare(draft.finish().expect("a scenario")).expect("it is readable");
    let mut source = kvroute::compare::open_workload(&prepared.scenario, 42).expect("it was read before");
    let mut caches: Vec<BlockCache> =
        (0..WORKERS).map(|_| BlockCache::new(KV_BLOCKS, EvictionKind::Lru)).collect();
    let mut paths = Paths::default();
    let mut stream = Stream::default();
    while let Some(at) = source.next_arrival().expect("it was read before") {
        let request = source.take().expect("it was just announced");
        let runs = block_runs(&request.segments, BLOCK_TOKENS);
        let prompt_runs = runs_within(&runs, request.prompt_tokens / BLOCK_TOKENS);
        let (runs, prompt_runs) = paths.shorten(&runs, prompt_runs);
        let prompt = runs[..prompt_runs].to_vec();
        let in_turn = request.id as usize % WORKERS;
        let held = |worker: usize| caches[worker].lookup(&prompt, u32::MAX).blocks;
        let best = (0..WORKERS).map(|place| (place + in_turn) % WORKERS).max_by_key(|at| held(*at));
        let worker = best.expect("there are workers");
        let events = serve(&mut caches[worker], &runs);
        stream.push(Turn { prompt, worker: worker as u32, events, runs });
        source.on_complete(request.id, at);
    }
    stream
}

/// A request is served from beginning to end.
fn serve(cache: &mut BlockCache, runs: &[BlockRun]) -> Vec<CacheEvent> {
    let blocks: u32 = runs.iter().map(|run| run.count).sum();
    if blocks == 0 || blocks > KV_BLOCKS {
        return Vec::new();
    }
    let found = cache.lookup(runs, blocks).blocks;
    let mut lease = cache.acquire(runs, found);
    assert!(cache.extend(&mut lease, runs, blocks, blocks), "nobody else is there");
    cache.release(lease);
    cache.drain_events().collect()
}

fn main() {
    let mut words = std::env::args().skip(1);
    let workload = words.next().unwrap_or_else(|| "shared-prefix".into());
    let rounds: u32 = words.next().map_or(5, |text| text.parse().expect("a number of rounds"));
    let stream = stream(&workload);
    eprintln!("{workload}: {}", stream.describe());
    println!("index,round,ns_per_query,events_per_s,blocks_per_s");
    for round in 1..=rounds {
        for Timed { index, query_s, update_s, found } in timed::all(&stream, WORKERS) {
            assert_eq!(found, stream.expected(), "{index} disagrees");
            println!(
                "{index},{round},{:.0},{:.0},{:.0}",
                1e9 * query_s / stream.queries() as f64,
                stream.events() as f64 / update_s,
                stream.blocks() as f64 / update_s
            );
        }
    }
}
