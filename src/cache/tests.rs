//! The cache against a naive model, lists of (content, index) scanned from the front, and against
//! the same cache block by block.

use super::*;
use proptest::prelude::*;

/// A block of the naive model.
#[derive(Clone, Debug, PartialEq)]
struct Naive {
    content: Option<(u64, u32)>,
    refs: u32,
    stored: u64,
    hits: u64,
    freed: u64,
}

/// Everything in one list, oldest content first; slow and plain.
struct Model {
    kind: EvictionKind,
    blocks: Vec<Naive>,
    clock: u64,
}

impl Model {
    fn new(capacity: u32, kind: EvictionKind) -> Model {
        let blank = Naive { content: None, refs: 0, stored: 0, hits: 0, freed: 0 };
        Model { kind, blocks: vec![blank; capacity as usize], clock: 0 }
    }

    fn oldest(&self, content: (u64, u32)) -> Option<usize> {
        let holds = |at: &usize| self.blocks[*at].content == Some(content);
        (0..self.blocks.len()).filter(holds).min_by_key(|at| self.blocks[*at].stored)
    }

    fn lookup(&self, blocks: &[(u64, u32)], most: usize) -> usize {
        blocks.iter().take(most).take_while(|content| self.oldest(**content).is_some()).count()
    }

    fn available(&self) -> usize {
        self.blocks.iter().filter(|block| block.refs == 0).count()
    }

    /// The next free block: one without content, else by policy; returns what it evicted.
    fn take(&mut self) -> (usize, Option<(u64, u32)>) {
        let free = |at: &usize| self.blocks[*at].refs == 0;
        let rank = |at: &usize| {
            let block = &self.blocks[*at];
            match (block.content, self.kind) {
                (None, _) => (0, 0, 0),
                (_, EvictionKind::Lru) => (1, block.freed, 0),
                (_, EvictionKind::Fifo) => (1, block.stored, 0),
                (_, EvictionKind::Lfu) => (1, block.hits, block.freed),
            }
        };
        let at = (0..self.blocks.len()).filter(free).min_by_key(rank).unwrap();
        self.blocks[at].refs = 1;
        (at, self.blocks[at].content.take())
    }

    fn store(&mut self, at: usize, content: (u64, u32)) {
        self.clock += 1;
        let block = &mut self.blocks[at];
        (block.content, block.stored, block.hits) = (Some(content), self.clock, 0);
    }

    fn release(&mut self, held: &[usize]) {
        for at in held.iter().rev() {
            self.clock += 1;
            self.blocks[*at].refs -= 1;
            self.blocks[*at].freed = self.clock;
        }
    }
}

/// One request: its runs and how far it is computed.
fn runs_of(shape: &[(u8, u8)]) -> Vec<BlockRun> {
    let mut key = 7;
    let run = |(content, count): &(u8, u8)| {
        key = crate::prompt::mix(&[key, u64::from(*content % 3)]);
        let run = BlockRun { content: key, first: 0, count: u32::from(count % 5) + 1 };
        key = crate::prompt::mix(&[key, u64::from(run.count)]);
        run
    };
    shape.iter().map(run).collect()
}

fn flat(runs: &[BlockRun]) -> Vec<(u64, u32)> {
    runs.iter().flat_map(|run| (run.first..run.end()).map(|index| (run.content, index))).collect()
}

#[derive(Clone, Debug)]
enum Op {
    /// Admit a request with these runs, compute this many blocks beyond its hits (and a partial one?).
    Admit(Vec<(u8, u8)>, u8, bool),
    /// Compute further blocks of a live request.
    Extend(u8, u8),
    /// End a live request.
    Release(u8),
}

fn some_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (prop::collection::vec(any::<(u8, u8)>(), 1..4), 0u8..8, any::<bool>())
            .prop_map(|(shape, blocks, partial)| Op::Admit(shape, blocks, partial)),
        2 => any::<(u8, u8)>().prop_map(|(which, blocks)| Op::Extend(which, blocks % 4 + 1)),
        2 => any::<u8>().prop_map(Op::Release),
    ]
}

/// A live request in both worlds.
struct Both {
    runs: Vec<BlockRun>,
    lease: Lease,
    held: Vec<usize>,
    stored: usize,
}

struct Pair {
    cache: BlockCache,
    model: Model,
    live: Vec<Both>,
}

impl Pair {
    fn admit(&mut self, shape: &[(u8, u8)]) {
        let runs = runs_of(shape);
        let blocks = flat(&runs);
        let most = blocks.len().saturating_sub(1);
        let found = self.cache.lookup(&runs, most as u32);
        assert_eq!(found.blocks as usize, self.model.lookup(&blocks, most));
        let held: Vec<usize> = blocks[..found.blocks as usize]
            .iter()
            .map(|content| self.model.oldest(*content).unwrap())
            .collect();
        let active = held.iter().filter(|at| self.model.blocks[**at].refs > 0).count();
        assert_eq!(found.active as usize, active);
        for at in &held {
            self.model.blocks[*at].refs += 1;
            self.model.blocks[*at].hits += 1;
        }
        let lease = self.cache.acquire(&runs, found.blocks);
        self.live.push(Both { runs, lease, stored: held.len(), held });
    }

    fn extend(&mut self, which: usize, more: usize, partial: bool) {
        let live = &mut self.live[which];
        let blocks = flat(&live.runs);
        let full = (live.stored + more).min(blocks.len());
        let total = full + usize::from(partial);
        let fits = total.saturating_sub(live.held.len()) <= self.model.available();
        let ok = self.cache.extend(&mut live.lease, &live.runs, total as u32, full as u32);
        assert_eq!(ok, fits);
        if !fits {
            return;
        }
        let mut removed = Vec::new();
        while live.held.len() < total {
            let (at, evicted) = self.model.take();
            removed.extend(evicted);
            live.held.push(at);
        }
        for (at, content) in live.held[live.stored..full].iter().zip(&blocks[live.stored..full]) {
            self.model.store(*at, *content);
        }
        let stored = blocks[live.stored..full].to_vec();
        live.stored = full;
        let events: Vec<CacheEvent> = self.cache.drain_events().collect();
        let told = |want_stored: bool| -> Vec<(u64, u32)> {
            events
                .iter()
                .flat_map(|event| match event {
                    CacheEvent::Stored { run, .. } if want_stored => flat(&[*run]),
                    CacheEvent::Removed { run, .. } if !want_stored => {
                        flat(&[*run]).into_iter().rev().collect()
                    }
                    _ => Vec::new(),
                })
                .collect()
        };
        assert_eq!(told(false), removed);
        assert_eq!(told(true), stored);
    }

    fn check(&self) {
        let (used, cached, blank) = self.cache.census();
        assert_eq!(used + cached + blank, self.cache.capacity());
        assert_eq!(used, self.cache.in_use());
        assert_eq!(self.model.available() as u32, self.cache.available());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_cache_agrees_with_a_naive_model(
        capacity in 4u32..24,
        kind in prop::sample::select(vec![EvictionKind::Lru, EvictionKind::Fifo, EvictionKind::Lfu]),
        ops in prop::collection::vec(some_op(), 1..80),
    ) {
        let mut pair = Pair {
            cache: BlockCache::new(capacity, kind),
            model: Model::new(capacity, kind),
            live: Vec::new(),
        };
        for op in ops {
            match op {
                Op::Admit(shape, blocks, partial) => {
                    pair.admit(&shape);
                    pair.extend(pair.live.len() - 1, usize::from(blocks), partial);
                }
                Op::Extend(which, blocks) if !pair.live.is_empty() => {
                    let which = usize::from(which) % pair.live.len();
                    pair.extend(which, usize::from(blocks), false);
                }
                Op::Release(which) if !pair.live.is_empty() => {
                    let gone = pair.live.swap_remove(usize::from(which) % pair.live.len());
                    pair.cache.release(gone.lease);
                    pair.model.release(&gone.held);
                }
                _ => {}
            }
            pair.check();
        }
    }
}

#[test]
fn the_tail_of_a_finished_request_is_evicted_before_its_prefix() {
    let mut cache = BlockCache::new(4, EvictionKind::Lru);
    let old = [BlockRun { content: 1, first: 0, count: 4 }];
    let new = [BlockRun { content: 2, first: 0, count: 2 }];
    let mut lease = cache.acquire(&old, 0);
    assert!(cache.extend(&mut lease, &old, 4, 4));
    cache.release(lease);
    let mut lease = cache.acquire(&new, 0);
    assert!(cache.extend(&mut lease, &new, 2, 2));
    assert_eq!(cache.lookup(&old, 4).blocks, 2);
    assert!(!cache.extend(&mut lease, &new, 5, 2), "only four blocks exist");
}

/// A request in the cache and in the cache block by block.
struct Twin {
    runs: Vec<BlockRun>,
    lease: Lease,
    plain: model::Lease,
    full: u32,
}

/// The two caches must agree in all that can be seen of them.
struct Twins {
    cache: BlockCache,
    plain: model::BlockCache,
    live: Vec<Twin>,
}

impl Twins {
    fn new(capacity: u32, kind: EvictionKind) -> Twins {
        let (cache, plain) =
            (BlockCache::new(capacity, kind), model::BlockCache::new(capacity, kind));
        Twins { cache, plain, live: Vec::new() }
    }

    fn admit(&mut self, runs: Vec<BlockRun>, spare: u32) {
        let blocks: u32 = runs.iter().map(|run| run.count).sum();
        let most = blocks.saturating_sub(spare);
        let found = self.cache.lookup(&runs, most);
        let plain = self.plain.lookup(&runs, most);
        assert_eq!((found.blocks, found.active), (plain.blocks, plain.active));
        let lease = self.cache.acquire(&runs, found.blocks);
        let plain = self.plain.acquire(&runs, found.blocks);
        self.live.push(Twin { runs, lease, plain, full: found.blocks });
    }

    fn extend(&mut self, which: usize, more: u32, partial: u32) {
        let live = &mut self.live[which];
        let blocks: u32 = live.runs.iter().map(|run| run.count).sum();
        let full = (live.full + more).min(blocks);
        let missing = (full + partial).saturating_sub(live.lease.blocks());
        let gone: Vec<(u64, u32)> = self.cache.next_gone(missing).collect();
        let fits = self.cache.extend(&mut live.lease, &live.runs, full + partial, full);
        for event in self.cache.events() {
            if let CacheEvent::Removed { run, .. } = event {
                let said =
                    |(content, from): &(u64, u32)| *content == run.content && *from <= run.first;
                assert!(gone.iter().any(said), "{run:?} is gone, {gone:?} was said");
            }
        }
        assert_eq!(fits, self.plain.extend(&mut live.plain, &live.runs, full + partial, full));
        live.full = if fits { full } else { live.full };
        assert_eq!(live.lease.blocks(), live.plain.blocks());
    }

    fn release(&mut self, which: usize) {
        let gone = self.live.swap_remove(which);
        self.cache.release(gone.lease);
        self.plain.release(gone.plain);
    }

    fn check(&mut self) {
        assert_eq!(self.cache.census(), self.plain.census());
        assert_eq!(self.cache.references(), self.plain.references());
        assert_eq!(self.cache.evicted(), self.plain.evicted());
        assert_eq!(self.cache.in_use(), self.plain.in_use());
        let events: Vec<CacheEvent> = self.cache.drain_events().collect();
        assert_eq!(events, self.plain.drain_events().collect::<Vec<_>>());
    }
}

/// Runs of a prompt drawn from a few long ones, so that prompts end within each other's runs; some
/// come as two runs, the second going on where the first ends.
fn long_runs(shape: &[(u8, u8)]) -> Vec<BlockRun> {
    let mut key = 7;
    let runs = |(content, count): &(u8, u8)| {
        key = crate::prompt::mix(&[key, u64::from(*content % 2)]);
        let count = u32::from(count % 24) + 1;
        let cut = if content & 4 == 0 { 0 } else { count / 2 };
        let lower = BlockRun { content: key, first: 0, count: cut };
        [lower, BlockRun { content: key, first: cut, count: count - cut }]
    };
    shape.iter().flat_map(runs).filter(|run| run.count > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn pieces_behave_as_single_blocks_do(
        capacity in 8u32..96,
        kind in prop::sample::select(vec![EvictionKind::Lru, EvictionKind::Fifo, EvictionKind::Lfu]),
        spare in 0u32..3,
        ops in prop::collection::vec(some_op(), 1..160),
    ) {
        let mut twins = Twins::new(capacity, kind);
        for op in ops {
            match op {
                Op::Admit(shape, blocks, partial) => {
                    twins.admit(long_runs(&shape), spare);
                    twins.extend(twins.live.len() - 1, 3 * u32::from(blocks), u32::from(partial));
                }
                Op::Extend(which, blocks) if !twins.live.is_empty() => {
                    let which = usize::from(which) % twins.live.len();
                    twins.extend(which, u32::from(blocks) / 2, u32::from(blocks % 2));
                }
                Op::Release(which) if !twins.live.is_empty() => {
                    twins.release(usize::from(which) % twins.live.len());
                }
                _ => {}
            }
            twins.check();
        }
    }
}
