//! Which free cached block is reused first.

use crate::scenario::EvictionKind;
use std::collections::BTreeSet;

mod lru;

/// A policy: told what happens to blocks (by number), names the next to go.
pub trait Eviction: Send {
    /// A block in use got content.
    fn stored(&mut self, _block: u32) {}
    /// A block's content was hit.
    fn hit(&mut self, _block: u32) {}
    /// A block with content became free.
    fn released(&mut self, block: u32);
    /// A free block was taken back by a hit.
    fn revived(&mut self, block: u32);
    /// Removes and returns the free block to reuse first.
    fn victim(&mut self) -> Option<u32>;
}

/// The policy of that name.
pub fn build(kind: EvictionKind) -> Box<dyn Eviction> {
    match kind {
        EvictionKind::Lru => Box::new(lru::Lru::default()),
        EvictionKind::Fifo => Box::new(Ranked::new(|history, _clock| (history.stored, 0))),
        EvictionKind::Lfu => {
            Box::new(Ranked::new(|history, clock| (u64::from(history.hits), clock)))
        }
    }
}

/// What a ranked policy remembers of a block's present content.
#[derive(Clone, Copy, Default)]
struct History {
    /// When it was stored, in events.
    stored: u64,
    /// How often it was hit since.
    hits: u32,
    /// Its rank while it is free.
    rank: (u64, u64),
}

/// The free block of least rank goes first; the rank is fixed when a block is freed.
/// `fifo`: (time stored); `lfu`: (hits, time freed).
struct Ranked {
    rank: fn(&History, u64) -> (u64, u64),
    history: Vec<History>,
    free: BTreeSet<((u64, u64), u32)>,
    clock: u64,
}

impl Ranked {
    fn new(rank: fn(&History, u64) -> (u64, u64)) -> Ranked {
        Ranked { rank, history: Vec::new(), free: BTreeSet::new(), clock: 0 }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Eviction for Ranked {
    fn stored(&mut self, block: u32) {
        let stored = self.tick();
        if self.history.len() <= block as usize {
            self.history.resize(block as usize + 1, History::default());
        }
        self.history[block as usize] = History { stored, ..History::default() };
    }

    fn hit(&mut self, block: u32) {
        self.history[block as usize].hits += 1;
    }

    fn released(&mut self, block: u32) {
        let clock = self.tick();
        let history = &mut self.history[block as usize];
        history.rank = (self.rank)(history, clock);
        self.free.insert((history.rank, block));
    }

    fn revived(&mut self, block: u32) {
        self.free.remove(&(self.history[block as usize].rank, block));
    }

    fn victim(&mut self) -> Option<u32> {
        self.free.pop_first().map(|(_, block)| block)
    }
}
