//! Who holds something of one run.
//!
//! Most runs are held by one worker alone, some by a few, a system prompt by nearly all. The last are
//! kept by worker, with the lengths of their prefixes in an array of their own, so that a query goes
//! through a thousand of them a vector at a time.

use smallvec::SmallVec;
use std::num::NonZeroU32;

/// Fewer others than this are kept as a list.
const CROWD: usize = 32;

/// A crowd is kept by worker where one in so many workers belongs to it.
const SHARE: usize = 4;

/// How much of a run one worker holds.
pub trait Holder: Default {
    /// Leading blocks of the run held.
    fn prefix(&self) -> u32;
    /// Nothing is held.
    fn is_empty(&self) -> bool;
}

/// At least one worker and what it holds.
pub(super) struct Holders<H> {
    one: (Worker, H),
    /// Boxed, because there are many runs and few others.
    others: Option<Box<Others<H>>>,
}

/// Number of a worker, and one: what may be missing takes no more room than what is there.
#[derive(Clone, Copy, PartialEq)]
struct Worker(NonZeroU32);

impl Worker {
    fn new(number: u32) -> Worker {
        Worker(NonZeroU32::MIN.saturating_add(number))
    }

    fn number(self) -> u32 {
        self.0.get() - 1
    }
}

enum Others<H> {
    /// By worker, ascending; mostly it is one or two.
    Few(SmallVec<[(u32, H); 2]>),
    Many(Many<H>),
}

/// One entry per worker up to the last that ever held something.
struct Many<H> {
    prefixes: Vec<u32>,
    held: Vec<H>,
    /// Entries that hold something.
    count: usize,
}

impl<H: Holder> Holders<H> {
    pub(super) fn new(worker: u32) -> Holders<H> {
        Holders { one: (Worker::new(worker), H::default()), others: None }
    }

    /// Changes what `worker` holds, from nothing if need be; afterwards it must hold something.
    pub(super) fn grow<R>(&mut self, worker: u32, change: impl FnOnce(&mut H) -> R) -> R {
        if self.one.0.number() == worker {
            return change(&mut self.one.1);
        }
        let others = self.others.get_or_insert_with(|| Box::new(Others::Few(SmallVec::new())));
        if let Others::Few(few) = &mut **others {
            match place(few, worker) {
                Ok(at) => return change(&mut few[at].1),
                Err(at) if few.len() < CROWD || few.len() < highest(few, worker) / SHARE => {
                    let mut held = H::default();
                    let result = change(&mut held);
                    few.insert(at, (worker, held));
                    return result;
                }
                Err(_) => **others = Others::Many(Many::of(std::mem::take(few))),
            }
        }
        let Others::Many(many) = &mut **others else { unreachable!("they are many by now") };
        many.change(worker, change)
    }

    /// Changes what `worker` holds, if anything; false where now nobody holds anything.
    pub(super) fn change(&mut self, worker: u32, change: impl FnOnce(&mut H)) -> bool {
        if self.one.0.number() == worker {
            change(&mut self.one.1);
            if self.one.1.is_empty() {
                let Some((worker, held)) = self.others.as_mut().and_then(|others| others.pop())
                else {
                    return false;
                };
                self.one = (Worker::new(worker), held);
            }
        } else if let Some(others) = &mut self.others {
            others.change(worker, change);
        }
        true
    }

    /// Leading blocks that `worker` holds.
    pub(super) fn prefix_of(&self, worker: u32) -> u32 {
        if self.one.0.number() == worker {
            return self.one.1.prefix();
        }
        match self.others.as_deref() {
            None => 0,
            Some(Others::Few(few)) => place(few, worker).map_or(0, |at| few[at].1.prefix()),
            Some(Others::Many(many)) => many.prefixes.get(worker as usize).copied().unwrap_or(0),
        }
    }

    /// Whether `is` says so of a worker and the leading blocks that it holds; asked until it does.
    pub(super) fn any(&self, mut is: impl FnMut(u32, u32) -> bool) -> bool {
        let (one, held) = &self.one;
        is(one.number(), held.prefix())
            || match self.others.as_deref() {
                None => false,
                Some(Others::Few(few)) => few.iter().any(|(of, held)| is(*of, held.prefix())),
                Some(Others::Many(many)) => {
                    (0..).zip(&many.prefixes).any(|(of, held)| is(of, *held))
                }
            }
    }

    /// Adds the blocks of this run to those of every worker that holds all `before` of them, at most
    /// `count`; whether one of them holds that many.
    pub(super) fn add_to(&self, overlaps: &mut [u32], before: u32, count: u32) -> bool {
        let mut any = false;
        let mut add = |overlap: &mut u32, prefix: u32| {
            if *overlap == before {
                let here = prefix.min(count);
                *overlap += here;
                any |= here == count;
            }
        };
        add(&mut overlaps[self.one.0.number() as usize], self.one.1.prefix());
        match self.others.as_deref() {
            None => {}
            Some(Others::Few(few)) => {
                for (worker, held) in few {
                    add(&mut overlaps[*worker as usize], held.prefix());
                }
            }
            Some(Others::Many(many)) => any |= many.add_to(overlaps, before, count),
        }
        any
    }
}

impl<H: Holder> Others<H> {
    /// Takes one of them.
    fn pop(&mut self) -> Option<(u32, H)> {
        match self {
            Others::Few(few) => few.pop(),
            Others::Many(many) => {
                let at = many.held.iter().rposition(|held| !held.is_empty())?;
                many.prefixes[at] = 0;
                many.count -= 1;
                let held = std::mem::take(&mut many.held[at]);
                self.settle();
                Some((at as u32, held))
            }
        }
    }

    fn change(&mut self, worker: u32, change: impl FnOnce(&mut H)) {
        match self {
            Others::Few(few) => {
                if let Ok(at) = place(few, worker) {
                    change(&mut few[at].1);
                    if few[at].1.is_empty() {
                        few.remove(at);
                    }
                }
            }
            Others::Many(many) => {
                if many.held.get(worker as usize).is_some_and(|held| !held.is_empty()) {
                    many.change(worker, change);
                    self.settle();
                }
            }
        }
    }

    /// Keeps a list again where the crowd has gone.
    fn settle(&mut self) {
        if let Others::Many(many) = self
            && many.count < CROWD / 2
        {
            let held = (0..).zip(std::mem::take(&mut many.held));
            *self = Others::Few(held.filter(|(_, held)| !held.is_empty()).collect());
        }
    }
}

impl<H: Holder> Many<H> {
    fn of(few: SmallVec<[(u32, H); 2]>) -> Many<H> {
        let mut many = Many { prefixes: Vec::new(), held: Vec::new(), count: 0 };
        for (worker, held) in few {
            many.change(worker, |place| *place = held);
        }
        many
    }

    fn change<R>(&mut self, worker: u32, change: impl FnOnce(&mut H) -> R) -> R {
        let at = worker as usize;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, H::default);
            self.prefixes.resize(at + 1, 0);
        }
        let held = &mut self.held[at];
        let before = usize::from(!held.is_empty());
        let result = change(held);
        self.prefixes[at] = held.prefix();
        self.count = self.count + usize::from(!held.is_empty()) - before;
        result
    }

    /// As [`Holders::add_to`]; who holds nothing adds nothing. Masks in place of branches, so that it
    /// is done many workers at a time.
    fn add_to(&self, overlaps: &mut [u32], before: u32, count: u32) -> bool {
        let mut any = 0;
        for (overlap, prefix) in overlaps.iter_mut().zip(&self.prefixes) {
            let goes_on = u32::from(*overlap == before).wrapping_neg();
            let here = (*prefix).min(count) & goes_on;
            *overlap += here;
            any |= u32::from(here == count);
        }
        any != 0
    }
}

/// Where `worker` is, or belongs.
fn place<H>(few: &[(u32, H)], worker: u32) -> Result<usize, usize> {
    few.binary_search_by_key(&worker, |(held_by, _)| *held_by)
}

/// The highest worker, `worker` among them.
fn highest<H>(few: &[(u32, H)], worker: u32) -> usize {
    few.last().map_or(worker, |(last, _)| worker.max(*last)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So many blocks.
    #[derive(Default)]
    struct Blocks(u32);

    impl Holder for Blocks {
        fn prefix(&self) -> u32 {
            self.0
        }
        fn is_empty(&self) -> bool {
            self.0 == 0
        }
    }

    proptest! {
        #[test]
        fn crowds_come_and_go_and_queries_agree_with_a_list(
            ops in prop::collection::vec((0usize..150, 1usize..120, 0u32..6), 1..40),
            before in 0u32..3,
            count in 1u32..5,
        ) {
            let mut holders: Option<Holders<Blocks>> = None;
            let mut naive = [0u32; 150];
            for (from, many, blocks) in ops {
                // Coming in an order of no meaning.
                for at in 0..many.min(150 - from) {
                    let worker = from + at * 7 % many.min(150 - from);
                    naive[worker] = blocks;
                    let worker = worker as u32;
                    if blocks > 0 {
                        holders
                            .get_or_insert_with(|| Holders::new(worker))
                            .grow(worker, |held| held.0 = blocks);
                    } else if holders.as_mut().is_some_and(|all| !all.change(worker, |held| held.0 = 0)) {
                        holders = None;
                    }
                }
                prop_assert_eq!(holders.is_none(), naive.iter().all(|blocks| *blocks == 0));
                let mut overlaps: Vec<u32> = (0..150).map(|worker| worker % 3).collect();
                let expected: Vec<u32> = overlaps
                    .iter()
                    .zip(&naive)
                    .map(|(overlap, held)| overlap + if *overlap == before { *held.min(&count) } else { 0 })
                    .collect();
                let full = overlaps.iter().zip(&naive).any(|(o, held)| *o == before && *held >= count);
                let any = holders.as_ref().is_some_and(|all| all.add_to(&mut overlaps, before, count));
                prop_assert_eq!(any, full);
                prop_assert_eq!(overlaps, expected);
            }
        }
    }
}
