//! The load driver: turns sessions into arrivals, open or closed loop.
//!
//! **Open loop.** Sessions start when the arrival process says so, or, in a trace with timestamps
//! and no process of its own, when the trace does, its times divided by the speed-up. A trace
//! without timestamps gets Poisson starts, [`DEFAULT_RATE`] a second. Sessions are pulled one ahead.
//!
//! A process (`workload.arrival`) replaces the trace's times.
//!
//! **Closed loop of requests** (`closed`). At most `concurrency` requests are in flight. A free slot
//! takes the ready turn that has waited longest (ties: lowest id); without one it starts a new
//! session, whose clock begins with its first turn; without new sessions it waits for a turn to
//! become ready. A request arrives when its slot was free and its turn ready, whichever is later.
//!
//! **Closed loop of sessions** (`sessions`). At most `sessions` sessions are in progress. A slot
//! holds one session from its first turn to the completion of its last, pauses included, and at that
//! instant starts the next of the stream. Within a session every turn arrives when it is due, several
//! at a time where the session has it so (sub-agents): a slot holds a session, not a request.
//!
//! **Ramp-up** of closed loops: slot i of N opens at i · `ramp_up` / N, rounded down.
//!
//! **The end.** With a `duration` nothing arrives at that time or later, turns of running sessions
//! included; with `requests` as well, whichever comes first.
//!
//! **Ids.** Requests are numbered through: a session's first id, plus the place of the turn in the
//! session. They do not depend on completions. Equal arrival times are taken in order of id. The
//! session that crosses `requests` loses the turns beyond it; none of the rest waits for them,
//! because turns wait only for earlier ones.

use super::law::MAX_TOKENS;
use super::{SessionStream, Source, generate};
use crate::ahead::{fetch, fetch_at};
use crate::error::{Error, Result};
use crate::flat_map::FlatMap;
use crate::prompt::{Segment, total_tokens};
use crate::request::{Request, RequestId};
use crate::scenario::{WorkloadKind, WorkloadSpec};
use crate::soonest::Soonest;
use crate::units::Nanos;
use slab::Slab;

mod session;
mod starts;

use session::{Active, Sessions, unconditional};
use starts::Starts;

pub use starts::DEFAULT_RATE;

/// More requests at one instant than this, beyond those that may be in flight, and a run that only
/// its duration ends is refused.
const AT_ONCE: u64 = 100_000;

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
    /// Sessions with turns that have not completed.
    active: Slab<Active>,
    /// Turns that wait for nothing but their time and, in a closed loop, a slot.
    ready: Soonest<Due>,
    /// Key of the session of each turn that has been taken and has not completed.
    in_flight: FlatMap<usize>,
    /// Trace times are divided by this; 1 for generated sessions.
    speedup: f64,
    /// Arrival of the last request taken.
    clock: Nanos,
    /// Nothing arrives then or later.
    end: Option<Nanos>,
    /// Requests taken at the instant of `clock`.
    at_once: u64,
    /// How many there may be: some, where nothing but `end` ends a generated workload.
    patience: Option<u64>,
}

/// A turn and when it is due, with the key of its session: by time, then id.
type Due = (Nanos, RequestId, usize);

/// Where the next request comes from.
#[derive(Clone, Copy)]
enum Next {
    /// The first of the ready turns, then.
    Ready(Nanos),
    /// A session that a free slot starts, then.
    New(Nanos),
}

impl Next {
    fn at(self) -> Nanos {
        match self {
            Next::Ready(at) | Next::New(at) => at,
        }
    }
}

impl LoadDriver {
    /// Drives `sessions` as `workload` says; only its arrival, speed-up and end count.
    ///
    /// # Errors
    /// Where the arrival process has parameters beyond what a float can hold, or a generator none.
    pub fn new(
        sessions: Box<dyn SessionStream>,
        workload: &WorkloadSpec,
        seed: u64,
    ) -> Result<LoadDriver> {
        let trace = workload.kind == WorkloadKind::Trace;
        let starts = Starts::new(workload.arrival.as_ref(), seed)?;
        let endless = !trace && workload.requests.is_none();
        let patience = endless.then(|| AT_ONCE + starts.together(workload.arrival.as_ref()));
        Ok(LoadDriver {
            sessions: Sessions::new(sessions, workload.requests.unwrap_or(u64::MAX)),
            starts,
            active: Slab::new(),
            ready: Soonest::default(),
            in_flight: FlatMap::default(),
            speedup: if trace { workload.speedup } else { 1.0 },
            clock: Nanos::ZERO,
            end: workload.duration,
            at_once: 0,
            patience,
        })
    }

    /// Where the next request comes from, as far as is known now, and when it arrives.
    fn decide(&mut self) -> Result<Option<(Next, Nanos)>> {
        self.start_due_sessions()?;
        let turn = self.ready.peek().map(|(at, ..)| *at);
        let next = match &self.starts {
            Starts::Open { .. } => turn.map(Next::Ready),
            Starts::Requests(slots) => {
                let Some(since) = slots.free_since() else { return Ok(None) };
                let now = self.clock.max(since);
                match turn {
                    Some(at) if at <= now => Some(Next::Ready(now)),
                    _ if self.sessions.peek()?.is_some() => Some(Next::New(now)),
                    waiting => waiting.map(Next::Ready),
                }
            }
            // At equal times the turns at hand go first: their ids are lower.
            Starts::Sessions(slots) => match slots.free_since() {
                Some(since)
                    if turn.is_none_or(|at| since < at) && self.sessions.peek()?.is_some() =>
                {
                    Some(Next::New(since))
                }
                _ => turn.map(Next::Ready),
            },
        };
        let due = next.map(|next| (next, next.at().max(self.clock)));
        Ok(due.filter(|(_, at)| !self.has_ended(*at)))
    }

    /// Whether nothing arrives at `at` any more.
    fn has_ended(&self, at: Nanos) -> bool {
        self.end.is_some_and(|end| at >= end)
    }

    /// Moves the clock to `arrival`.
    ///
    /// # Errors
    /// Where it stands still for good: requests that end as they begin, one after the other.
    fn tick(&mut self, arrival: Nanos) -> Result<()> {
        self.at_once = if arrival == self.clock { self.at_once + 1 } else { 1 };
        self.clock = arrival;
        if self.patience.is_some_and(|patience| self.at_once > patience) {
            return Err(Error::input(format!(
                "{} requests arrived at one instant, {arrival}, so that workload.duration never ends \
                 this workload: its requests take no time (are they all rejected?), or its rate is too \
                 high; say how many requests, for example --num-requests 1000",
                self.at_once
            )));
        }
        Ok(())
    }

    /// Open loop: starts sessions until none to come can hold the next request.
    fn start_due_sessions(&mut self) -> Result<()> {
        while let Starts::Open { .. } = self.starts {
            let Some(session) = self.sessions.peek()? else {
                break;
            };
            let start = self.starts.of(session, self.speedup);
            // At equal times the turns at hand go first: their ids are lower.
            let first = self.ready.peek().map(|(at, ..)| *at);
            if first.is_some_and(|first| first <= start) || self.has_ended(start) {
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
        let entry = self.active.vacant_entry();
        for (id, turn) in (first..).zip(&session.turns) {
            if let Some(offset) = unconditional(&turn.when) {
                let wait = scaled(offset.saturating_sub(lead), self.speedup);
                self.ready.push((start + wait, id, entry.key()));
            }
        }
        entry.insert(Active::new(first, session));
        Ok(())
    }

    /// See `crate::ahead`: the turns that are most likely taken next, each by what the look before it
    /// has fetched.
    fn fetch_next(&self) {
        let soon = |before| self.ready.soon(before).map(|(_, id, key)| (id, &self.active[*key]));
        if let Some((id, active)) = soon(0)
            && let Some(turn) = &active.turns[(id - active.first) as usize].turn
        {
            // Two cache lines: eight segments.
            fetch_at(&turn.prompt, 0);
            fetch_at(&turn.prompt, 4);
            fetch_at(&turn.output, 0);
        }
        if let Some((id, active)) = soon(1) {
            fetch_at(&active.turns, (id - active.first) as usize);
        }
        if let Some((_, active)) = soon(3) {
            fetch(active);
        }
    }

    /// Hands over turn `id` of the session at `key`, ready and due at `arrival`.
    fn request(&mut self, id: RequestId, key: usize, arrival: Nanos) -> Result<Request> {
        let active = &mut self.active[key];
        let place = (id - active.first) as usize;
        let turn = active.turns[place].turn.take().expect("a turn is ready only once");
        let name = |part| format!("session {}, turn {place}: the {part}", active.session);
        let prompt_tokens = length(&turn.prompt, || name("prompt"))?;
        let output_tokens = length(&turn.output, || name("output"))?;
        let mut segments = turn.prompt;
        segments.extend(turn.output);
        self.in_flight.insert(id, key);
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
        Ok(self.decide()?.map(|(_, arrival)| arrival))
    }

    fn take(&mut self) -> Result<Request> {
        let nothing = || Error::Run("no request was announced, but one was taken".into());
        let (next, arrival) = self.decide()?.ok_or_else(nothing)?;
        if let Next::New(start) = next {
            self.start_next(start)?;
        }
        let (_, id, key) = self.ready.pop().ok_or_else(nothing)?;
        self.starts.taken();
        self.tick(arrival)?;
        self.fetch_next();
        self.request(id, key, arrival)
    }

    fn on_complete(&mut self, id: RequestId, now: Nanos) -> bool {
        let key = self.in_flight.remove(id).expect("only what was taken completes, and once");
        let active = &mut self.active[key];
        let (first, speedup, ready) = (active.first, self.speedup, &mut self.ready);
        active.complete((id - first) as usize, |place, pause| {
            ready.push((now + scaled(pause, speedup), first + u64::from(place), key));
        });
        let session_over = active.left == 0;
        if session_over {
            self.active.remove(key);
        }
        self.starts.completed(session_over, now);
        session_over
    }

    fn fetch_place(&self, id: RequestId) {
        self.in_flight.fetch(id);
    }

    fn fetch(&self, id: RequestId) {
        if let Some(key) = self.in_flight.get(id) {
            fetch(&self.active[*key]);
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

/// Tokens of a prompt or output.
fn length(segments: &[Segment], name: impl Fn() -> String) -> Result<u32> {
    let tokens = total_tokens(segments);
    u32::try_from(tokens).ok().filter(|tokens| (1..=MAX_TOKENS).contains(tokens)).ok_or_else(|| {
        Error::input(format!("{} has {tokens} tokens; it must have 1 to {MAX_TOKENS}", name()))
    })
}

#[cfg(test)]
mod tests;
