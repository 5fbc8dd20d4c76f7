//! Pieces: blocks of one run that follow each other and share everything that can happen to them.
//!
//! Per run there are *heads*, the oldest copies of its blocks, disjoint and ascending; and *copies*,
//! younger ones, in order of age. Where there is no head there is no copy. A piece is wholly one or
//! the other.

use crate::ahead::fetch_at;
use crate::flat_map::FlatMap;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::ops::{Index, IndexMut};

/// No piece.
const NONE: u32 = u32::MAX;

/// Blocks `first .. end` of a run, one physical copy of each.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The run.
    pub content: u64,
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
    /// The first head of each run.
    heads: FlatMap<u32>,
    /// The younger copies of each run that has any, oldest first: there are few.
    copies: FxHashMap<u64, Vec<u32>>,
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
    /// The run's first head, if any of it is there.
    pub fn find(&self, content: u64) -> Option<u32> {
        self.heads.get(content).copied()
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, id: u32) {
        fetch_at(&self.pieces, id as usize);
    }

    /// See `crate::ahead`: the run will be looked for.
    pub fn fetch_run(&self, content: u64) {
        self.heads.fetch(content);
    }

    /// Whether the run has younger copies.
    pub fn has_copies(&self, content: u64) -> bool {
        self.copies.contains_key(&content)
    }

    /// A head and those of its run behind it, ascending.
    pub fn heads_from(&self, first: u32) -> impl Iterator<Item = (u32, &Piece)> {
        let after = |id: &u32| Some(self[*id].next).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|head| *head != NONE), after)
            .map(|id| (id, &self[id]))
    }

    /// The run's heads, ascending.
    fn heads(&self, content: u64) -> impl Iterator<Item = (u32, &Piece)> {
        self.heads_from(self.find(content).unwrap_or(NONE))
    }

    /// The head that holds block `at`.
    pub fn head_at(&self, content: u64, at: u32) -> Option<u32> {
        let (id, piece) = self.heads(content).find(|(_, piece)| piece.end > at)?;
        (piece.first <= at).then_some(id)
    }

    /// How the run begins from block `from` on, at most up to `to`.
    pub fn stretch(&self, content: u64, from: u32, to: u32) -> Stretch {
        match self.heads(content).find(|(_, piece)| piece.end > from) {
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
    pub fn oldest_copy(&self, content: u64, at: u32) -> Option<u32> {
        let holds = |id: &&u32| self[**id].first <= at && at < self[**id].end;
        self.copies.get(&content)?.iter().find(holds).copied()
    }

    /// A new piece, held once.
    pub fn add(&mut self, content: u64, first: u32, end: u32, copy: bool) -> u32 {
        let piece = Piece { content, first, end, refs: 1, copy, behind: NONE, next: NONE };
        let id = self.insert(piece);
        if copy {
            self.copies.entry(content).or_default().push(id);
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
        let Piece { content, first, .. } = self[id];
        let before = self.heads(content).take_while(|(_, piece)| piece.first < first).last();
        let link = match before {
            Some((before, _)) => &mut self.pieces[before as usize].next,
            None => self.heads.get_or_insert_with(content, || NONE),
        };
        let next = std::mem::replace(link, id);
        self[id].next = next;
    }

    /// Takes a piece out of the heads of its run, and forgets the run with its last one.
    fn unlink(&mut self, id: u32) {
        let Piece { content, next, .. } = self[id];
        let before = self.heads(content).take_while(|(head, _)| *head != id).last();
        if let Some((before, _)) = before {
            self[before].next = next;
        } else if next == NONE {
            self.heads.remove(content);
        } else {
            self.heads.insert(content, next);
        }
    }

    /// Takes a piece out of the younger copies of its run.
    fn forget_copy(&mut self, id: u32) {
        if let Entry::Occupied(mut copies) = self.copies.entry(self.pieces[id as usize].content) {
            copies.get_mut().retain(|other| *other != id);
            if copies.get().is_empty() {
                copies.remove();
            }
        }
    }

    /// Cuts a piece in two; the upper part, from block `at` on, gets the new number returned.
    pub fn split(&mut self, id: u32, at: u32) -> u32 {
        let lower = self[id];
        debug_assert!(lower.first < at && at < lower.end, "nothing to split");
        let upper = self.insert(Piece { first: at, ..lower });
        let piece = &mut self[id];
        (piece.end, piece.behind) = (at, upper);
        if lower.copy {
            let copies = self.copies.get_mut(&lower.content).expect("it is a copy");
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

    /// Removes an empty piece.
    pub fn remove(&mut self, id: u32) {
        self.unused.push(id);
        if self[id].copy {
            self.forget_copy(id);
        } else {
            self.unlink(id);
        }
    }

    /// Makes a copy a head, of blocks that have none any more.
    pub fn promote(&mut self, id: u32) {
        self.forget_copy(id);
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
