//! Which physical block holds which block of which run.

use rustc_hash::FxHashMap;

/// No block.
pub const NONE: u32 = u32::MAX;

/// Where a block's content belongs: a run's slot in the table and the index in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub slot: u32,
    pub index: u32,
}

impl Place {
    /// No content.
    pub const NOWHERE: Place = Place { slot: NONE, index: NONE };
}

struct Entry {
    content: u64,
    /// Oldest copy per index in the run, [`NONE`] where absent.
    heads: Vec<u32>,
    /// Indices present.
    live: u32,
}

/// Runs by key. Slots stay put while a run has blocks, so blocks can name them.
#[derive(Default)]
pub struct Table {
    slots: FxHashMap<u64, u32>,
    entries: Vec<Entry>,
    vacant: Vec<u32>,
}

impl Table {
    /// Oldest copies by index, or `None` where no block of the run is present.
    pub fn heads(&self, content: u64) -> Option<&[u32]> {
        self.slots.get(&content).map(|slot| self.entries[*slot as usize].heads.as_slice())
    }

    /// The run's slot, made where it has none.
    pub fn slot(&mut self, content: u64) -> u32 {
        let (entries, vacant) = (&mut self.entries, &mut self.vacant);
        *self.slots.entry(content).or_insert_with(|| match vacant.pop() {
            Some(slot) => {
                entries[slot as usize].content = content;
                slot
            }
            None => {
                entries.push(Entry { content, heads: Vec::new(), live: 0 });
                entries.len() as u32 - 1
            }
        })
    }

    /// The key of a slot.
    pub fn content(&self, slot: u32) -> u64 {
        self.entries[slot as usize].content
    }

    /// The head at `place`; the caller who finds [`NONE`] there must fill it.
    pub fn head_mut(&mut self, place: Place) -> &mut u32 {
        let entry = &mut self.entries[place.slot as usize];
        let index = place.index as usize;
        if entry.heads.len() <= index {
            entry.heads.resize(index + 1, NONE);
        }
        if entry.heads[index] == NONE {
            entry.live += 1;
        }
        &mut entry.heads[index]
    }

    /// The last copy at `place` is gone.
    pub fn vacated(&mut self, place: Place) {
        let entry = &mut self.entries[place.slot as usize];
        entry.live -= 1;
        if entry.live == 0 {
            self.slots.remove(&entry.content);
            entry.heads.clear();
            self.vacant.push(place.slot);
        }
    }
}
