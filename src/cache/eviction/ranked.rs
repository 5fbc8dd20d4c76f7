//! The free block of least rank goes first; the rank is fixed when a block is freed. `fifo`: time
//! stored; `lfu`: hits since it was stored, then time freed.
//!
//! Times count blocks. Those of a piece are consecutive, so pieces have disjoint spans of time, and
//! the rank of a piece's next block orders it among all pieces however many blocks it has lost.

use super::{Eviction, Piece};
use std::collections::BTreeSet;

/// What is remembered of a piece.
#[derive(Clone, Copy, Default)]
struct History {
    /// When block 0 of the run would have been stored: block `i` was stored `i` later.
    stored: u64,
    /// When block 0 of the run was freed, or would have been: block `i` was freed `i` before.
    freed: u64,
    /// How often it was hit.
    hits: u64,
    /// Its rank while it is free.
    rank: (u64, u64),
}

/// Offset of all times, so that subtracting a place in a run from one never goes below 0.
const EPOCH: u64 = 1 << 32;

/// See the module's documentation.
pub struct Ranked {
    tail_first: bool,
    history: Vec<History>,
    free: BTreeSet<((u64, u64), u32)>,
    clock: u64,
}

impl Ranked {
    pub fn fifo() -> Ranked {
        Ranked::new(false)
    }

    pub fn lfu() -> Ranked {
        Ranked::new(true)
    }

    fn new(tail_first: bool) -> Ranked {
        Ranked { tail_first, history: Vec::new(), free: BTreeSet::new(), clock: EPOCH }
    }

    /// The rank of the block of a free piece that goes first.
    fn rank(&self, history: &History, piece: &Piece) -> (u64, u64) {
        if self.tail_first {
            (history.hits, history.freed - u64::from(piece.end))
        } else {
            (history.stored + u64::from(piece.first), 0)
        }
    }

    fn remember(&mut self, id: u32, history: History) {
        if self.history.len() <= id as usize {
            self.history.resize(id as usize + 1, History::default());
        }
        self.history[id as usize] = history;
    }

    fn enter(&mut self, id: u32, piece: &Piece) {
        let rank = self.rank(&self.history[id as usize], piece);
        self.history[id as usize].rank = rank;
        self.free.insert((rank, id));
    }
}

impl Eviction for Ranked {
    fn stored(&mut self, id: u32, piece: &Piece) {
        let stored = self.clock - u64::from(piece.first);
        self.clock += u64::from(piece.blocks());
        self.remember(id, History { stored, ..History::default() });
    }

    fn hit(&mut self, id: u32) {
        self.history[id as usize].hits += 1;
    }

    fn split(&mut self, lower: u32, upper: u32, piece: &Piece) {
        let history = self.history[lower as usize];
        self.remember(upper, history);
        if piece.refs > 0 {
            return;
        }
        if self.tail_first {
            // The upper part goes first and so inherits the rank.
            self.free.remove(&(history.rank, lower));
            self.free.insert((history.rank, upper));
            let rank = (history.hits, history.freed - u64::from(piece.first));
            self.history[lower as usize].rank = rank;
            self.free.insert((rank, lower));
        } else {
            self.enter(upper, piece);
        }
    }

    fn released(&mut self, id: u32, piece: &Piece) {
        self.history[id as usize].freed = self.clock + u64::from(piece.end);
        self.clock += u64::from(piece.blocks());
        self.enter(id, piece);
    }

    fn revived(&mut self, id: u32, _piece: &Piece) {
        self.free.remove(&(self.history[id as usize].rank, id));
    }

    fn victim(&self) -> Option<u32> {
        self.free.first().map(|(_, id)| *id)
    }

    fn after(&self, id: u32) -> Option<u32> {
        let here = (self.history[id as usize].rank, id);
        self.free.range(here..).nth(1).map(|(_, id)| *id)
    }

    fn tail_first(&self) -> bool {
        self.tail_first
    }

    fn tells_by_piece(&self) -> bool {
        false
    }
}
