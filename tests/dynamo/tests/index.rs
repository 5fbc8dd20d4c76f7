//! Which worker holds how much of a prompt: kvroute's prefix index against Dynamo's.
//!
//! On what an engine emits (a block is evicted only after every block behind it), all agree. Where a
//! block goes from the middle, they do not:
//!
//! - kvroute keeps what lies behind it, and counts it again once the gap is closed.
//! - `RadixTree` and `ConcurrentRadixTreeCompressed` forget what lies behind it in the same edge of
//!   the compressed tree (how much that is depends on how the blocks were stored and shared), and
//!   keep, hidden, what lies in other edges, unless no worker holds the whole edge any more.
//!   `ConcurrentRadixTreeCompressed` may then also report more than there is: its walk takes two
//!   sets of workers of one size for the same (the "equal-size skip" of its README).
//! - `PositionalIndexer` keeps it, as kvroute does, but its search jumps over gaps.
//!
//! A stored event whose parent is not known (its event was lost) is dropped by all three of theirs;
//! kvroute keeps the blocks and counts them once the prefix is there.

use kvroute::prompt::Segment;
use kvroute::rng::{Rng, Stream, stream};
use kvroute_dynamo_tests::cache::Cache;
use kvroute_dynamo_tests::fidelity;
use kvroute_dynamo_tests::indexes::{Block, Indexes};
use kvroute_dynamo_tests::prompts::Prompt;
use rand::RngExt;

const STREAMS: u64 = 600;
const STEPS: u32 = 400;

/// Stores a prefix of `prompt`, in events of random size, from the first block that is missing or
/// from some block before it.
fn store(indexes: &mut Indexes, worker: u32, cache: &mut Cache, prompt: &Prompt, rng: &mut Rng) {
    let to = rng.random_range(0..=prompt.blocks.len());
    let mut at = cache.leading(prompt).min(to);
    if rng.random_bool(0.2) {
        at = rng.random_range(0..=at);
    }
    while at < to {
        let end = rng.random_range(at + 1..=to);
        let parent = at.checked_sub(1).map(|before| prompt.chained[before]);
        let blocks: Vec<Block> = (at..end).map(|at| prompt.block(at)).collect();
        indexes.store(worker, parent, &blocks);
        for (block, at) in blocks.iter().zip(at..) {
            cache.insert(at.checked_sub(1).map(|before| prompt.chained[before]), *block);
        }
        at = end;
    }
}

struct Random {
    rng: Rng,
    prompts: Vec<Prompt>,
    caches: Vec<Cache>,
    indexes: Indexes,
}

impl Random {
    fn new(lane: u64, threads: usize) -> Random {
        let mut rng = stream(20_261_122, Stream::Content, lane);
        let workers = rng.random_range(2..9);
        let block = [1, 3, 16, 17][rng.random_range(0..4)];
        let prompts = Prompt::family(rng.random_range(2..40), block, &mut rng);
        Random {
            rng,
            prompts,
            caches: vec![Cache::default(); workers],
            indexes: Indexes::new(workers, threads),
        }
    }

    /// One random step; true where it is time to compare.
    fn step(&mut self, remove: fn(&mut Cache, &mut Rng) -> Vec<Block>) -> Option<Prompt> {
        let worker = self.rng.random_range(0..self.caches.len());
        let cache = &mut self.caches[worker];
        let prompt = &self.prompts[self.rng.random_range(0..self.prompts.len())];
        match self.rng.random_range(0..100) {
            0..40 => store(&mut self.indexes, worker as u32, cache, prompt, &mut self.rng),
            40..65 => {
                let gone = remove(cache, &mut self.rng);
                if !gone.is_empty() {
                    self.indexes.remove(worker as u32, &gone);
                }
            }
            65 => {
                self.indexes.clear(worker as u32);
                *cache = Cache::default();
            }
            _ => return Some(prompt.clone()),
        }
        None
    }

    fn truth(&self, prompt: &Prompt) -> Vec<u32> {
        self.caches.iter().map(|cache| cache.leading(prompt) as u32).collect()
    }
}

#[test]
fn all_agree_where_leaves_go_before_prefixes() {
    let (mut queries, mut hits, mut partial) = (0u64, 0u64, 0u64);
    for lane in 0..STREAMS {
        let mut random = Random::new(lane, 2);
        for _ in 0..STEPS {
            let evict = |cache: &mut Cache, rng: &mut Rng| {
                let chains = rng.random_range(1..4);
                (0..chains).flat_map(|_| cache.evict(rng.random_range(0..8), rng)).collect()
            };
            let Some(prompt) = random.step(evict) else {
                continue;
            };
            let truth = random.truth(&prompt);
            let seen = random.indexes.overlaps(&prompt);
            assert_eq!(seen.ours, truth, "kvroute, stream {lane}");
            assert_eq!(seen.radix, truth, "RadixTree, stream {lane}");
            assert_eq!(seen.concurrent, truth, "ConcurrentRadixTreeCompressed, stream {lane}");
            assert_eq!(seen.positional, truth, "PositionalIndexer, stream {lane}");
            queries += truth.len() as u64;
            hits += truth.iter().filter(|n| **n > 0).count() as u64;
            let whole = prompt.blocks.len() as u32;
            partial += truth.iter().filter(|n| **n > 0 && **n < whole).count() as u64;
        }
    }
    fidelity(
        "the prefix index",
        "RadixTree, ConcurrentRadixTreeCompressed and PositionalIndexer of dynamo-kv-router 1.6.1",
        "dynamo index",
        format!(
            "{queries} overlaps on random event streams, {hits} not 0, {partial} partial: all equal"
        ),
    );
    assert!(queries > 100_000 && partial > 20_000, "{queries} {hits} {partial}");
}

/// How often an index said less and more than the truth.
#[derive(Debug, Default)]
struct Off {
    less: u64,
    more: u64,
}

impl Off {
    fn add(&mut self, seen: &[u32], truth: &[u32]) {
        self.less += seen.iter().zip(truth).filter(|(seen, truth)| seen < truth).count() as u64;
        self.more += seen.iter().zip(truth).filter(|(seen, truth)| seen > truth).count() as u64;
    }
}

/// Blocks of any position go. Ours is what the worker truly holds; theirs are sometimes not.
#[test]
fn where_inner_blocks_go_theirs_are_off() {
    let (mut queries, mut radix, mut concurrent, mut positional) =
        (0, Off::default(), Off::default(), Off::default());
    for lane in 0..STREAMS {
        let mut random = Random::new(1_000_000 + lane, 1);
        for _ in 0..STEPS {
            let Some(prompt) = random.step(|cache, rng| cache.evict_any(rng)) else {
                continue;
            };
            let truth = random.truth(&prompt);
            let seen = random.indexes.overlaps(&prompt);
            assert_eq!(seen.ours, truth, "kvroute, stream {lane}");
            radix.add(&seen.radix, &truth);
            concurrent.add(&seen.concurrent, &truth);
            positional.add(&seen.positional, &truth);
            queries += truth.len();
        }
    }
    println!(
        "{queries} overlaps with inner removals, off: RadixTree {radix:?}, \
         ConcurrentRadixTreeCompressed {concurrent:?}, PositionalIndexer {positional:?}"
    );
    assert!(radix.less > 0 && concurrent.less > 0 && positional.more > 0);
}

fn four_blocks() -> (Prompt, Vec<Block>) {
    let prompt = Prompt::new(&[Segment { content: 7, tokens: 64 }], 16);
    let blocks = (0..4).map(|at| prompt.block(at)).collect();
    (prompt, blocks)
}

#[test]
fn a_gap_that_is_closed_again() {
    let (prompt, blocks) = four_blocks();
    let mut indexes = Indexes::new(1, 1);
    assert!(indexes.store(0, None, &blocks));
    assert!(indexes.remove(0, &blocks[1..2]));
    let seen = indexes.overlaps(&prompt);
    assert_eq!(
        (&seen.ours[..], &seen.radix[..], &seen.concurrent[..]),
        (&[1][..], &[1][..], &[1][..])
    );
    // Theirs forgot blocks 2 and 3 with block 1.
    assert!(indexes.store(0, Some(blocks[0].chained), &blocks[1..2]));
    let seen = indexes.overlaps(&prompt);
    assert_eq!(seen.ours, [4]);
    assert_eq!(seen.radix, [2]);
    assert_eq!(seen.concurrent, [2]);
    assert_eq!(seen.positional, [4]);
}

#[test]
fn a_gap_at_the_end_of_an_edge() {
    let (prompt, blocks) = four_blocks();
    let other =
        Prompt::new(&[Segment { content: 7, tokens: 32 }, Segment { content: 8, tokens: 32 }], 16);
    let mut indexes = Indexes::new(2, 1);
    // Worker 1 holds both branches: the edge of blocks 0 and 1 ends where they part.
    for worker in 0..2 {
        assert!(indexes.store(worker, None, &blocks));
    }
    let branch: Vec<Block> = (2..4).map(|at| other.block(at)).collect();
    assert!(indexes.store(1, Some(blocks[1].chained), &branch));
    // Blocks 2 and 3 of worker 0 lie in another edge: hidden, not forgotten.
    assert!(indexes.remove(0, &blocks[1..2]));
    assert_eq!(indexes.overlaps(&prompt).radix, [1, 4]);
    assert!(indexes.store(0, Some(blocks[0].chained), &blocks[1..2]));
    let seen = indexes.overlaps(&prompt);
    assert_eq!((seen.ours, seen.radix, seen.concurrent), (vec![4, 4], vec![4, 4], vec![4, 4]));
}

#[test]
fn two_sets_of_workers_of_one_size() {
    let (prompt, blocks) = four_blocks();
    let other = [Segment { content: 7, tokens: 32 }, Segment { content: 8, tokens: 32 }];
    let other = Prompt::new(&other, 16);
    let branch: Vec<Block> = (0..4).map(|at| other.block(at)).collect();
    let mut indexes = Indexes::new(2, 1);
    assert!(indexes.store(1, None, &branch));
    assert!(indexes.store(0, None, &blocks));
    assert!(indexes.remove(0, &blocks[..1]));
    // One worker covers blocks 0 and 1, one covers 2 and 3: not the same one.
    let seen = indexes.overlaps(&prompt);
    assert_eq!((seen.ours, seen.radix, seen.concurrent), (vec![0, 2], vec![0, 2], vec![0, 4]));
}

#[test]
fn a_stored_event_that_was_lost() {
    let (prompt, blocks) = four_blocks();
    let mut indexes = Indexes::new(1, 1);
    // The event with blocks 0 and 1 is lost: theirs refuse the next one.
    assert!(!indexes.store(0, Some(blocks[1].chained), &blocks[2..]));
    assert_eq!(indexes.overlaps(&prompt).ours, [0]);
    assert!(indexes.store(0, None, &blocks[..2]));
    let seen = indexes.overlaps(&prompt);
    assert_eq!(seen.ours, [4]);
    assert_eq!((seen.radix, seen.concurrent, seen.positional), (vec![2], vec![2], vec![2]));
}
