//! The event queue: ordered by time, then rank, then place, then order of insertion.

use crate::soonest::Soonest;
use crate::units::Nanos;

/// Bits of an event's place, and of its number.
const PLACE: u32 = 22;
const NUMBER: u32 = 40;

/// Events of equal time happen in order of rank, those of equal rank in order of place, those of
/// equal place in order of insertion.
pub trait Ranked {
    /// Lower ranks first; below 4.
    fn rank(&self) -> u8;

    /// Lower places first; below 2^22.
    fn place(&self) -> u32 {
        0
    }
}

/// A queue of events `E`, of fewer than 2^40.
pub struct EventQueue<E> {
    soonest: Soonest<Entry<E>>,
    inserted: u64,
}

struct Entry<E> {
    /// Time, rank, place and order of insertion, from high bits to low.
    key: u128,
    event: E,
}

impl<E> Entry<E> {
    fn at(&self) -> Nanos {
        Nanos((self.key >> 64) as u64)
    }

    fn rank(&self) -> u8 {
        (self.key as u64 >> (PLACE + NUMBER)) as u8
    }
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
        EventQueue { soonest: Soonest::default(), inserted: 0 }
    }
}

impl<E: Ranked> EventQueue<E> {
    /// Schedules an event.
    pub fn push(&mut self, at: Nanos, event: E) {
        self.inserted += 1;
        let (rank, place) = (u64::from(event.rank()), u64::from(event.place()));
        debug_assert!(rank < 4 && place < 1 << PLACE && self.inserted < 1 << NUMBER);
        let order = rank << (PLACE + NUMBER) | place << NUMBER | self.inserted;
        self.soonest.push(Entry { key: u128::from(at.0) << 64 | u128::from(order), event });
    }

    /// Time and rank of the next event.
    pub fn peek(&self) -> Option<(Nanos, u8)> {
        self.soonest.peek().map(|next| (next.at(), next.rank()))
    }

    /// The event that happens after `others` others, if it is one of the soonest.
    pub fn soon(&self, others: usize) -> Option<&E> {
        self.soonest.soon(others).map(|entry| &entry.event)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Nanos, E)> {
        let next = self.soonest.pop()?;
        Some((next.at(), next.event))
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
