//! The load driver: turns sessions into arrivals, open or closed loop.
//!
//! **Open loop.** Sessions start when the arrival process says so, or, in a trace with timestamps
//! and no process of its own, when the trace does, its times divided by the speed-up. A trace
//! without timestamps gets Poisson starts, [`DEFAULT_RATE`] a second. Sessions are pulled one ahead.
//!
//! **Closed loop.** At most `concurrency` requests are in flight. A free slot takes the ready turn
//! that has waited longest (ties: lowest id); without one it starts a new session, whose clock
//! begins with its first turn; without new sessions it waits for a turn to become ready. A request
//! arrives when its slot was free and its turn ready, whichever is later.
//!
//! **Ids.** Requests are numbered through: a session's first id, plus the place of the turn in the
//! session. They do not depend on completions. Equal arrival times are taken in order of id. The
//! session that crosses `requests` loses the turns beyond it; none of the rest waits for them,
//! because turns wait only for earlier ones.

use super::arrival::Arrivals;
use super::law::MAX_TOKENS;
use super::{Session, SessionStream, Source, generate};
use crate::error::{Error, Result};
use crate::prompt::{Segment, total_tokens};
use crate::request::{Request, RequestId};
use crate::scenario::{ArrivalSpec, WorkloadKind, WorkloadSpec};
use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

mod session;

use session::{Active, Sessions, first_offset, unconditional};

/// Session starts per second (Poisson) for traces that record none.
pub const DEFAULT_RATE: f64 = 1.0;

/// The load that `workload` describes. For kind `trace` the caller hands over the opened `trace`.
///
/// # Errors
/// Where the trace or a generator's section is missing.
pub fn build(
    workload: &WorkloadSpec,
    seed: u64,
    trace: Option<Box<dyn SessionStream>>,
) -> Result<Box<dyn Source>> {
    let sessions = match (workload.kind, trace) {
        (WorkloadKind::Trace, Some(trace)) => trace,
        (WorkloadKind::Trace, None) => {
            return Err(Error::input("workload.kind is \"trace\" but no trace is open"));
        }
        _ => generate::sessions(workload, seed)?,
    };
    Ok(Box::new(LoadDriver::new(sessions, workload, seed)?))
}

/// Hands out the requests of a stream of sessions; memory follows the sessions in flight.
pub struct LoadDriver {
    sessions: Sessions,
    starts: Starts,
    /// Sessions with turns that have not completed, by the id of their first request.
    active: BTreeMap<RequestId, Active>,
    /// Turns that wait for nothing but their time and, in a closed loop, a slot.
    ready: BinaryHeap<Reverse<(Nanos, RequestId)>>,
    /// Trace times are divided by this; 1 for generated sessions.
    speedup: f64,
    /// Arrival of the last request taken.
    clock: Nanos,
}

/// What starts a session.
enum Starts {
    /// The time, of the session that is next in the stream once that is known.
    Open {
        process: Box<Arrivals>,
        /// A start that the trace records goes before the process.
        recorded: bool,
        next: Option<Nanos>,
    },
    /// A free slot: how many have never been used, and since when each of the others is free.
    Closed { unused: u32, freed: BinaryHeap<Reverse<Nanos>> },
}

/// Where the next request comes from.
#[derive(Clone, Copy)]
enum Next {
    /// The first of the ready turns, then.
    Ready(Nanos),
    /// A session that a free slot starts, then.
    New(Nanos),
}

impl LoadDriver {
    /// Drives `sessions` as `workload` says; only its arrival, speed-up and number of requests count.
    ///
    /// # Errors
    /// Where the arrival process has parameters beyond what a float can hold, or a generator none.
    pub fn new(
        sessions: Box<dyn SessionStream>,
        workload: &WorkloadSpec,
        seed: u64,
    ) -> Result<LoadDriver> {
        let trace = workload.kind == WorkloadKind::Trace;
        Ok(LoadDriver {
            sessions: Sessions::new(sessions, workload.requests.unwrap_or(u64::MAX)),
            starts: Starts::new(workload.arrival.as_ref(), seed)?,
            active: BTreeMap::new(),
            ready: BinaryHeap::new(),
            speedup: if trace { workload.speedup } else { 1.0 },
            clock: Nanos::ZERO,
        })
    }

    /// Where the next request comes from, as far as is known now.
    fn decide(&mut self) -> Result<Option<Next>> {
        self.start_due_sessions()?;
        let turn = self.ready.peek().map(|Reverse((at, _))| *at);
        let now = match &self.starts {
            Starts::Open { .. } => return Ok(turn.map(|at| Next::Ready(at.max(self.clock)))),
            Starts::Closed { unused: 1.., .. } => self.clock,
            Starts::Closed { freed, .. } => match freed.peek() {
                Some(Reverse(since)) => self.clock.max(*since),
                None => return Ok(None),
            },
        };
        Ok(match turn {
            Some(at) if at <= now => Some(Next::Ready(now)),
            _ if self.sessions.peek()?.is_some() => Some(Next::New(now)),
            waiting => waiting.map(Next::Ready),
        })
    }

    /// Open loop: starts sessions until none to come can hold the next request.
    fn start_due_sessions(&mut self) -> Result<()> {
        while let Starts::Open { .. } = self.starts {
            let Some(session) = self.sessions.peek()? else {
                break;
            };
            let start = self.starts.of(session, self.speedup);
            // At equal times the turns at hand go first: their ids are lower.
            let first = self.ready.peek().map(|Reverse((at, _))| *at);
            if first.is_some_and(|first| first <= start) {
                break;
            }
            self.start_next(start)?;
        }
        Ok(())
    }

    /// Makes the next session active, its clock beginning at `start`.
    fn start_next(&mut self, start: Nanos) -> Result<()> {
        let Some((first, session)) = self.sessions.take()? else {
            return Ok(());
        };
        let lead = self.starts.started(&session);
        for (id, turn) in (first..).zip(&session.turns) {
            if let Some(offset) = unconditional(&turn.when) {
                let wait = scaled(offset.saturating_sub(lead), self.speedup);
                self.ready.push(Reverse((start + wait, id)));
            }
        }
        self.active.insert(first, Active::new(session));
        Ok(())
    }

    /// Hands over turn `id`, ready and due at `arrival`.
    fn request(&mut self, id: RequestId, arrival: Nanos) -> Result<Request> {
        let (first, active) = session_of(&mut self.active, id);
        let place = (id - first) as usize;
        let turn = active.turns[place].turn.take().expect("a turn is ready only once");
        let name = |part| format!("session {}, turn {place}: the {part}", active.session);
        let prompt_tokens = length(&turn.prompt, || name("prompt"))?;
        let output_tokens = length(&turn.output, || name("output"))?;
        let mut segments = turn.prompt;
        segments.extend(turn.output);
        Ok(Request {
            id,
            session: active.session,
            turn: place as u32,
            arrival,
            segments,
            prompt_tokens,
            output_tokens,
        })
    }
}

impl Source for LoadDriver {
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        Ok(self.decide()?.map(|next| match next {
            Next::Ready(at) | Next::New(at) => at,
        }))
    }

    fn take(&mut self) -> Result<Request> {
        let next = self.decide()?;
        if let Some(Next::New(at)) = next {
            self.start_next(at)?;
        }
        let (Some(Next::Ready(arrival) | Next::New(arrival)), Some(Reverse((_, id)))) =
            (next, self.ready.pop())
        else {
            return Err(Error::Run("no request was announced, but one was taken".into()));
        };
        self.starts.occupy();
        self.clock = arrival;
        self.request(id, arrival)
    }

    fn on_complete(&mut self, id: RequestId, now: Nanos) {
        if let Starts::Closed { freed, .. } = &mut self.starts {
            freed.push(Reverse(now));
        }
        let (first, active) = session_of(&mut self.active, id);
        for (place, pause) in active.complete((id - first) as usize) {
            let at = now + scaled(pause, self.speedup);
            self.ready.push(Reverse((at, first + u64::from(place))));
        }
        if active.left == 0 {
            self.active.remove(&first);
        }
    }

    fn is_over(&self, id: RequestId) -> bool {
        let session = self.active.range(..=id).next_back();
        session.is_none_or(|(first, active)| id - first >= active.turns.len() as u64)
    }
}

/// The active session that request `id` belongs to, and its first request.
fn session_of(active: &mut BTreeMap<RequestId, Active>, id: RequestId) -> (RequestId, &mut Active) {
    let (first, session) = active
        .range_mut(..=id)
        .next_back()
        .expect("a session is forgotten only after its last completion");
    (*first, session)
}

impl Starts {
    fn new(arrival: Option<&ArrivalSpec>, seed: u64) -> Result<Starts> {
        let default = ArrivalSpec::Poisson { rate: DEFAULT_RATE };
        let (process, recorded) = match arrival {
            Some(ArrivalSpec::Closed { concurrency }) => {
                return Ok(Starts::Closed { unused: *concurrency, freed: BinaryHeap::new() });
            }
            None | Some(ArrivalSpec::Timestamps) => (&default, true),
            Some(process) => (process, false),
        };
        Ok(Starts::Open { process: Box::new(arrivals(process, seed)?), recorded, next: None })
    }

    /// When `session`, the next of the stream, starts; the same however often it is asked.
    fn of(&mut self, session: &Session, speedup: f64) -> Nanos {
        match self {
            Starts::Open { process, recorded, next } => {
                *next.get_or_insert_with(|| match session.start {
                    Some(start) if *recorded => scaled(start, speedup),
                    _ => process.next_start(),
                })
            }
            Starts::Closed { .. } => Nanos::ZERO,
        }
    }

    /// A session has started: the time that was said is used up. Its lead is what the offsets of
    /// its turns are counted from: a slot gets a request at once, whatever the first offset.
    fn started(&mut self, session: &Session) -> Nanos {
        match self {
            Starts::Open { next, .. } => {
                *next = None;
                Nanos::ZERO
            }
            Starts::Closed { .. } => first_offset(&session.turns),
        }
    }

    /// A request was taken: the slot that was free first is no longer.
    fn occupy(&mut self) {
        match self {
            Starts::Closed { unused: unused @ 1.., .. } => *unused -= 1,
            Starts::Closed { freed, .. } => drop(freed.pop()),
            Starts::Open { .. } => {}
        }
    }
}

/// A trace time at another speed, rounded to the nearest nanosecond; exact at speed 1.
fn scaled(time: Nanos, speedup: f64) -> Nanos {
    if speedup == 1.0 {
        return time;
    }
    Nanos((time.0 as f64 / speedup).round() as u64)
}

fn arrivals(spec: &ArrivalSpec, seed: u64) -> Result<Arrivals> {
    Arrivals::new(spec, seed).ok_or_else(|| {
        Error::input("workload.arrival: burstiness is too small to draw from; raise it")
    })
}

/// Tokens of a prompt or output.
fn length(segments: &[Segment], name: impl Fn() -> String) -> Result<u32> {
    let tokens = total_tokens(segments);
    u32::try_from(tokens).ok().filter(|tokens| (1..=MAX_TOKENS).contains(tokens)).ok_or_else(|| {
        Error::input(format!("{} has {tokens} tokens; it must have 1 to {MAX_TOKENS}", name()))
    })
}

#[cfg(test)]
mod tests;
