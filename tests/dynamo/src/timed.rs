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
    /// Sum over all workers of the overlaps with the prompt of `step`, for theirs `local`.
    fn query(&mut self, step: &Step, local: Vec<LocalBlockHash>) -> u64;

    /// Applies the events of `steps`, made ready by `ready`.
    fn update(&mut self, steps: &[Step], ready: Vec<RouterEvent>);
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
        // Theirs take prompts and events by value; copying them is not their time.
        let local: Vec<_> = steps.iter().map(|step| step.local.clone()).collect();
        let start = Instant::now();
        for (step, local) in steps.iter().zip(local) {
            timed.found += driven.query(step, local);
        }
        timed.query_s += start.elapsed().as_secs_f64();
        let ready = steps.iter().flat_map(|step| step.theirs.iter().cloned()).collect();
        let start = Instant::now();
        driven.update(steps, ready);
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
    fn query(&mut self, step: &Step, _: Vec<LocalBlockHash>) -> u64 {
        self.index.overlaps((self.runs)(step), &mut self.overlaps);
        self.overlaps.iter().map(|blocks| u64::from(*blocks)).sum()
    }

    fn update(&mut self, steps: &[Step], _: Vec<RouterEvent>) {
        for step in steps {
            (self.events)(step).iter().for_each(|event| self.index.apply(step.worker, event));
        }
    }
}

fn sum(scores: &OverlapScores) -> u64 {
    scores.scores.values().map(|blocks| u64::from(*blocks)).sum()
}

struct Radix(RadixTree);

impl Driven for Radix {
    fn query(&mut self, _: &Step, local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.0.find_matches(local, false))
    }

    fn update(&mut self, _: &[Step], ready: Vec<RouterEvent>) {
        for event in ready {
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
    fn query(&mut self, _: &Step, local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.index.backend().find_matches(&local, false))
    }

    fn update(&mut self, _: &[Step], ready: Vec<RouterEvent>) {
        for event in ready {
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
    fn query(&mut self, _: &Step, local: Vec<LocalBlockHash>) -> u64 {
        sum(&self.index.find_matches(&local, false))
    }

    fn update(&mut self, _: &[Step], ready: Vec<RouterEvent>) {
        for event in ready {
            self.index.apply_event(&mut self.workers, event, None).expect("nothing is lost");
        }
    }
}
