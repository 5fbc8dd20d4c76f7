//! What is to come, soonest first.
//!
//! The next few lie sorted in a list of their own, which can be looked at before they come; the others lie
//! anyhow, and the list is made anew of them once in a while. A heap would touch a dozen places, far
//! from each other, for every one that comes.

/// So many can be looked at, while there are as many.
const AHEAD: usize = 8;

/// A list of twice this is not worth dividing.
const SHORT: usize = 32;

/// A queue of `T`s, least first; no two are equal.
#[derive(Clone, Debug)]
pub struct Soonest<T> {
    /// Descending, so that the next is the last; all of it comes before all of the others.
    list: Vec<T>,
    others: Vec<T>,
}

impl<T> Default for Soonest<T> {
    fn default() -> Self {
        Soonest { list: Vec::new(), others: Vec::new() }
    }
}

impl<T: Ord> Soonest<T> {
    /// Enters one.
    pub fn push(&mut self, one: T) {
        if !self.others.is_empty() && self.list.first().is_some_and(|last| *last < one) {
            self.others.push(one);
            return;
        }
        let place = self.list.partition_point(|other| *other > one);
        self.list.insert(place, one);
        if self.list.len() > 2 * SHORT && self.list.len() > 2 * self.length() {
            let later = self.list.len() - self.length();
            self.others.extend(self.list.drain(..later));
        }
    }

    /// The next one.
    pub fn peek(&self) -> Option<&T> {
        self.list.last()
    }

    /// The one after `before` others, if it is one of the soonest.
    pub fn soon(&self, before: usize) -> Option<&T> {
        self.list.len().checked_sub(before + 1).map(|place| &self.list[place])
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<T> {
        let next = self.list.pop();
        if self.list.len() < AHEAD && !self.others.is_empty() {
            self.refill();
        }
        next
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len() + self.others.len()
    }

    /// How long the list should be. The longer, the more rarely all others are gone through to make it
    /// anew, and the more of it moves when something is entered.
    fn length(&self) -> usize {
        SHORT.max(8 * self.len().isqrt())
    }

    /// Moves the soonest of the others to the list.
    fn refill(&mut self) {
        let left = self.others.len().saturating_sub(self.length());
        if left > 0 {
            self.others.select_nth_unstable_by(left, |one, other| other.cmp(one));
        }
        let more = self.others.len() - left;
        self.list.splice(..0, self.others.drain(left..));
        self.list[..more].sort_unstable_by(|one, other| other.cmp(one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(
            ops in prop::collection::vec((0u64..1 << 40, 0u32..12, 1usize..300), 1..40),
        ) {
            let mut queue = Soonest::default();
            let mut naive = BTreeSet::new();
            let mut number = 0u64;
            for (spread, op, count) in ops {
                for _ in 0..count {
                    number += 1;
                    if op > 5 {
                        // Soon after the first, or anywhere.
                        let first = naive.first().map_or(0, |(at, _)| *at);
                        let at = crate::prompt::mix(&[spread, number]) % (spread + 1);
                        let at = if op > 8 { at } else { first + at % 100 };
                        queue.push((at, number));
                        naive.insert((at, number));
                    } else {
                        prop_assert_eq!(queue.pop(), naive.pop_first());
                    }
                    prop_assert_eq!(queue.peek(), naive.first());
                }
                prop_assert_eq!(queue.len(), naive.len());
                for (before, one) in naive.iter().take(AHEAD).enumerate() {
                    prop_assert_eq!(queue.soon(before), Some(one));
                }
            }
        }
    }
}
