//! A hash map of small things, in one array.
//!
//! Where a simulation is too large for the processor's caches, it does little but wait for memory: here a
//! lookup is one place to wait for, which can be asked for ahead of time.

use crate::ahead::fetch_at;

/// Marks a free slot. A key of this value counts as the one before it: both are hashes then, and such
/// two are as unlikely as any two that are equal.
const FREE: u64 = u64::MAX;

/// Slots of the smallest map that holds anything.
const SMALLEST: usize = 8;

/// From keys, which may be numbers or hashes, to values that are copied.
#[derive(Clone, Debug)]
pub struct FlatMap<V> {
    /// A power of two of them, or none. A key lies in its home or behind it, with no free slot between.
    slots: Vec<(u64, V)>,
    used: usize,
}

impl<V> Default for FlatMap<V> {
    fn default() -> Self {
        FlatMap { slots: Vec::new(), used: 0 }
    }
}

impl<V: Copy + Default> FlatMap<V> {
    /// What is kept for `key`.
    pub fn get(&self, key: u64) -> Option<V> {
        if self.used == 0 {
            return None;
        }
        let (at, known) = self.find(key);
        known.then(|| self.slots[at].1)
    }

    /// The same, `value` where there was nothing.
    pub fn get_or_insert(&mut self, key: u64, value: V) -> &mut V {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let (at, known) = self.find(key);
        if !known {
            self.slots[at] = (named(key), value);
            self.used += 1;
        }
        &mut self.slots[at].1
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: u64) {
        if self.used == 0 {
            return;
        }
        let (mut free, known) = self.find(key);
        if !known {
            return;
        }
        self.used -= 1;
        let mask = self.slots.len() - 1;
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let (other, value) = self.slots[at];
            if other == FREE {
                break;
            }
            // It may go to the free slot unless that lies before its home.
            if at.wrapping_sub(self.home(other)) & mask >= at.wrapping_sub(free) & mask {
                self.slots[free] = (other, value);
                free = at;
            }
        }
        self.slots[free].0 = FREE;
    }

    /// See `crate::ahead`: `key` will be looked up.
    pub fn fetch(&self, key: u64) {
        if !self.slots.is_empty() {
            fetch_at(&self.slots, self.home(named(key)));
        }
    }

    /// Where `key` is, or belongs; there are slots.
    fn find(&self, key: u64) -> (usize, bool) {
        let (key, mask) = (named(key), self.slots.len() - 1);
        let mut at = self.home(key);
        loop {
            match self.slots[at].0 {
                FREE => return (at, false),
                other if other == key => return (at, true),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Fibonacci hashing: the high bits of a product with 2^64 over the golden ratio.
    fn home(&self, key: u64) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    }

    fn grow(&mut self) {
        let free = vec![(FREE, V::default()); SMALLEST.max(2 * self.slots.len())];
        for (key, value) in std::mem::replace(&mut self.slots, free) {
            if key != FREE {
                let (at, _) = self.find(key);
                self.slots[at] = (key, value);
            }
        }
    }
}

fn named(key: u64) -> u64 {
    key.min(FREE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn agrees_with_a_plain_map(
            spread in 1u64..400, hashed in any::<bool>(),
            ops in prop::collection::vec((0u64..400, 0u32..5, any::<u32>()), 1..2000),
        ) {
            let mut map = FlatMap::default();
            let mut naive: HashMap<u64, u32> = HashMap::new();
            for (number, op, value) in ops {
                let number = number % spread;
                // The last keys of all wrap around the end of the array.
                let key = if hashed { number.wrapping_sub(7).wrapping_mul(1 << 40) } else { number };
                match op {
                    0 | 1 => {
                        let held = map.get_or_insert(key, value);
                        prop_assert_eq!(&*held, naive.entry(key).or_insert(value));
                        *held ^= 1;
                        *naive.get_mut(&key).unwrap() ^= 1;
                    }
                    2 => {
                        map.remove(key);
                        naive.remove(&key);
                    }
                    _ => prop_assert_eq!(map.get(key), naive.get(&key).copied()),
                }
            }
            prop_assert_eq!(map.used, naive.len());
            for (key, value) in naive {
                prop_assert_eq!(map.get(key), Some(value));
            }
        }
    }
}
