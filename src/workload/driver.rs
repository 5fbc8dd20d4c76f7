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
use super::{Session, SessionStream, Source, Turn, When, generate};
use crate::error::{Error, Result};
use crate::prompt::{Segment, total_tokens};
use crate::request::{Request, RequestId};
use crate::scenario::{ArrivalSpec, WorkloadKind, WorkloadSpec};
use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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

/// The stream of sessions, one ahead, cut at the limit.
struct Sessions {
    stream: Box<dyn SessionStream>,
    next: Option<Session>,
    /// Id of the next session's first request.
    next_id: RequestId,
    /// Number of requests at most.
    limit: u64,
}

/// What starts a session.
enum Starts {
    /// The time, of the session that is next in the stream once that is known.
    Open {
        process: Option<Arrivals>,
        /// Starts of sessions without a recorded one, where there is no process.
        fallback: Arrivals,
        next: Option<Nanos>,
    },
    /// A free slot: how many have never been used, and since when each of the others is free.
    Closed { unused: u32, freed: BinaryHeap<Reverse<Nanos>> },
}

/// A session some of whose turns have not completed.
struct Active {
    session: u64,
    /// Turns not completed.
    left: usize,
    turns: Vec<Waiting>,
}

/// A turn, until it is taken, and what it waits for.
struct Waiting {
    turn: Option<Turn>,
    /// Earlier turns that have not completed.
    missing: usize,
    /// Later turns that wait for this one.
    dependents: Vec<u32>,
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
            sessions: Sessions {
                stream: sessions,
                next: None,
                next_id: 0,
                limit: workload.requests.unwrap_or(u64::MAX),
            },
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

    /// Open loop: starts every session that could hold the next request.
    fn start_due_sessions(&mut self) -> Result<()> {
        while let Starts::Open { .. } = self.starts {
            let Some(session) = self.sessions.peek()? else {
                break;
            };
            let start = self.starts.of(session, self.speedup);
            let due = self.ready.peek().is_none_or(|Reverse((at, _))| start <= *at);
            if !due {
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
}

/// The active session that request `id` belongs to, and its first request.
fn session_of(active: &mut BTreeMap<RequestId, Active>, id: RequestId) -> (RequestId, &mut Active) {
    let (first, session) = active
        .range_mut(..=id)
        .next_back()
        .expect("a session is forgotten only after its last completion");
    (*first, session)
}

impl Sessions {
    /// The next session, with at least one turn and none beyond the limit.
    fn peek(&mut self) -> Result<Option<&Session>> {
        while self.next.is_none() && self.next_id < self.limit {
            let Some(mut session) = self.stream.next_session()? else {
                self.limit = self.next_id;
                break;
            };
            let room = self.limit - self.next_id;
            session.turns.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            self.next = Some(session).filter(|session| !session.turns.is_empty());
        }
        Ok(self.next.as_ref())
    }

    /// The next session, and the id of its first request.
    fn take(&mut self) -> Result<Option<(RequestId, Session)>> {
        self.peek()?;
        let first = self.next_id;
        let session = self.next.take();
        self.next_id += session.as_ref().map_or(0, |session| session.turns.len() as u64);
        Ok(session.map(|session| (first, session)))
    }
}

impl Starts {
    fn new(arrival: Option<&ArrivalSpec>, seed: u64) -> Result<Starts> {
        let process = match arrival {
            Some(ArrivalSpec::Closed { concurrency }) => {
                return Ok(Starts::Closed { unused: *concurrency, freed: BinaryHeap::new() });
            }
            None | Some(ArrivalSpec::Timestamps) => None,
            Some(process) => Some(arrivals(process, seed)?),
        };
        Ok(Starts::Open {
            process,
            fallback: arrivals(&ArrivalSpec::Poisson { rate: DEFAULT_RATE }, seed)?,
            next: None,
        })
    }

    /// When `session`, the next of the stream, starts; the same however often it is asked.
    fn of(&mut self, session: &Session, speedup: f64) -> Nanos {
        match self {
            Starts::Open { process: Some(process), next, .. } => {
                *next.get_or_insert_with(|| process.next_start())
            }
            Starts::Open { fallback, next, .. } => *next.get_or_insert_with(|| {
                session.start.map_or_else(|| fallback.next_start(), |start| scaled(start, speedup))
            }),
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

impl Active {
    fn new(session: Session) -> Active {
        let mut turns: Vec<Waiting> = Vec::with_capacity(session.turns.len());
        for (place, turn) in (0u32..).zip(session.turns) {
            let mut missing = 0;
            if let When::After(earlier, _) = &turn.when {
                debug_assert!(earlier.iter().all(|other| *other < place), "waits for a later turn");
                missing = earlier.len();
                for other in earlier {
                    turns[*other as usize].dependents.push(place);
                }
            }
            turns.push(Waiting { turn: Some(turn), missing, dependents: Vec::new() });
        }
        Active { session: session.id, left: turns.len(), turns }
    }

    /// Notes a completion. The turns that wait for nothing any more, and how long after it they are
    /// sent.
    fn complete(&mut self, place: usize) -> Vec<(u32, Nanos)> {
        self.left -= 1;
        let mut released = Vec::new();
        for dependent in std::mem::take(&mut self.turns[place].dependents) {
            let waiting = &mut self.turns[dependent as usize];
            waiting.missing -= 1;
            if let (0, Some(When::After(_, pause))) =
                (waiting.missing, waiting.turn.as_ref().map(|turn| &turn.when))
            {
                released.push((dependent, *pause));
            }
        }
        released
    }
}

/// How long after its session's start a turn is sent, where it waits for no other.
fn unconditional(when: &When) -> Option<Nanos> {
    match when {
        When::Offset(offset) => Some(*offset),
        When::After(earlier, pause) => earlier.is_empty().then_some(*pause),
    }
}

/// The least of the offsets.
fn first_offset(turns: &[Turn]) -> Nanos {
    let offsets = turns.iter().filter_map(|turn| unconditional(&turn.when));
    offsets.min().unwrap_or(Nanos::ZERO)
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
