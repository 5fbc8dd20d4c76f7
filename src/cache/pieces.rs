//! Pieces: blocks of one run that follow each other and share everything that can happen to them.
//!
//! Per run there are *heads*, the oldest copies of its blocks, disjoint and ascending; and *copies*,
//! younger ones, in order of age. Where there is no head there is no copy. A piece is wholly one or
//! the other.

use crate::ahead::fetch_at;
use rustc_hash::FxHashMap;
use std::ops::{Index, IndexMut};

/// No piece.
const NONE: u32 = u32::MAX;

/// Blocks `first .. end` of a run, one physical copy of each.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The run's place in the table.
    pub slot: u32,
    pub first: u32,
    pub end: u32,
    /// Leases that hold the piece; they hold all of it.
    pub refs: u32,
    /// Not the oldest copy of its blocks.
    pub copy: bool,
    /// The piece that was split off behind this one last.
    pub behind: u32,
    /// The run's next head.
    next: u32,
}

impl Piece {
    pub fn blocks(&self) -> u32 {
        self.end - self.first
    }
}

/// A run of which something is there.
struct Run {
    content: u64,
    /// Its first head.
    head: u32,
    /// Younger copies, oldest first.
    copies: Vec<u32>,
}

/// What is known of the blocks up to `end`: all are present, or none.
pub struct Stretch {
    pub end: u32,
    pub present: bool,
}

/// All pieces of a cache, by run.
#[derive(Default)]
pub struct Pieces {
    pieces: Vec<Piece>,
    unused: Vec<u32>,
    slots: FxHashMap<u64, u32>,
    runs: Vec<Run>,
    vacant: Vec<u32>,
}

impl Index<u32> for Pieces {
    type Output = Piece;
    fn index(&self, id: u32) -> &Piece {
        &self.pieces[id as usize]
    }
}

impl IndexMut<u32> for Pieces {
    fn index_mut(&mut self, id: u32) -> &mut Piece {
        &mut self.pieces[id as usize]
    }
}

impl Pieces {
    /// The run's slot, if any of it is there.
    pub fn find(&self, content: u64) -> Option<u32> {
        self.slots.get(&content).copied()
    }

    /// The run's slot, made where it has none; the caller must add a piece to it.
    pub fn slot(&mut self, content: u64) -> u32 {
        let (runs, vacant) = (&mut self.runs, &mut self.vacant);
        *self.slots.entry(content).or_insert_with(|| {
            if let Some(slot) = vacant.pop() {
                runs[slot as usize].content = content;
                return slot;
            }
            runs.push(Run { content, head: NONE, copies: Vec::new() });
            runs.len() as u32 - 1
        })
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, id: u32) {
        fetch_at(&self.pieces, id as usize);
    }

    /// See `crate::ahead`.
    pub fn fetch_run(&self, slot: u32) {
        fetch_at(&self.runs, slot as usize);
    }

    /// The key of a slot.
    pub fn content(&self, slot: u32) -> u64 {
        self.runs[slot as usize].content
    }

    /// The run's younger copies, oldest first.
    pub fn copies(&self, slot: u32) -> &[u32] {
        &self.runs[slot as usize].copies
    }

    /// The run's heads, ascending.
    pub fn heads(&self, slot: u32) -> impl Iterator<Item = (u32, &Piece)> {
        let first = self.runs[slot as usize].head;
        let after = |id: &u32| Some(self[*id].next).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|head| *head != NONE), after)
            .map(|id| (id, &self[id]))
    }

    /// The head that holds block `at`.
    pub fn head_at(&self, slot: u32, at: u32) -> Option<u32> {
        let (id, piece) = self.heads(slot).find(|(_, piece)| piece.end > at)?;
        (piece.first <= at).then_some(id)
    }

    /// How the run begins from block `from` on, at most up to `to`.
    pub fn stretch(&self, slot: u32, from: u32, to: u32) -> Stretch {
        match self.heads(slot).find(|(_, piece)| piece.end > from) {
            Some((_, piece)) if piece.first <= from => {
                Stretch { end: piece.end.min(to), present: true }
            }
            Some((_, piece)) => Stretch { end: piece.first.min(to), present: false },
            None => Stretch { end: to, present: false },
        }
    }

    /// How far a head could reach without touching the next one.
    pub fn room(&self, id: u32) -> u32 {
        let next = self[id].next;
        if next == NONE { u32::MAX } else { self[next].first }
    }

    /// The oldest of the younger copies of block `at`.
    pub fn oldest_copy(&self, slot: u32, at: u32) -> Option<u32> {
        let holds = |id: &&u32| self[**id].first <= at && at < self[**id].end;
        self.copies(slot).iter().find(holds).copied()
    }

    /// A new piece, held once.
    pub fn add(&mut self, slot: u32, first: u32, end: u32, copy: bool) -> u32 {
        let piece = Piece { slot, first, end, refs: 1, copy, behind: NONE, next: NONE };
        let id = self.insert(piece);
        if copy {
            self.runs[slot as usize].copies.push(id);
        } else {
            self.link(id);
        }
        id
    }

    fn insert(&mut self, piece: Piece) -> u32 {
        if let Some(id) = self.unused.pop() {
            self[id] = piece;
            return id;
        }
        self.pieces.push(piece);
        self.pieces.len() as u32 - 1
    }

    /// Enters a piece among the heads of its run.
    fn link(&mut self, id: u32) {
        let Piece { slot, first, .. } = self[id];
        let before = self.heads(slot).take_while(|(_, piece)| piece.first < first).last();
        let before = before.map_or(NONE, |(head, _)| head);
        let link = self.link_behind(before, slot);
        let next = std::mem::replace(link, id);
        self[id].next = next;
    }

    fn link_behind(&mut self, before: u32, slot: u32) -> &mut u32 {
        if before == NONE { &mut self.runs[slot as usize].head } else { &mut self[before].next }
    }

    /// Cuts a piece in two; the upper part, from block `at` on, gets the new number returned.
    pub fn split(&mut self, id: u32, at: u32) -> u32 {
        let lower = self[id];
        debug_assert!(lower.first < at && at < lower.end, "nothing to split");
        let upper = self.insert(Piece { first: at, ..lower });
        let piece = &mut self[id];
        (piece.end, piece.behind) = (at, upper);
        if lower.copy {
            let copies = &mut self.runs[lower.slot as usize].copies;
            let place = copies.iter().position(|copy| *copy == id).expect("it is a copy");
            copies.insert(place + 1, upper);
        } else {
            self[id].next = upper;
        }
        upper
    }

    /// Takes the blocks `from .. to`, at either end, out of a piece; it may be left empty.
    pub fn cut(&mut self, id: u32, from: u32, to: u32) {
        let piece = &mut self[id];
        if to == piece.end {
            piece.end = from;
        } else {
            piece.first = to;
        }
    }

    /// Removes an empty piece, and the run with its last one.
    pub fn remove(&mut self, id: u32) {
        let Piece { slot, copy, next, .. } = self[id];
        self.unused.push(id);
        if copy {
            self.runs[slot as usize].copies.retain(|other| *other != id);
            return;
        }
        let before = self.heads(slot).take_while(|(head, _)| *head != id).last();
        let before = before.map_or(NONE, |(head, _)| head);
        *self.link_behind(before, slot) = next;
        let run = &self.runs[slot as usize];
        if run.head == NONE {
            self.slots.remove(&run.content);
            self.vacant.push(slot);
        }
    }

    /// Makes a copy a head, of blocks that have none any more.
    pub fn promote(&mut self, id: u32) {
        let slot = self[id].slot;
        self.runs[slot as usize].copies.retain(|other| *other != id);
        self[id].copy = false;
        self.link(id);
    }

    /// The pieces that hold `blocks` blocks from the start of `id` on, ascending.
    pub fn strand(&self, id: u32, blocks: u32, into: &mut Vec<u32>) {
        into.clear();
        let (mut id, mut left) = (id, blocks);
        while left > 0 {
            into.push(id);
            left -= self[id].blocks();
            id = self[id].behind;
        }
    }

    /// Every piece.
    pub fn all(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.blocks() > 0)
    }
}
