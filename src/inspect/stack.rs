//! LRU caches of every capacity at once.
//!
//! The cache of capacity C holds the C blocks touched last, so a block is in it exactly when fewer
//! than C other blocks have been touched since (its *depth*, Mattson 1970). One pass that finds the
//! depth of each block therefore gives the hits of all capacities, also of those that are only
//! chosen when the number of blocks is known. Every touch takes the next slot of a time line; the
//! depth is the number of marked slots after the block's own, counted by a Fenwick tree over words
//! of 64 slots. The time line is packed again when it is full: O(log) a touch with tiny constants.

use std::collections::BTreeMap;

/// Hits of some cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Leading blocks found, over all requests.
    pub blocks: u64,
    /// Tokens in them.
    pub tokens: u64,
}

impl Hits {
    pub(super) fn add(&mut self, other: Hits) {
        self.blocks += other.blocks;
        self.tokens += other.tokens;
    }
}

/// Block that has never been touched.
const NEVER: u32 = u32::MAX;

/// Slots of the first time line; a multiple of 64.
const FIRST_SLOTS: usize = 4096;

/// The LRU stack over blocks numbered densely from 0.
#[derive(Debug)]
pub struct LruStack {
    slot_of: Vec<u32>,
    marks: Marks,
    next_slot: usize,
    live: usize,
    /// Hits by the depth that the capacity of a cache must exceed to have them.
    hits: BTreeMap<u32, Hits>,
    /// For each leading block of the last request, the greatest depth up to it.
    reach: Vec<u32>,
}

impl Default for LruStack {
    fn default() -> Self {
        LruStack {
            slot_of: Vec::new(),
            marks: Marks::with_ones(0, FIRST_SLOTS),
            next_slot: 0,
            live: 0,
            hits: BTreeMap::new(),
            reach: Vec::new(),
        }
    }
}

impl LruStack {
    /// Counts the hits of a request whose leading blocks are `known` (all touched before), by what
    /// capacity they need; `tokens` gives the length of a block by its place.
    pub fn look_up(&mut self, known: &[u32], tokens: impl Fn(usize) -> u32) {
        self.reach.clear();
        let mut deepest = 0;
        // Blocks behind each other mostly need the same capacity.
        let mut here = Hits::default();
        for (place, block) in known.iter().enumerate() {
            let slot = self.slot_of[*block as usize];
            let depth = self.marks.after(slot as usize);
            if depth > deepest {
                self.count(deepest, std::mem::take(&mut here));
                deepest = depth;
            }
            self.reach.push(deepest);
            here.add(Hits { blocks: 1, tokens: u64::from(tokens(place)) });
        }
        self.count(deepest, here);
    }

    fn count(&mut self, depth: u32, hits: Hits) {
        if hits.blocks > 0 {
            self.hits.entry(depth).or_default().add(hits);
        }
    }

    /// Makes `block` the most recently used.
    pub fn touch(&mut self, block: u32) {
        if self.next_slot == self.marks.slots() {
            self.pack();
        }
        let index = block as usize;
        if self.slot_of.len() <= index {
            self.slot_of.resize(index + 1, NEVER);
        }
        match self.slot_of[index] {
            NEVER => self.live += 1,
            slot => self.marks.clear(slot as usize),
        }
        self.marks.set(self.next_slot);
        self.slot_of[index] = self.next_slot as u32;
        self.next_slot += 1;
    }

    /// Moves all blocks to the front of a time line with room for as many again.
    fn pack(&mut self) {
        let newest = self.live.saturating_sub(1) as u32;
        for slot in self.slot_of.iter_mut().filter(|slot| **slot != NEVER) {
            *slot = newest - self.marks.after(*slot as usize);
        }
        let slots = (2 * self.live).next_multiple_of(64).max(FIRST_SLOTS);
        self.marks = Marks::with_ones(self.live, slots);
        self.next_slot = self.live;
    }

    /// All hits of a cache of `capacity` blocks so far.
    pub fn hits(&self, capacity: u64) -> Hits {
        let mut sum = Hits::default();
        let within = self.hits.iter().take_while(|(depth, _)| u64::from(**depth) < capacity);
        within.for_each(|(_, hits)| sum.add(*hits));
        sum
    }

    /// Leading blocks of the last request that a cache of `capacity` blocks held.
    pub fn last_hit_blocks(&self, capacity: u64) -> usize {
        self.reach.partition_point(|depth| u64::from(*depth) < capacity)
    }
}

/// A set of slots that counts its members behind a slot.
#[derive(Debug)]
struct Marks {
    words: Vec<u64>,
    /// Fenwick tree over the words, from 1: node `i` counts the last `i & -i` words up to it.
    tree: Vec<u32>,
    count: u32,
}

impl Marks {
    /// The first `ones` of `slots` slots (a multiple of 64) are marked.
    fn with_ones(ones: usize, slots: usize) -> Marks {
        let mut words = vec![0u64; slots / 64];
        words[..ones / 64].fill(u64::MAX);
        if !ones.is_multiple_of(64) {
            words[ones / 64] = (1 << (ones % 64)) - 1;
        }
        let mut tree = vec![0u32; words.len() + 1];
        for node in 1..tree.len() {
            tree[node] += words[node - 1].count_ones();
            let above = node + (node & node.wrapping_neg());
            if above < tree.len() {
                tree[above] += tree[node];
            }
        }
        Marks { words, tree, count: ones as u32 }
    }

    fn slots(&self) -> usize {
        self.words.len() * 64
    }

    fn set(&mut self, slot: usize) {
        self.words[slot / 64] |= 1 << (slot % 64);
        self.count += 1;
        self.add(slot, 1);
    }

    fn clear(&mut self, slot: usize) {
        self.words[slot / 64] &= !(1 << (slot % 64));
        self.count -= 1;
        self.add(slot, u32::MAX);
    }

    /// Adds modulo 2^32, so that -1 is `u32::MAX`.
    fn add(&mut self, slot: usize, amount: u32) {
        let mut node = slot / 64 + 1;
        while node < self.tree.len() {
            self.tree[node] = self.tree[node].wrapping_add(amount);
            node += node & node.wrapping_neg();
        }
    }

    /// How many marked slots come after `slot`.
    fn after(&self, slot: usize) -> u32 {
        let up_to = u64::MAX >> (63 - slot % 64);
        let mut before = (self.words[slot / 64] & up_to).count_ones();
        let mut node = slot / 64;
        while node > 0 {
            before += self.tree[node];
            node &= node - 1;
        }
        self.count - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The definition: the cache is a list, newest first, cut to its capacity after every touch.
    #[derive(Default)]
    struct Naive {
        cache: Vec<u32>,
        hits: u64,
    }

    impl Naive {
        fn request(&mut self, blocks: &[u32], touched: &[u32], capacity: usize) -> usize {
            let hit = blocks.iter().take_while(|b| self.cache.contains(b)).count();
            self.hits += hit as u64;
            for block in touched {
                self.cache.retain(|held| held != block);
                self.cache.insert(0, *block);
                self.cache.truncate(capacity);
            }
            hit
        }
    }

    fn some_requests() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let request = prop::collection::vec(0u32..40, 1..12).prop_map(|mut blocks| {
            let mut seen = HashSet::new();
            blocks.retain(|block| seen.insert(*block));
            blocks
        });
        // Enough touches that the time line is packed several times.
        prop::collection::vec(request, 1..1500)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_capacity_agrees_with_a_plain_list(requests in some_requests(), backward: bool) {
            let capacities = [1usize, 2, 5, 17, 39, 100];
            let mut naive: Vec<Naive> = capacities.iter().map(|_| Naive::default()).collect();
            let mut stack = LruStack::default();
            let mut seen = HashSet::new();
            for blocks in &requests {
                let known = blocks.iter().take_while(|block| seen.contains(*block)).count();
                stack.look_up(&blocks[..known], |_| 3);
                let mut touched = blocks.clone();
                if backward { touched.reverse(); }
                for (naive, capacity) in naive.iter_mut().zip(capacities) {
                    let hit = naive.request(blocks, &touched, capacity);
                    prop_assert_eq!(stack.last_hit_blocks(capacity as u64), hit);
                }
                touched.iter().for_each(|block| stack.touch(*block));
                seen.extend(blocks.iter().copied());
            }
            for (naive, capacity) in naive.iter().zip(capacities) {
                let hits = Hits { blocks: naive.hits, tokens: 3 * naive.hits };
                prop_assert_eq!(stack.hits(capacity as u64), hits);
            }
        }
    }
}
