//! The paged KV cache of one worker, with prefix reuse.
//!
//! The interface speaks of runs of blocks and of leases; no caller handles a single block. Rules
//! (vLLM V1):
//! - The longest run of leading blocks present is reused; blocks become hittable when they are
//!   stored, which is when they are scheduled to be computed.
//! - Copies of a block under one key are kept; the oldest is the one that is hit.
//! - A freed block stays hittable until it is reused for something else. Blocks without content are
//!   reused first, then whichever the eviction policy names. A lease is freed tail first, so that
//!   leaves go before the prefixes they need.
//!
//! Inside, blocks of one run that have met the same fate form a `pieces::Piece` and are hit, freed,
//! revived and evicted together; a piece is split where fates part. Blocks without content are only
//! counted. `model` (in tests) does the same block by block; the two must agree event for event.

mod ahead;
mod eviction;
mod lease;
#[cfg(test)]
mod model;
mod pieces;

use crate::prompt::{BlockRun, CacheEvent};
use crate::scenario::EvictionKind;
use eviction::Eviction;
pub use lease::Lease;
use pieces::{Pieces, Stretch};

/// What a prefix lookup found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Leading blocks present.
    pub blocks: u32,
    /// Of these, held by running requests: taking them needs no free block.
    pub active: u32,
}

/// See the module's documentation.
pub struct BlockCache {
    capacity: u32,
    pieces: Pieces,
    eviction: Box<dyn Eviction>,
    /// What the policy says of itself, asked once.
    tail_first: bool,
    tells_by_piece: bool,
    /// Blocks without content that nobody holds.
    blank: u32,
    /// Blocks without content that leases hold.
    partial: u32,
    in_use: u32,
    evicted: u64,
    events: Vec<CacheEvent>,
    /// Pieces of one holding, while it is released.
    strand: Vec<u32>,
}

impl BlockCache {
    /// An empty cache of `capacity` usable blocks.
    pub fn new(capacity: u32, eviction: EvictionKind) -> BlockCache {
        let eviction = eviction::build(eviction);
        BlockCache {
            capacity,
            pieces: Pieces::default(),
            tail_first: eviction.tail_first(),
            tells_by_piece: eviction.tells_by_piece(),
            eviction,
            blank: capacity,
            partial: 0,
            in_use: 0,
            evicted: 0,
            events: Vec::new(),
            strand: Vec::new(),
        }
    }

    /// Usable blocks in all.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Blocks held by running requests.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Blocks that can be had: without content, or cached and held by nobody.
    pub fn available(&self) -> u32 {
        self.capacity - self.in_use
    }

    /// Cached blocks reused for something else so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Changes since the last [`BlockCache::drain_events`], in order.
    pub fn events(&self) -> &[CacheEvent] {
        &self.events
    }

    /// The same, and forgets them.
    pub fn drain_events(&mut self) -> std::vec::Drain<'_, CacheEvent> {
        self.events.drain(..)
    }

    /// The longest run of leading blocks of `runs` present, at most `most` blocks.
    pub fn lookup(&self, runs: &[BlockRun], most: u32) -> Prefix {
        let mut found = Prefix::default();
        for run in runs {
            let Some(first) = self.pieces.find(run.content) else {
                break;
            };
            let wanted = run.first + run.count.min(most - found.blocks);
            let mut at = run.first;
            for (_, piece) in self.pieces.heads_from(first) {
                if piece.end <= at {
                    continue;
                }
                if piece.first > at || at == wanted {
                    break;
                }
                let to = piece.end.min(wanted);
                found.active += if piece.refs > 0 { to - at } else { 0 };
                at = to;
            }
            found.blocks += at - run.first;
            if at < run.end() {
                break;
            }
        }
        found
    }

    /// Takes the leading `count` blocks of `runs`, which a [`BlockCache::lookup`] has found and which
    /// are still there.
    pub fn acquire(&mut self, runs: &[BlockRun], count: u32) -> Lease {
        let mut lease = Lease::default();
        while lease.stored < count {
            let run = lease.next(runs, count);
            self.hold(&mut lease, run);
            lease.advance(run.count);
        }
        lease
    }

    /// Adds the oldest copies of the blocks of `run` to `lease`.
    fn hold(&mut self, lease: &mut Lease, run: BlockRun) {
        let (mut at, to) = (run.first, run.end());
        while at < to {
            let mut id =
                self.pieces.head_at(run.content, at).expect("a lookup has found the block");
            if self.pieces[id].first < at {
                id = self.split(id, at);
            }
            if self.pieces[id].end > to {
                self.split(id, to);
            }
            let piece = &mut self.pieces[id];
            if piece.refs == 0 {
                self.eviction.revived(id, piece);
                self.in_use += piece.blocks();
            }
            self.eviction.hit(id);
            piece.refs += 1;
            lease.push(id, piece.blocks());
            at = piece.end;
        }
    }

    /// Cuts a piece in two; the upper part, from block `at` on, gets the new number returned.
    fn split(&mut self, id: u32, at: u32) -> u32 {
        let upper = self.pieces.split(id, at);
        self.eviction.split(id, upper, &self.pieces[upper]);
        upper
    }

    /// Grows `lease` to `blocks` blocks and gives content to the leading `full` of them, as laid
    /// down in `runs`. Returns false, changing nothing, where too few blocks are available.
    pub fn extend(&mut self, lease: &mut Lease, runs: &[BlockRun], blocks: u32, full: u32) -> bool {
        let missing = blocks.saturating_sub(lease.blocks());
        if missing > self.available() {
            return false;
        }
        self.take(missing);
        lease.blank += missing;
        self.fill(lease, runs, full);
        true
    }

    /// Takes `count` blocks, which must be available, for leases that are told of them later
    /// ([`Lease::grow_to`]), before anything else is asked of these.
    pub fn take(&mut self, count: u32) {
        debug_assert!(count <= self.available(), "they are available");
        self.take_blocks(count);
        self.in_use += count;
        self.partial += count;
    }

    /// Gives content to the leading `full` blocks of `lease`, which holds as many, as laid down in `runs`.
    pub fn fill(&mut self, lease: &mut Lease, runs: &[BlockRun], full: u32) {
        while lease.stored < full {
            let run = lease.next(runs, full);
            self.store(lease, run);
            lease.blank -= run.count;
            self.partial -= run.count;
            lease.advance(run.count);
        }
    }

    /// Where blocks go that are reused when `count` more are taken, and nothing else happens before:
    /// runs, and from which of their blocks on.
    pub fn next_gone(&self, count: u32) -> impl Iterator<Item = (u64, u32)> {
        let mut left = count.saturating_sub(self.blank);
        let mut next = self.eviction.victim();
        std::iter::from_fn(move || {
            let id = next.filter(|_| left > 0)?;
            let piece = &self.pieces[id];
            left = left.saturating_sub(piece.blocks());
            next = self.eviction.after(id);
            Some((piece.content, piece.first))
        })
    }

    /// Whether it makes no difference when a block gets content that no other block has, as long as
    /// its request runs.
    pub fn may_fill_late(&self) -> bool {
        self.tells_by_piece
    }

    /// Gives content to the next blocks of `lease`, which are `run`. Where a block is there already,
    /// the new one becomes its youngest copy.
    fn store(&mut self, lease: &mut Lease, run: BlockRun) {
        let (mut at, to) = (run.first, run.end());
        if self.grow(lease, run.content, at, to) {
            self.emit_stored(run, false);
            return;
        }
        let content = run.content;
        while at < to {
            let Stretch { end, present: copy } = self.pieces.stretch(content, at, to);
            let blocks = end - at;
            let piece = self.pieces.add(content, at, end, copy);
            self.eviction.stored(piece, &self.pieces[piece]);
            lease.push(piece, blocks);
            self.emit_stored(BlockRun { content, first: at, count: blocks }, copy);
            at = end;
        }
    }

    /// Adds the blocks `at .. to` of a run to the piece of the lease's last block, where that is
    /// simple: they follow it, are not there yet, nobody else holds the piece, and the policy does not
    /// tell its blocks apart. So a request that decodes is one piece.
    fn grow(&mut self, lease: &mut Lease, content: u64, at: u32, to: u32) -> bool {
        let held = &mut lease.last;
        if held.blocks == 0 || !self.tells_by_piece {
            return false;
        }
        let (mut id, mut left) = (held.piece, held.blocks);
        while self.pieces[id].blocks() < left {
            left -= self.pieces[id].blocks();
            id = self.pieces[id].behind;
        }
        let piece = &self.pieces[id];
        let is_last = piece.blocks() == left && piece.end == at && piece.refs == 1 && !piece.copy;
        if !is_last || piece.content != content || self.pieces.room(id) < to {
            return false;
        }
        self.pieces[id].end = to;
        held.blocks += to - at;
        true
    }

    /// Finds `count` blocks without content: those there are, then evicted ones.
    fn take_blocks(&mut self, count: u32) {
        let blank = count.min(self.blank);
        self.blank -= blank;
        let mut left = count - blank;
        while left > 0 {
            let victim = self.eviction.victim().expect("blocks were available");
            left -= self.evict(victim, left);
        }
    }

    /// Takes the content from at most `most` blocks of a free piece, in the order of the policy;
    /// returns how many.
    fn evict(&mut self, id: u32, most: u32) -> u32 {
        let piece = self.pieces[id];
        let alone = piece.copy || !self.pieces.has_copies(piece.content);
        let count = if self.tail_first && alone { most.min(piece.blocks()) } else { 1 };
        let first = if self.tail_first { piece.end - count } else { piece.first };
        let content = piece.content;
        let whole = count == piece.blocks();
        if whole {
            self.eviction.revived(id, &piece);
        }
        let heir = if alone { None } else { self.pieces.oldest_copy(content, first) };
        self.pieces.cut(id, first, first + count);
        if let Some(heir) = heir {
            self.promote(heir, first);
        }
        if whole {
            self.pieces.remove(id);
        }
        self.evicted += u64::from(count);
        let copy = piece.copy || heir.is_some();
        self.emit_removed(BlockRun { content, first, count }, copy);
        count
    }

    /// Makes block `at` of a younger copy the oldest one.
    fn promote(&mut self, copy: u32, at: u32) {
        let mut id = copy;
        if self.pieces[id].first < at {
            id = self.split(id, at);
        }
        if self.pieces[id].end > at + 1 {
            self.split(id, at + 1);
        }
        self.pieces.promote(id);
    }

    /// Returns a lease's blocks, tail first.
    pub fn release(&mut self, lease: Lease) {
        self.in_use -= lease.blank;
        self.partial -= lease.blank;
        self.blank += lease.blank;
        let mut strand = std::mem::take(&mut self.strand);
        debug_assert!(lease.last.blocks > 0 || lease.before.is_empty(), "the last is filled first");
        for held in std::iter::once(&lease.last).chain(lease.before.iter().rev()) {
            self.pieces.strand(held.piece, held.blocks, &mut strand);
            for id in strand.iter().rev() {
                let piece = &mut self.pieces[*id];
                piece.refs -= 1;
                if piece.refs == 0 {
                    self.in_use -= piece.blocks();
                    self.eviction.released(*id, piece);
                }
            }
        }
        self.strand = strand;
    }

    fn emit_stored(&mut self, new: BlockRun, copy: bool) {
        if let Some(CacheEvent::Stored { run, copy: same }) = self.events.last_mut()
            && (run.content, run.end(), *same) == (new.content, new.first, copy)
        {
            run.count += new.count;
        } else {
            self.events.push(CacheEvent::Stored { run: new, copy });
        }
    }

    fn emit_removed(&mut self, gone: BlockRun, copy: bool) {
        if let Some(CacheEvent::Removed { run, copy: same }) = self.events.last_mut()
            && (run.content, run.first, *same) == (gone.content, gone.end(), copy)
        {
            run.first = gone.first;
            run.count += gone.count;
        } else {
            self.events.push(CacheEvent::Removed { run: gone, copy });
        }
    }

    /// Blocks counted piece by piece: (in use, cached and free, blank or never used). For tests of
    /// conservation: they add up to [`BlockCache::capacity`].
    pub fn census(&self) -> (u32, u32, u32) {
        let (used, cached) = self.pieces.all().fold((0, 0), |(used, cached), piece| {
            let blocks = piece.blocks();
            if piece.refs > 0 { (used + blocks, cached) } else { (used, cached + blocks) }
        });
        (used + self.partial, cached, self.blank)
    }

    /// How often blocks are held, all leases together.
    pub fn references(&self) -> u64 {
        let held = |piece: &pieces::Piece| u64::from(piece.refs) * u64::from(piece.blocks());
        self.pieces.all().map(held).sum::<u64>() + u64::from(self.partial)
    }
}

#[cfg(test)]
mod tests;
