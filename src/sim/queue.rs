//! The event queue: ordered by time, then rank, then place, then order of insertion.
//!
//! The next few events lie in a list of their own, so that one can look at them before they happen.

use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Events in the list, while there are as many.
const FRONT: usize = 8;

/// Events of equal time happen in order of rank, those of equal rank in order of place, those of
/// equal place in order of insertion.
pub trait Ranked {
    /// Lower ranks first.
    fn rank(&self) -> u8;

    /// Lower places first.
    fn place(&self) -> u32 {
        0
    }
}

/// A queue of events `E`.
pub struct EventQueue<E> {
    /// Ascending; all of it comes before all of the heap.
    front: VecDeque<Entry<E>>,
    heap: BinaryHeap<Reverse<Entry<E>>>,
    inserted: u64,
}

struct Entry<E> {
    at: Nanos,
    /// Rank, then place, then order of insertion.
    order: (u64, u64),
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<E: Ranked> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue { front: VecDeque::new(), heap: BinaryHeap::new(), inserted: 0 }
    }
}

impl<E: Ranked> EventQueue<E> {
    /// Schedules an event.
    pub fn push(&mut self, at: Nanos, event: E) {
        self.inserted += 1;
        let rank = u64::from(event.rank()) << 32 | u64::from(event.place());
        let entry = Entry { at, order: (rank, self.inserted), event };
        if self.front.len() == FRONT {
            if self.front.back().is_some_and(|last| *last < entry) {
                self.heap.push(Reverse(entry));
                return;
            }
            self.heap.extend(self.front.pop_back().map(Reverse));
        }
        let place = self.front.iter().rposition(|other| *other < entry).map_or(0, |last| last + 1);
        self.front.insert(place, entry);
    }

    /// Time and rank of the next event.
    pub fn peek(&self) -> Option<(Nanos, u8)> {
        self.front.front().map(|entry| (entry.at, (entry.order.0 >> 32) as u8))
    }

    /// The event that happens after `others` others, if it is one of the soonest.
    pub fn soon(&self, others: usize) -> Option<&E> {
        self.front.get(others).map(|entry| &entry.event)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        let next = self.front.pop_front()?;
        self.front.extend(self.heap.pop().map(|Reverse(entry)| entry));
        Some((next.at, next.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Numbered {
        rank: u8,
        place: u32,
        number: usize,
    }
    impl Ranked for Numbered {
        fn rank(&self) -> u8 {
            self.rank
        }
        fn place(&self) -> u32 {
            self.place
        }
    }

    proptest! {
        #[test]
        fn pops_in_the_order_of_a_stable_sort(
            pushes in prop::collection::vec(prop::option::of((0u64..6, 0u8..3, 0u32..2)), 1..200),
        ) {
            let mut queue = EventQueue::default();
            let mut naive: Vec<(u64, Numbered)> = Vec::new();
            for (number, push) in pushes.into_iter().enumerate() {
                if let Some((at, rank, place)) = push {
                    let event = Numbered { rank, place, number };
                    queue.push(Nanos(at), event);
                    naive.push((at, event));
                    naive.sort_by_key(|(at, event)| (*at, event.rank, event.place));
                } else {
                    let expected = (!naive.is_empty()).then(|| naive.remove(0));
                    prop_assert_eq!(queue.pop(), expected.map(|(at, event)| (Nanos(at), event)));
                }
                prop_assert_eq!(queue.peek(), naive.first().map(|(at, e)| (Nanos(*at), e.rank)));
            }
        }
    }
}
