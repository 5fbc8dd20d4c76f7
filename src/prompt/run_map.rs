//! A map keyed by the content of runs.
//!
//! [`super::Paths`] names runs 0, 1, 2, ... in the order in which they are first met, and those met at
//! about the same time are mostly used at the same time too. A map of such names is an array cut into
//! pages: nothing is hashed, and neighbours share cache lines, which a large simulation needs, because
//! it does little but wait for memory. Keys that are hashes go into a hash map.

use crate::ahead::fetch_at;
use crate::flat_map::FlatMap;

/// Entries of a page.
const PAGE: usize = 32;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct RunMap<V>(Kind<V>);

#[derive(Clone, Debug)]
enum Kind<V> {
    Hashed(FlatMap<Option<V>>),
    /// Pages that hold something; others are given back.
    Numbered(Vec<Option<Box<Page<V>>>>),
}

#[derive(Clone, Debug)]
struct Page<V> {
    slots: [Option<V>; PAGE],
    used: usize,
}

impl<V> Page<V> {
    fn empty() -> Box<Page<V>> {
        Box::new(Page { slots: [const { None }; PAGE], used: 0 })
    }
}

/// For keys that are hashes.
impl<V> Default for RunMap<V> {
    fn default() -> Self {
        RunMap(Kind::Hashed(FlatMap::default()))
    }
}

/// Page of a name, and its place there.
fn place(name: u64) -> (usize, usize) {
    let name = name as usize;
    (name / PAGE, name % PAGE)
}

impl<V> RunMap<V> {
    /// For the names of one [`super::Paths`]: memory follows the highest.
    pub fn numbered() -> RunMap<V> {
        RunMap(Kind::Numbered(Vec::new()))
    }

    /// What is kept for `content`.
    pub fn get(&self, content: u64) -> Option<&V> {
        match &self.0 {
            Kind::Hashed(map) => map.get(content)?.as_ref(),
            Kind::Numbered(pages) => {
                let (page, slot) = place(content);
                pages.get(page)?.as_ref()?.slots[slot].as_ref()
            }
        }
    }

    /// See `crate::ahead`: [`RunMap::fetch`] will be asked for `content`.
    pub fn fetch_page(&self, content: u64) {
        if let Kind::Numbered(pages) = &self.0 {
            fetch_at(pages, place(content).0);
        }
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, content: u64) {
        match &self.0 {
            Kind::Hashed(map) => map.fetch(content),
            Kind::Numbered(pages) => {
                let (page, slot) = place(content);
                if let Some(Some(page)) = pages.get(page) {
                    fetch_at(&page.slots, slot);
                }
            }
        }
    }

    /// The same, made where there is nothing.
    pub fn get_or_insert_with(&mut self, content: u64, make: impl FnOnce() -> V) -> &mut V {
        match &mut self.0 {
            Kind::Hashed(map) => map.get_or_insert_with(content, || None).get_or_insert_with(make),
            Kind::Numbered(pages) => {
                let (page, slot) = place(content);
                if pages.len() <= page {
                    pages.resize_with(page + 1, || None);
                }
                let page = pages[page].get_or_insert_with(Page::empty);
                let place = &mut page.slots[slot];
                if place.is_none() {
                    page.used += 1;
                }
                place.get_or_insert_with(make)
            }
        }
    }

    /// Changes what is kept for `content`, if anything; it goes where `keep` says no.
    pub fn change(&mut self, content: u64, keep: impl FnOnce(&mut V) -> bool) {
        match &mut self.0 {
            Kind::Hashed(map) => {
                let Some(Some(value)) = map.get_mut(content) else { return };
                if !keep(value) {
                    map.remove(content);
                }
            }
            Kind::Numbered(pages) => {
                let (page, slot) = place(content);
                let Some(at @ Some(_)) = pages.get_mut(page) else { return };
                let Some(page) = at else { return };
                let Some(value) = &mut page.slots[slot] else { return };
                if !keep(value) {
                    page.slots[slot] = None;
                    page.used -= 1;
                    if page.used == 0 {
                        *at = None;
                    }
                }
            }
        }
    }

    /// Drops everything that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        match &mut self.0 {
            Kind::Hashed(map) => {
                map.retain(|value| value.as_mut().is_some_and(&mut keep));
            }
            Kind::Numbered(pages) => {
                for at in pages {
                    let Some(page) = at else { continue };
                    for slot in &mut page.slots {
                        if slot.as_mut().is_some_and(|value| !keep(value)) {
                            *slot = None;
                            page.used -= 1;
                        }
                    }
                    if page.used == 0 {
                        *at = None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn both_kinds_agree_with_a_plain_map(
            ops in prop::collection::vec((0u64..200, 0u32..4, any::<u32>()), 1..400),
        ) {
            let mut maps = [RunMap::default(), RunMap::numbered()];
            let mut naive: BTreeMap<u64, u32> = BTreeMap::new();
            for (key, op, value) in ops {
                match op {
                    0 | 1 => {
                        let expected = *naive.entry(key).or_insert(value);
                        for map in &mut maps {
                            prop_assert_eq!(*map.get_or_insert_with(key, || value), expected);
                        }
                    }
                    2 => {
                        let keep = |held: &mut u32| { *held ^= value; held.is_multiple_of(2) };
                        maps.iter_mut().for_each(|map| map.change(key, keep));
                        if naive.get_mut(&key).is_some_and(|held| !keep(held)) {
                            naive.remove(&key);
                        }
                    }
                    _ => {
                        let keep = |held: &mut u32| *held % 3 != value % 3;
                        maps.iter_mut().for_each(|map| map.retain(keep));
                        naive.retain(|_, held| keep(held));
                    }
                }
                for map in &maps {
                    for key in 0..200 {
                        prop_assert_eq!(map.get(key), naive.get(&key));
                    }
                }
            }
        }
    }

    #[test]
    fn pages_without_entries_are_given_back() {
        let mut map = RunMap::numbered();
        (0..10_000).for_each(|key| *map.get_or_insert_with(key, || 0u8) += 1);
        (0..10_000).for_each(|key| map.change(key, |_| key % 1000 == 0));
        let Kind::Numbered(pages) = &map.0 else { panic!("it was made for numbers") };
        assert_eq!(pages.iter().flatten().count(), 10);
        map.retain(|_| false);
        let Kind::Numbered(pages) = &map.0 else { panic!("it was made for numbers") };
        assert_eq!(pages.iter().flatten().count(), 0);
    }
}
