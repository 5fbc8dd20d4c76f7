//! Sessions as the driver sees them: the stream, one ahead and numbered, and those in flight.

use crate::error::Result;
use crate::request::RequestId;
use crate::units::Nanos;
use crate::workload::{Session, SessionStream, Turn, When};
use smallvec::SmallVec;

/// The stream of sessions, one ahead, cut at the limit.
pub(super) struct Sessions {
    stream: Box<dyn SessionStream>,
    next: Option<Session>,
    /// Id of the next session's first request.
    next_id: RequestId,
    /// Number of requests at most.
    limit: u64,
}

impl Sessions {
    /// At most `limit` requests of `stream`.
    pub(super) fn new(stream: Box<dyn SessionStream>, limit: u64) -> Sessions {
        Sessions { stream, next: None, next_id: 0, limit }
    }

    /// The next session, with at least one turn and none beyond the limit.
    pub(super) fn peek(&mut self) -> Result<Option<&Session>> {
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
    pub(super) fn take(&mut self) -> Result<Option<(RequestId, Session)>> {
        self.peek()?;
        let first = self.next_id;
        let session = self.next.take();
        self.next_id += session.as_ref().map_or(0, |session| session.turns.len() as u64);
        Ok(session.map(|session| (first, session)))
    }
}

/// A session some of whose turns have not completed.
pub(super) struct Active {
    /// Id of its first request.
    pub(super) first: RequestId,
    /// Its number.
    pub(super) session: u64,
    /// Turns not completed.
    pub(super) left: usize,
    /// All its turns, in order.
    pub(super) turns: Vec<Waiting>,
}

/// A turn, until it is taken, and what it waits for.
pub(super) struct Waiting {
    pub(super) turn: Option<Turn>,
    /// Earlier turns that have not completed.
    missing: usize,
    /// Later turns that wait for this one.
    dependents: SmallVec<[u32; 4]>,
}

impl Active {
    pub(super) fn new(first: RequestId, session: Session) -> Active {
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
            turns.push(Waiting { turn: Some(turn), missing, dependents: SmallVec::new() });
        }
        Active { first, session: session.id, left: turns.len(), turns }
    }

    /// Notes a completion; `release` is told of the turns that wait for nothing any more, and how long
    /// after it they are sent.
    pub(super) fn complete(&mut self, place: usize, mut release: impl FnMut(u32, Nanos)) {
        self.left -= 1;
        for dependent in std::mem::take(&mut self.turns[place].dependents) {
            let waiting = &mut self.turns[dependent as usize];
            waiting.missing -= 1;
            if let (0, Some(When::After(_, pause))) =
                (waiting.missing, waiting.turn.as_ref().map(|turn| &turn.when))
            {
                release(dependent, *pause);
            }
        }
    }
}

/// How long after its session's start a turn is sent, where it waits for no other.
pub(super) fn unconditional(when: &When) -> Option<Nanos> {
    match when {
        When::Offset(offset) => Some(*offset),
        When::After(earlier, pause) => earlier.is_empty().then_some(*pause),
    }
}

/// The least of the offsets.
pub(super) fn first_offset(turns: &[Turn]) -> Nanos {
    let offsets = turns.iter().filter_map(|turn| unconditional(&turn.when));
    offsets.min().unwrap_or(Nanos::ZERO)
}
