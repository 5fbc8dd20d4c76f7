//! What starts sessions: a process in time, or slots that requests or sessions hold.

use super::scaled;
use super::session::first_offset;
use crate::error::{Error, Result};
use crate::scenario::ArrivalSpec;
use crate::units::Nanos;
use crate::workload::Session;
use crate::workload::arrival::Arrivals;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Session starts per second (Poisson) for traces that record none.
pub const DEFAULT_RATE: f64 = 1.0;

/// What starts a session.
pub(super) enum Starts {
    /// The time, of the session that is next in the stream once that is known.
    Open {
        process: Box<Arrivals>,
        /// A start that the trace records goes before the process.
        recorded: bool,
        next: Option<Nanos>,
    },
    /// A free slot; a request holds it from its arrival to its completion.
    Requests(Slots),
    /// A free slot; a session holds it from its first arrival to its last completion.
    Sessions(Slots),
}

impl Starts {
    pub(super) fn new(arrival: Option<&ArrivalSpec>, seed: u64) -> Result<Starts> {
        let default = ArrivalSpec::Poisson { rate: DEFAULT_RATE };
        let (process, recorded) = match arrival {
            Some(ArrivalSpec::Closed { concurrency, ramp_up }) => {
                return Ok(Starts::Requests(Slots::new(*concurrency, *ramp_up)));
            }
            Some(ArrivalSpec::Sessions { sessions, ramp_up }) => {
                return Ok(Starts::Sessions(Slots::new(*sessions, *ramp_up)));
            }
            None | Some(ArrivalSpec::Timestamps) => (&default, true),
            Some(process) => (process, false),
        };
        Ok(Starts::Open { process: Box::new(arrivals(process, seed)?), recorded, next: None })
    }

    /// How many sessions of `arrival` start at one instant by its own will.
    pub(super) fn together(&self, arrival: Option<&ArrivalSpec>) -> u64 {
        match (self, arrival) {
            (Starts::Requests(slots) | Starts::Sessions(slots), _) => u64::from(slots.count),
            (Starts::Open { .. }, Some(ArrivalSpec::Burst { size, .. })) => u64::from(*size),
            (Starts::Open { .. }, _) => 1,
        }
    }

    /// When `session`, the next of the stream, starts; the same however often it is asked.
    pub(super) fn of(&mut self, session: &Session, speedup: f64) -> Nanos {
        match self {
            Starts::Open { process, recorded, next } => {
                *next.get_or_insert_with(|| match session.start {
                    Some(start) if *recorded => scaled(start, speedup),
                    _ => process.next_start(),
                })
            }
            Starts::Requests(_) | Starts::Sessions(_) => Nanos::ZERO,
        }
    }

    /// A session has started: the time that was said is used up, or the slot that was free first. Its
    /// lead is what the offsets of its turns are counted from: a slot gets a request at once,
    /// whatever the first offset.
    pub(super) fn started(&mut self, session: &Session) -> Nanos {
        match self {
            Starts::Open { next, .. } => {
                *next = None;
                return Nanos::ZERO;
            }
            Starts::Requests(_) => {}
            Starts::Sessions(slots) => slots.occupy(),
        }
        first_offset(&session.turns)
    }

    /// A request was taken.
    pub(super) fn taken(&mut self) {
        if let Starts::Requests(slots) = self {
            slots.occupy();
        }
    }

    /// A request completed at `now`, and with it, perhaps, its session.
    pub(super) fn completed(&mut self, session_over: bool, now: Nanos) {
        match self {
            Starts::Requests(slots) => slots.release(now),
            Starts::Sessions(slots) if session_over => slots.release(now),
            Starts::Sessions(_) | Starts::Open { .. } => {}
        }
    }
}

fn arrivals(spec: &ArrivalSpec, seed: u64) -> Result<Arrivals> {
    Arrivals::new(spec, seed).ok_or_else(|| {
        Error::input("workload.arrival: burstiness is too small to draw from; raise it")
    })
}

/// The slots of a closed loop that are free.
pub(super) struct Slots {
    /// All there are, whether they have opened or not.
    count: u32,
    /// How many have been used.
    used: u32,
    ramp_up: Nanos,
    /// Since when each of the used ones that are free is.
    freed: BinaryHeap<Reverse<Nanos>>,
}

impl Slots {
    fn new(count: u32, ramp_up: Nanos) -> Slots {
        Slots { count, used: 0, ramp_up, freed: BinaryHeap::new() }
    }

    /// When the next slot that has never been used opens.
    fn opening(&self) -> Option<Nanos> {
        let share = u128::from(self.ramp_up.0) * u128::from(self.used) / u128::from(self.count);
        (self.used < self.count).then_some(Nanos(share as u64))
    }

    /// Since when, or from when on, the slot that is free first is.
    pub(super) fn free_since(&self) -> Option<Nanos> {
        let freed = self.freed.peek().map(|Reverse(since)| *since);
        self.opening().into_iter().chain(freed).min()
    }

    /// Takes the slot that is free first.
    fn occupy(&mut self) {
        let freed = self.freed.peek().map(|Reverse(since)| *since);
        match (self.opening(), freed) {
            (Some(opens), freed) if freed.is_none_or(|since| opens <= since) => self.used += 1,
            _ => drop(self.freed.pop()),
        }
    }

    fn release(&mut self, now: Nanos) {
        self.freed.push(Reverse(now));
    }
}
