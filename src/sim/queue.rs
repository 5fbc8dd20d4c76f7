//! The event queue: ordered by time, then rank, then order of insertion.

use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events of equal time happen in order of rank, those of equal rank in order of insertion.
pub trait Ranked {
    /// Lower ranks first.
    fn rank(&self) -> u8;
}

/// A queue of events `E`.
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    inserted: u64,
}

struct Entry<E> {
    key: (Nanos, u8, u64),
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
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
        self.key.cmp(&other.key)
    }
}

impl<E: Ranked> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue { heap: BinaryHeap::new(), inserted: 0 }
    }
}

impl<E: Ranked> EventQueue<E> {
    /// Schedules an event.
    pub fn push(&mut self, at: Nanos, event: E) {
        self.inserted += 1;
        self.heap.push(Reverse(Entry { key: (at, event.rank(), self.inserted), event }));
    }

    /// Time and rank of the next event.
    pub fn peek(&self) -> Option<(Nanos, u8)> {
        self.heap.peek().map(|Reverse(entry)| (entry.key.0, entry.key.1))
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        self.heap.pop().map(|Reverse(entry)| (entry.key.0, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Numbered {
        rank: u8,
        number: usize,
    }
    impl Ranked for Numbered {
        fn rank(&self) -> u8 {
            self.rank
        }
    }

    proptest! {
        #[test]
        fn pops_in_the_order_of_a_stable_sort(
            pushes in prop::collection::vec(prop::option::of((0u64..6, 0u8..3)), 1..200),
        ) {
            let mut queue = EventQueue::default();
            let mut naive: Vec<(u64, Numbered)> = Vec::new();
            for (number, push) in pushes.into_iter().enumerate() {
                if let Some((at, rank)) = push {
                    let event = Numbered { rank, number };
                    queue.push(Nanos(at), event);
                    naive.push((at, event));
                    naive.sort_by_key(|(at, event)| (*at, event.rank));
                } else {
                    let expected = (!naive.is_empty()).then(|| naive.remove(0));
                    prop_assert_eq!(queue.pop(), expected.map(|(at, event)| (Nanos(at), event)));
                }
                prop_assert_eq!(queue.peek(), naive.first().map(|(at, e)| (Nanos(*at), e.rank)));
            }
        }
    }
}
