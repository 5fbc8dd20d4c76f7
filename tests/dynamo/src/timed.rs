//! Indexes driven through a stream, with the time that queries and events took.

use crate::stream::{BATCH, Step, Stream};
use dynamo_kv_router::indexer::positional::LevelIndex;
use dynamo_kv_router::protocols::{LocalBlockHash, OverlapScores, RouterEvent, WorkerWithDpRank};
use dynamo_kv_router::{
    ConcurrentRadixTreeCompressed, PositionalIndexer, RadixTree, SyncIndexer, ThreadPoolIndexer,
};
use kvroute::prompt::{BlockRun, CacheEvent};
use kvroute::router::index::PrefixIndex;
use rustc_hash::FxHashMap;
use std::time::Instant;

/// What an index took for a whole stream.
#[derive(Debug)]
pub struct Timed {
    /// Its name.
    pub index: &'static str,
    /// For all queries, seconds.
    pub query_s: f64,
    /// For all events, seconds.
    pub update_s: f64,
    /// Sum of the overlaps it found where it must agree with the truth.
    pub found: u64,
}

/// An index under test.
trait Driven {
    /// What ours asks and hears of a step: by runs, or by blocks.
    fn ours<'a>(&self, step: &'a Step) -> (&'a [BlockRun], &'a [CacheEvent]) {
        (&step.runs, &step.events)
    }

    /// Sum over all workers of the overlaps with a prompt: `runs` for ours, `local` for theirs.
    fn query(&mut self, runs: &[BlockRun], local: Vec<LocalBlockHash>) -> u64;

    /// Applies events: `ours`, with their workers, or `theirs`.
    fn update(&mut self, ours: &[(u32, CacheEvent)], theirs: Vec<RouterEvent>);
}

/// Every index, one after the other.
pub fn all(stream: &Stream, workers: usize) -> Vec<Timed> {
    vec![
        drive("kvroute (runs)", stream, &mut Ours::new(PrefixIndex::numbered(), workers, |step| &step.runs, |step| &step.events)),
        drive("kvroute (blocks)", stream, &mut Ours::new(PrefixIndex::default(), workers, |step| &step.single, |step| &step.single_events)),
        drive("RadixTree", stream, &mut Radix(RadixTree::new())),
        drive("ConcurrentRadixTreeCompressed", stream, &mut Concurrent::new()),
        drive("PositionalIndexer", stream, &mut Positional::new()),
    ]
}

fn drive(index: &'static str, stream: &Stream, driven: &mut dyn Driven) -> Timed {
    let mut timed = Timed { index, query_s: 0.0, update_s: 0.0, found: 0 };
    for steps in stream.steps.chunks(BATCH) {
        // Theirs take prompts and events by value; copying them is not their time. Ours get copies too, so
        // that all find what they are asked in the processor's caches.
        let prompts: Vec<_> =
            steps.iter().map(|step| (driven.ours(step).0.to_vec(), step.local.clone())).collect();
        let start = Instant::now();
        for (runs, local) in prompts {
            timed.found += driven.query(&runs, local);
        }
        timed.query_s += start.elapsed().as_secs_f64();
        let told = |step: &Step| driven.ours(step).1.iter().map(|event| (step.worker, *event)).collect::<Vec<_>>();
        let ours: Vec<_> = steps.iter().flat_map(told).collect();
        let theirs = steps.iter().flat_map(|step| step.theirs.iter().cloned()).collect();
        let start = Instant::now();
        driven.update(&ours, theirs);
        timed.update_s += start.elapsed().as_secs_f64();
    }
    timed
}

type Runs = fn(&Step) -> &[BlockRun];
type Events = fn(&Step) -> &[CacheEvent];

struct Ours {
    index: PrefixIndex,
    overlaps: Vec<u32>,
    runs: Runs,
    events: Events,
}

impl Ours {
    fn new(index: PrefixIndex, workers: usize, runs: Runs, events: Events) -> Ours {
        Ours { index, overlaps: vec![0; workers], runs, events }
    }
}

impl Driven for Ours {
    fn ours<'a>(&self, step: &'a Step) -> (&'a [BlockRun], &'a [CacheEvent]) {
        ((self.runs)(step), (self.events)(step))
    }

    fn query(&mut self, runs: &[BlockRun], _: Vec<LocalBlockHash>) -> u64 {
        self.index.overlaps(runs, &mut self.overlaps);
        self.overlaps.iter().map(|blocks| u64::from(*blocks)).sum()
    }

    fn update(&mut self, ours: &[(u32, CacheEvent)], _: Vec<RouterEvent>) {
        ours.iter().for_each(|(worker, event)| self.index.apply(*worker, event));
    }
}

fn sum(scores: &OverlapScores) -> u64 {
    scores.scores.values().map(|blocks| u64::from(*blocks)).sum()
}

struct Radix(RadixTree);

impl Driven for Radix {
    fn query(&mut self, _: &[BlockRun], local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.0.find_matches(local, false))
    }

    fn update(&mut self, _: &[(u32, CacheEvent)], theirs: Vec<RouterEvent>) {
        for event in theirs {
            self.0.apply_event(event).expect("nothing is lost");
        }
    }
}

struct Concurrent {
    index: ThreadPoolIndexer<ConcurrentRadixTreeCompressed>,
    runtime: tokio::runtime::Runtime,
}

impl Concurrent {
    fn new() -> Concurrent {
        let index = ThreadPoolIndexer::new(ConcurrentRadixTreeCompressed::new(), 1, 16);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Concurrent { index, runtime }
    }
}

impl Driven for Concurrent {
    fn query(&mut self, _: &[BlockRun], local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.index.backend().find_matches(&local, false))
    }

    fn update(&mut self, _: &[(u32, CacheEvent)], theirs: Vec<RouterEvent>) {
        for event in theirs {
            self.index.enqueue_event(event).expect("the pool runs");
        }
        self.runtime.block_on(self.index.flush_and_wait()).expect("the pool runs");
    }
}

struct Positional {
    index: PositionalIndexer,
    workers: FxHashMap<WorkerWithDpRank, LevelIndex>,
}

impl Positional {
    fn new() -> Positional {
        Positional { index: PositionalIndexer::new(32), workers: FxHashMap::default() }
    }
}

impl Driven for Positional {
    fn query(&mut self, _: &[BlockRun], local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.index.find_matches(&local, false))
    }

    fn update(&mut self, _: &[(u32, CacheEvent)], theirs: Vec<RouterEvent>) {
        for event in theirs {
            self.index.apply_event(&mut self.workers, event, None).expect("nothing is lost");
        }
    }
}
