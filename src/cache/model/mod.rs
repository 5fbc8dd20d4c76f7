//! The cache block by block: plain and slow, what the real one is held against.

mod eviction;
mod table;

use super::Prefix;
use crate::prompt::{BlockRun, CacheEvent};
use crate::scenario::EvictionKind;
use eviction::Eviction;
use table::{NONE, Place, Table};

/// Blocks held by one running request, in order of the sequence. Opaque: it must go back through
/// [`BlockCache::release`].
#[derive(Debug, Default)]
pub struct Lease {
    blocks: Vec<u32>,
    /// Leading blocks that have content.
    stored: u32,
    /// Where in the request's runs the next block to store lies.
    cursor: Cursor,
}

/// A place in a list of runs.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    run: usize,
    index: u32,
}

impl Lease {
    /// Number of blocks held.
    pub fn blocks(&self) -> u32 {
        self.blocks.len() as u32
    }
}

/// One physical block.
#[derive(Clone, Copy, Debug)]
struct Block {
    place: Place,
    /// Leases that hold it.
    refs: u32,
    /// The next younger copy of the same content.
    next_copy: u32,
}

/// See the module's documentation.
pub struct BlockCache {
    capacity: u32,
    table: Table,
    /// Grown as blocks are first used; those never used are `capacity − blocks.len()`.
    blocks: Vec<Block>,
    /// Used before, free now, without content.
    blank: Vec<u32>,
    eviction: Box<dyn Eviction>,
    in_use: u32,
    evicted: u64,
    events: Vec<CacheEvent>,
}

impl BlockCache {
    /// An empty cache of `capacity` usable blocks.
    pub fn new(capacity: u32, eviction: EvictionKind) -> BlockCache {
        BlockCache {
            capacity,
            table: Table::default(),
            blocks: Vec::new(),
            blank: Vec::new(),
            eviction: eviction::build(eviction),
            in_use: 0,
            evicted: 0,
            events: Vec::new(),
        }
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

    /// Changes since the last call, in order.
    pub fn drain_events(&mut self) -> std::vec::Drain<'_, CacheEvent> {
        self.events.drain(..)
    }

    /// The longest run of leading blocks of `runs` present, at most `most` blocks.
    pub fn lookup(&self, runs: &[BlockRun], most: u32) -> Prefix {
        let mut found = Prefix::default();
        for run in runs {
            let Some(heads) = self.table.heads(run.content) else {
                break;
            };
            let wanted = run.count.min(most - found.blocks);
            let present = heads.iter().skip(run.first as usize).take(wanted as usize);
            let before = found.blocks;
            for head in present.take_while(|head| **head != NONE) {
                found.blocks += 1;
                found.active += u32::from(self.blocks[*head as usize].refs > 0);
            }
            if found.blocks - before < run.count {
                break;
            }
        }
        found
    }

    /// Takes the leading `count` blocks of `runs`, which a [`BlockCache::lookup`] has just found.
    pub fn acquire(&mut self, runs: &[BlockRun], count: u32) -> Lease {
        let mut lease = Lease { blocks: Vec::with_capacity(count as usize), ..Lease::default() };
        while lease.stored < count {
            let run = runs[lease.cursor.run];
            let take = (run.count - lease.cursor.index).min(count - lease.stored);
            let heads = self.table.heads(run.content).expect("a lookup has just found the run");
            let from = (run.first + lease.cursor.index) as usize;
            lease.blocks.extend_from_slice(&heads[from..from + take as usize]);
            lease.advance(take, run.count);
        }
        for id in &lease.blocks {
            let block = &mut self.blocks[*id as usize];
            debug_assert_ne!(*id, NONE, "a lookup has just found the block");
            self.eviction.hit(*id);
            if block.refs == 0 {
                self.eviction.revived(*id);
                self.in_use += 1;
            }
            block.refs += 1;
        }
        lease
    }

    /// Grows `lease` to `blocks` blocks and gives content to the leading `full` of them, as laid
    /// down in `runs`. Returns false, changing nothing, where too few blocks are available.
    pub fn extend(&mut self, lease: &mut Lease, runs: &[BlockRun], blocks: u32, full: u32) -> bool {
        let missing = blocks.saturating_sub(lease.blocks());
        if missing > self.available() {
            return false;
        }
        for _ in 0..missing {
            let id = self.take_block();
            lease.blocks.push(id);
        }
        self.in_use += missing;
        while lease.stored < full {
            let run = runs[lease.cursor.run];
            let take = (run.count - lease.cursor.index).min(full - lease.stored);
            self.store(lease, run, take);
            lease.advance(take, run.count);
        }
        true
    }

    /// Gives content to the next `take` blocks of `lease`: those of `run` from its cursor on.
    fn store(&mut self, lease: &Lease, run: BlockRun, take: u32) {
        let slot = self.table.slot(run.content);
        for offset in 0..take {
            let id = lease.blocks[(lease.stored + offset) as usize];
            let place = Place { slot, index: run.first + lease.cursor.index + offset };
            self.blocks[id as usize].place = place;
            self.eviction.stored(id);
            let copy = self.link(id, place);
            let one = BlockRun { content: run.content, first: place.index, count: 1 };
            self.emit_stored(one, copy);
        }
    }

    /// Enters a block in the table, behind older copies; says whether there were any.
    fn link(&mut self, id: u32, place: Place) -> bool {
        let head = self.table.head_mut(place);
        if *head == NONE {
            *head = id;
            return false;
        }
        let mut last = *head;
        while self.blocks[last as usize].next_copy != NONE {
            last = self.blocks[last as usize].next_copy;
        }
        self.blocks[last as usize].next_copy = id;
        true
    }

    /// A block without content: never used, blank, or evicted for the purpose.
    fn take_block(&mut self) -> u32 {
        let fresh = Block { place: Place::NOWHERE, refs: 1, next_copy: NONE };
        if let Some(id) = self.blank.pop() {
            self.blocks[id as usize] = fresh;
            return id;
        }
        if (self.blocks.len() as u32) < self.capacity {
            self.blocks.push(fresh);
            return self.blocks.len() as u32 - 1;
        }
        let id = self.eviction.victim().expect("blocks were available");
        self.evict(id);
        self.blocks[id as usize] = fresh;
        id
    }

    /// Takes the content from a free block.
    fn evict(&mut self, id: u32) {
        let Block { place, next_copy, .. } = self.blocks[id as usize];
        let content = self.table.content(place.slot);
        let head = self.table.head_mut(place);
        let copy = if *head == id {
            *head = next_copy;
            next_copy != NONE
        } else {
            let mut before = *head;
            while self.blocks[before as usize].next_copy != id {
                before = self.blocks[before as usize].next_copy;
            }
            self.blocks[before as usize].next_copy = next_copy;
            true
        };
        if !copy {
            self.table.vacated(place);
        }
        self.evicted += 1;
        self.emit_removed(BlockRun { content, first: place.index, count: 1 }, copy);
    }

    /// Returns a lease's blocks, tail first.
    pub fn release(&mut self, lease: Lease) {
        for id in lease.blocks.iter().rev() {
            let block = &mut self.blocks[*id as usize];
            block.refs -= 1;
            if block.refs > 0 {
                continue;
            }
            self.in_use -= 1;
            if block.place == Place::NOWHERE {
                self.blank.push(*id);
            } else {
                self.eviction.released(*id);
            }
        }
    }

    fn emit_stored(&mut self, one: BlockRun, copy: bool) {
        if let Some(CacheEvent::Stored { run, copy: same }) = self.events.last_mut()
            && (run.content, run.end(), *same) == (one.content, one.first, copy)
        {
            run.count += 1;
        } else {
            self.events.push(CacheEvent::Stored { run: one, copy });
        }
    }

    fn emit_removed(&mut self, one: BlockRun, copy: bool) {
        if let Some(CacheEvent::Removed { run, copy: same }) = self.events.last_mut()
            && (run.content, run.first, *same) == (one.content, one.first + 1, copy)
        {
            run.first -= 1;
            run.count += 1;
        } else {
            self.events.push(CacheEvent::Removed { run: one, copy });
        }
    }

    /// Blocks counted one by one: (in use, cached and free, blank or never used). For tests of
    /// conservation: they add up to [`BlockCache::capacity`].
    pub fn census(&self) -> (u32, u32, u32) {
        let used = self.blocks.iter().filter(|block| block.refs > 0).count() as u32;
        let free = |block: &&Block| block.refs == 0 && block.place != Place::NOWHERE;
        let cached = self.blocks.iter().filter(free).count() as u32;
        let blank = self.blank.len() as u32 + self.capacity - self.blocks.len() as u32;
        (used, cached, blank)
    }

    /// How often blocks are held, all leases together.
    pub fn references(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.refs)).sum()
    }
}

impl Lease {
    /// Moves on by `count` blocks of a run of `run_count`.
    fn advance(&mut self, count: u32, run_count: u32) {
        self.stored += count;
        self.cursor.index += count;
        if self.cursor.index == run_count {
            self.cursor = Cursor { run: self.cursor.run + 1, index: 0 };
        }
    }
}
