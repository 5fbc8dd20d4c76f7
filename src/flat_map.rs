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

/// From keys, which may be numbers or hashes.
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

impl<V: Default> FlatMap<V> {
    /// What is kept for `key`.
    pub fn get(&self, key: u64) -> Option<&V> {
        let (at, known) = self.find(key);
        known.then(|| &self.slots[at].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        let (at, known) = self.find(key);
        known.then(|| &mut self.slots[at].1)
    }

    /// The same, made where there was nothing.
    pub fn get_or_insert_with(&mut self, key: u64, make: impl FnOnce() -> V) -> &mut V {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let (at, known) = self.find(key);
        if !known {
            self.slots[at] = (named(key), make());
            self.used += 1;
        }
        &mut self.slots[at].1
    }

    /// Keeps `value` for `key`, in place of what there was.
    pub fn insert(&mut self, key: u64, value: V) {
        *self.get_or_insert_with(key, V::default) = value;
    }

    /// Takes what is kept for `key`.
    pub fn remove(&mut self, key: u64) -> Option<V> {
        let (mut free, known) = self.find(key);
        if !known {
            return None;
        }
        let value = std::mem::take(&mut self.slots[free].1);
        self.used -= 1;
        let mask = self.slots.len() - 1;
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let other = self.slots[at].0;
            if other == FREE {
                break;
            }
            // It may go to the free slot unless that lies before its home.
            if at.wrapping_sub(self.home(other)) & mask >= at.wrapping_sub(free) & mask {
                self.slots[free] = (other, std::mem::take(&mut self.slots[at].1));
                free = at;
            }
        }
        self.slots[free].0 = FREE;
        Some(value)
    }

    /// Drops everything that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        let all = self.slots.iter_mut().filter(|(key, _)| *key != FREE);
        let gone: Vec<u64> =
            all.filter_map(|(key, value)| (!keep(value)).then_some(*key)).collect();
        for key in gone {
            self.remove(key);
        }
    }

    /// See `crate::ahead`: `key` will be looked up.
    pub fn fetch(&self, key: u64) {
        if !self.slots.is_empty() {
            fetch_at(&self.slots, self.home(named(key)));
        }
    }

    /// Where `key` is, or belongs, and whether it is there.
    fn find(&self, key: u64) -> (usize, bool) {
        if self.slots.is_empty() {
            return (0, false);
        }
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
        let slots = SMALLEST.max(2 * self.slots.len());
        let free = std::iter::repeat_with(|| (FREE, V::default())).take(slots).collect();
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
            ops in prop::collection::vec((0u64..400, 0u32..7, any::<u32>()), 1..2000),
        ) {
            let mut map = FlatMap::default();
            let mut naive: HashMap<u64, u32> = HashMap::new();
            for (number, op, value) in ops {
                let number = number % spread;
                // The last keys of all wrap around the end of the array.
                let key = if hashed { number.wrapping_sub(7).wrapping_mul(1 << 40) } else { number };
                match op {
                    0 | 1 => {
                        let held = map.get_or_insert_with(key, || value);
                        prop_assert_eq!(&*held, naive.entry(key).or_insert(value));
                        *held ^= 1;
                        *naive.get_mut(&key).unwrap() ^= 1;
                    }
                    2 | 3 => prop_assert_eq!(map.remove(key), naive.remove(&key)),
                    4 => prop_assert_eq!(map.get_mut(key), naive.get_mut(&key)),
                    5 => {
                        map.insert(key, value);
                        naive.insert(key, value);
                    }
                    _ => {
                        let keep = |held: &mut u32| { *held ^= value; !held.is_multiple_of(16) };
                        map.retain(keep);
                        naive.retain(|_, held| keep(held));
                    }
                }
            }
            prop_assert_eq!(map.used, naive.len());
            for (key, value) in &naive {
                prop_assert_eq!(map.get(*key), Some(value));
            }
        }
    }
}
